package engine_test

import (
	"os"
	"strings"
	"testing"
)

// What README shows is what is tested: each line of its Go code is one of the
// package's example, in the same order.
func TestReadmeShowsTheExample(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(readme), "```go\n")
	code, after, found := strings.Cut(code, "```")
	if !found {
		t.Fatal("no Go code in README")
	}
	rest := string(example)
	for line := range strings.Lines(code) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if _, rest, found = strings.Cut(rest, "\t"+line+"\n"); !found {
			t.Fatalf("the example lacks, or has elsewhere: %s", line)
		}
	}
	_, answer, _ := strings.Cut(after, "```json\n")
	answer, _, _ = strings.Cut(answer, "```")
	if printed := "\t// " + strings.ReplaceAll(strings.TrimSpace(answer), "\n", "\n\t// "); !strings.Contains(string(example), printed) {
		t.Error("the example does not print what README shows")
	}
}
