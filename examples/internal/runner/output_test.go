package runner

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestOutputKeepsTheLastLinesHoweverItIsWritten(t *testing.T) {
	var text strings.Builder
	for i := range 30 {
		fmt.Fprintf(&text, "line %d\r\n", i)
	}
	text.WriteString("::set name=value\n::set no name=value\n::set 1=x\n::set plain\n" + strings.Repeat("x", 5000) + "\nend")
	for _, size := range []int{1, 7, 1000, 1 << 20} {
		var o output
		for chunk := range slices.Chunk([]byte(text.String()), size) {
			if n, err := o.Write(chunk); n != len(chunk) || err != nil {
				t.Fatalf("Write returned %d, %v", n, err)
			}
		}
		want := []string{
			"line 25", "line 26", "line 27", "line 28", "line 29",
			"::set no name=value", "::set 1=x", "::set plain", strings.Repeat("x", headBytes) + "… 3976 bytes …" + strings.Repeat("x", endBytes), "end",
		}
		if got := strings.Split(o.tail(), "\n"); !slices.Equal(got, want) {
			t.Errorf("in pieces of %d: tail is %q", size, got)
		}
		if len(o.set) != 1 || o.set["name"] != "value" {
			t.Errorf("in pieces of %d: set is %v", size, o.set)
		}
	}
}

func TestValuesOfAnyLengthUpToTheLimitAreKept(t *testing.T) {
	for length, kept := range map[int]bool{0: true, 3004: true, maxValueBytes: true, maxValueBytes + 1: false, 10 * maxValueBytes: false} {
		for _, size := range []int{1000, 1 << 20} {
			var o output
			value := strings.Repeat("x", length)
			for chunk := range slices.Chunk([]byte("::set v="+value+"\r\n"), size) {
				if _, err := o.Write(chunk); err != nil {
					t.Fatal(err)
				}
			}
			got, set := o.set["v"]
			if set != kept || kept && got != value || (o.problem == "") != kept || !kept && !strings.Contains(o.problem, "::set v: the value is longer than") {
				t.Errorf("%d bytes in pieces of %d: set %v, %d bytes, problem %q", length, size, set, len(got), o.problem)
			}
		}
	}
}

func TestACommandCannotSetMoreThanALaterCommandCanReceive(t *testing.T) {
	var o output
	for i := range 40 {
		fmt.Fprintf(&o, "::set v%d=%s\n", i, strings.Repeat("x", maxValueBytes-100))
	}
	if size(o.set) > maxSetBytes || len(o.set) != 16 || !strings.Contains(o.problem, "::set v16: all values together") {
		t.Errorf("%d variables of %d bytes are kept, problem %q", len(o.set), size(o.set), o.problem)
	}
}

func TestMemoryDoesNotGrowWithALine(t *testing.T) {
	var o output
	for range 1000 {
		fmt.Fprint(&o, strings.Repeat("x", 1<<14), "\r", strings.Repeat("::set ", 1<<10))
	}
	if n := cap(o.line.head) + cap(o.line.end); n > 1<<20 {
		t.Errorf("a line takes %d bytes", n)
	}
}
