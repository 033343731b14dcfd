package statusctl

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

// bombSize is long enough to tell what a line costs from what a call does.
const bombSize = 256 << 10

// filled is a line of bombSize, with as many copies of one as fit.
func filled(before, one, after string) string {
	n := (bombSize - len(before) - len(after)) / len(one)
	return before + strings.Repeat(one, n) + after
}

// bombs are lines that cost little to write.
func bombs() map[string]string {
	deep := bombSize/2 - 20
	return map[string]string{
		"nothing but brackets":         filled("", "[", ""),
		"brackets that match":          `{"op":"start","node":` + strings.Repeat("[", deep) + strings.Repeat("]", deep) + "}",
		"batches in batches":           filled("", `{"op":"batch","ops":[`, ""),
		"objects in objects":           filled("", `{"op":`, ""),
		"a batch of empty objects":     filled(`{"op":"batch","ops":[`, `{},`, `{}]}`),
		"a batch of numbers":           filled(`{"op":"batch","ops":[`, `0,`, `0]}`),
		"a batch that ends in nothing": filled(`{"op":"batch","ops":[`, `{"op":"start","node":"a"},`, `{}]}`),
		"a number without end":         filled(`{"op":"start","node":"a","at":`, "9", "}"),
		"an exponent without end":      filled(`{"op":"start","node":"a","at":1e`, "9", "}"),
		"a fraction without end":       filled(`{"op":"declare","parent":"p","kind":"subprocess","max_loops":0.`, "0", "}"),
		"a field without end":          filled(`{"op":"start","`, "x", `":1}`),
		"an op without end":            filled(`{"op":"`, `\u0000`, `"}`),
		"a kind without end":           filled(`{"op":"declare","parent":"p","kind":"`, "é", `"}`),
		"an ID without end":            filled(`{"op":"start","node":"`, "x", `"}`),
		"a version without end":        filled(`{"op":"start","node":"a","version":"`, "0", `"}`),
		"half surrogates":              filled(`{"op":"start","node":"`, `\ud800`, `"}`),
		"fields given twice":           filled(`{"op":"start"`, `,"node":"a"`, `}`),
		"a field given as another":     `{"op":"start","\u006fp":"finish","node":"a"}`,
		"many fields":                  `{"op":"start"` + manyFields() + `}`,
		"bytes that are no text":       filled("", "\xff", ""),
		"NUL bytes":                    filled("", "\x00", ""),
	}
}

func manyFields() string {
	var b strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&b, `,"%d":0`, i)
	}
	return b.String()
}

func TestABombIsRefusedBrieflyAndInLittleMemory(t *testing.T) {
	for name, line := range bombs() {
		// All that is ever asked for, touched or not: slices of the parts of
		// a list take the most, and then operations that make sense alone.
		factor := uint64(96)
		if name == "a batch that ends in nothing" {
			factor = 256
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := parseRequest([]byte(line))
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > factor*bombSize {
			t.Errorf("%s: %d bytes for %d", name, took, len(line))
		}
		if err == nil || len(err.Error()) > 1024 {
			t.Errorf("%s: %.1100v", name, err)
		}
	}
}

func TestAfterABombTheNextLineIsRead(t *testing.T) {
	var in bytes.Buffer
	in.WriteString(`{"op":"create","biz":"1","task":"1","id":"p"}` + "\n")
	n := 1
	for _, line := range bombs() {
		in.WriteString(line + "\n")
		n++
	}
	in.WriteString(`{"op":"start","node":"p"}` + "\n")
	answers := strings.Split(strings.TrimSpace(succeed(t, in.String(), "apply", "-db", memory)), "\n")
	if len(answers) != n+1 {
		t.Fatalf("%d answers to %d lines", len(answers), n+1)
	}
	for i, answer := range answers {
		want := `{"ok":false,"code":"invalid_argument"`
		switch i {
		case 0:
			want = `{"ok":true,"seq":1,`
		case n:
			want = `{"ok":true,"seq":2,`
		}
		if !strings.HasPrefix(answer, want) || len(answer) > 2048 {
			t.Errorf("answer %d: %.200s", i, answer)
		}
	}
}

// zeros is a line that never ends, up to a length.
type zeros struct{ left int }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), z.left)
	clear(p[:n])
	z.left -= n
	return n, nil
}

func TestALineWithoutEndIsPassedOverInLittleMemory(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := newLineReader(&zeros{64 << 20}, maxLine)
	if _, err := r.next(); !errors.Is(err, errLineTooLong) {
		t.Error(err)
	}
	if _, err := r.next(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 8*maxLine {
		t.Errorf("%d MiB for a line of 64 MiB", took>>20)
	}
}

func TestLongLinesInFlightAreFew(t *testing.T) {
	for _, tt := range []struct{ length, atOnce int }{{1, 64}, {64<<10 - 1, 64}, {64 << 10, 32}, {1 << 20, 3}, {maxLine, 1}} {
		if got := maxInFlight / slotsOf(tt.length); got != tt.atOnce {
			t.Errorf("%d lines of %d bytes at once, want %d", got, tt.length, tt.atOnce)
		}
	}
	// None of them waits for another forever.
	pair := `{"op":"suspend","node":"p"},{"op":"resume","node":"p"}`
	long := `{"op":"batch","ops":[` + pair + strings.Repeat(","+pair, 2_000) + "]}\n"
	in := `{"op":"create","biz":"1","task":"1","id":"p"}` + "\n" + strings.Repeat(long+`{"op":"start","node":"x"}`+"\n", 3)
	answers := strings.Split(strings.TrimSpace(succeed(t, in, "apply", "-db", memory)), "\n")
	if len(answers) != 7 || !strings.HasPrefix(answers[5], `{"ok":true,"seq":12007,`) {
		t.Errorf("%.500q", answers)
	}
}
