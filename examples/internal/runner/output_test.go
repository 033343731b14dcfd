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
			"::set no name=value", "::set 1=x", "::set plain", strings.Repeat("x", lineBytes), "end",
		}
		if got := strings.Split(o.tail(), "\n"); !slices.Equal(got, want) {
			t.Errorf("in pieces of %d: tail is %q", size, got)
		}
		if len(o.set) != 1 || o.set["name"] != "value" {
			t.Errorf("in pieces of %d: set is %v", size, o.set)
		}
	}
}
