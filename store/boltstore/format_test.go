package boltstore

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/state"
)

// FORMAT.md is for readers; this test compares the tables with the code.
func TestTheDocumentOfTheFormatIsThatOfTheFile(t *testing.T) {
	text, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	document := string(text)
	if want := fmt.Sprintf("describes schema %d of", schemaVersion); !strings.Contains(document, want) {
		t.Errorf("it does not say that it %s the file", want)
	}
	var buckets []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| ").FindAllStringSubmatch(document, -1) {
		buckets = append(buckets, row[1])
	}
	if want := bucketNames[:]; !slices.Equal(slices.Compact(buckets), want) {
		t.Errorf("it has the buckets %q, want %q", slices.Compact(buckets), want)
	}
	if rows := numbers(); !strings.Contains(document, rows) {
		t.Errorf("it lacks the numbers\n%s", rows)
	}
	if rows := sizesOf(); !strings.Contains(document, rows) {
		t.Errorf("it lacks the sizes\n%s", rows)
	}
}

// sizesOf returns the table of the sizes of inputs and outputs.
func sizesOf() string {
	var b strings.Builder
	for _, size := range []int{0, 1, 1 << 10, state.DefaultDataBytes, state.MaxDataBytes} {
		tr := extremes()[0]
		number([]*state.Transition{tr}, 1)
		without := len(block([]*state.Transition{tr}, true))
		tr.Data = state.NewData(make([]byte, size))
		p := dataPut(1, tr)
		frame := len(appendData(nil, []put{p})) - 1 // the 0 before all data
		fmt.Fprintf(&b, "| %d | %d | %d | %d | %d |\n", size, len(p.key), len(p.value), frame, len(block([]*state.Transition{tr}, true))-without)
	}
	return b.String()
}

// numbers returns the table of the numbers that stand for names.
func numbers() string {
	var b strings.Builder
	for n := 1; state.Kind(n).Valid() || state.State(n).Valid() || state.OpKind(n).Valid(); n++ {
		var kind, st, op string
		if k := state.Kind(n); k.Valid() {
			kind = k.String()
		}
		if s := state.State(n); s.Valid() {
			st = s.String()
		}
		if o := state.OpKind(n); o.Valid() {
			op = o.String()
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %s |\n", n, kind, st, op)
	}
	return b.String()
}
