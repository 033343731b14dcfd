package statusctl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unicode"

	"github.com/pipestatus/pipestatus/state"
)

// bombSize is long enough to separate the cost of a line from the cost of a call.
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

func TestABombIsRefusedWithAShortMessageAndLittleMemory(t *testing.T) {
	for name, line := range bombs() {
		// Allocated memory, used or not: slices of the parts of a list take the
		// most, then operations that are valid alone.
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

func TestAnEndlessLineIsSkippedInLittleMemory(t *testing.T) {
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

// hostileTexts contain control sequences, change the text direction, or are
// invisible.
var hostileTexts = []string{
	"\u202atx\u202bt.\u202dexe\u202e\u202c", "\u2066a\u2067b\u2068c\u2069\u2069", "\u200ea\u200fb\u061cc", "\u200b\u2060\ufeff\u3164",
	"one\u2028two\u2029three", "\u2028", "\U000e0041\U000e007f\ufffe",
	"\x1b[2J\x1b]0;title\x07\b\x7f", "\u009b31m\u0085", "a\r\nb\x00",
}

// hostileLines records each of the texts in every field that accepts it.
func hostileLines(t *testing.T) string {
	t.Helper()
	var in bytes.Buffer
	for i, text := range hostileTexts {
		task, leaf, actor := fmt.Sprint("task", i), fmt.Sprint("leaf", i), "ann"
		if state.CheckID("ID", text) == nil {
			task, leaf, actor = text, text+"leaf", text
		}
		root := task + "root"
		for _, op := range []map[string]any{
			{"op": "create", "biz": "b", "task": task, "id": root, "name": text, "actor": actor},
			{"op": "start", "node": root},
			{"op": "declare", "parent": root, "node": leaf, "kind": "subprocess", "name": text},
			{"op": "declare", "parent": leaf, "node": leaf + "2", "kind": "service_activity", "name": text},
			{"op": "start", "node": leaf},
			{"op": "start", "node": leaf + "2"},
			{"op": "fail", "node": leaf + "2", "error": text, "actor": actor},
			{"op": "retry", "node": leaf + "2", "actor": actor},
			{"op": "start", "node": leaf + "2"},
			{"op": "fail", "node": leaf + "2", "error": text},
		} {
			mustWrite(t, &in, op)
		}
	}
	return in.String()
}

func TestNoCommandPrintsControlSequences(t *testing.T) {
	db := filepath.Join(t.TempDir(), "hostile.db")
	in := hostileLines(t)
	for i, text := range hostileTexts { // refused texts are quoted
		for _, field := range []string{"biz", "task", "id", "name", "actor", "op", text} {
			var line bytes.Buffer
			mustWrite(t, &line, map[string]any{"op": "create", "biz": "b", "task": fmt.Sprint("again", i), field: text})
			in += line.String()
		}
		var line bytes.Buffer
		mustWrite(t, &line, map[string]any{"op": "status", "biz": "b", "task": fmt.Sprint("task", i)})
		in += line.String()
	}
	expectInert(t, "apply", call(t.Context(), in, "apply", "-db", db), true)
	for i, text := range hostileTexts {
		task, leaf := fmt.Sprint("task", i), fmt.Sprint("leaf", i)
		if state.CheckID("ID", text) == nil {
			task, leaf = text, text+"leaf"
		}
		for _, args := range [][]string{
			{"get", "b", task},
			{"get", "b", text},
			{"tree", "b", task},
			{"tree", "b", leaf},
			{"tree", "b", text},
			{"tree", "-mermaid", "b", task},
			{"history", leaf + "2"},
			{"history", text},
			{"timeline", "b", task},
			{"timeline", "b", text},
			{"timeline", "-svg", "b", task},
			{"list", "-biz", text},
			{"list", "-text", text},
			{"list", "-state", text},
			{text},
		} {
			for _, asJSON := range []bool{false, true} {
				name := fmt.Sprintf("%q", args)
				if asJSON {
					args = append(args, "-json")
				}
				expectInert(t, name, call(t.Context(), "", append([]string{"-db", db}, args...)...), asJSON)
			}
		}
		var answer struct {
			Data struct{ Name string }
		}
		mustRead(t, []byte(succeed(t, "", "get", "b", task, "-db", db)), &answer)
		if answer.Data.Name != text {
			t.Errorf("the name is %q, want %q", answer.Data.Name, text)
		}
	}
	for _, args := range [][]string{{"list"}, {"watch"}, {"stats"}, {"check"}, {"purge", "-dry-run", "-keep", "1"}, {"export"}} {
		expectInert(t, args[0], call(t.Context(), "", append(args, "-db", db)...), args[0] == "export")
		expectInert(t, args[0], call(t.Context(), "", append(args, "-db", db, "-json")...), true)
	}
}

// expectInert expects a call to print no control sequences or invisible characters,
// and with JSON output only lines of JSON.
func expectInert(t *testing.T, name string, got outcome, asJSON bool) {
	t.Helper()
	for _, r := range got.stdout + got.stderr {
		if r != '\n' && (!unicode.IsPrint(r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)) {
			t.Errorf("%s prints %U: %.200q", name, r, got.stdout+got.stderr)
			break
		}
	}
	for line := range strings.Lines(got.stdout) {
		if asJSON && !json.Valid([]byte(line)) {
			t.Errorf("%s prints %.200q", name, line)
		}
	}
}
