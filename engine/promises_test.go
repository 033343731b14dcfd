package engine_test

import (
	"go/ast"    //nolint:depguard // part of the standard library
	"go/parser" //nolint:depguard // too
	"go/token"  //nolint:depguard // too
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// section is the text of a file below a heading, up to the next one.
func section(t *testing.T, file, heading string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("%s has no section %q", file, heading)
	}
	body, _, _ := strings.Cut(rest, "\n## ")
	return body
}

// promises are the sentences of the points of README's section.
func promises(t *testing.T) (sentences []string) {
	t.Helper()
	for i, point := range strings.Split("\n"+section(t, "../README.md", "Guarantees and limits"), "\n- ") {
		if i == 0 {
			continue // what comes before the points
		}
		point, _, _ = strings.Cut(point, "\n\n")
		text := strings.Join(strings.Fields(point), " ")
		for sentence := range strings.SplitSeq(strings.TrimSuffix(text, "."), ". ") {
			sentences = append(sentences, sentence)
		}
	}
	return sentences
}

// keptBy maps the promises of the table in CONTRIBUTING, shortened as they are
// there, to package/test.
func keptBy(t *testing.T) map[string][]string {
	t.Helper()
	table := make(map[string][]string)
	for line := range strings.Lines(section(t, "../CONTRIBUTING.md", "Promises and their tests")) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) != 2 || !strings.HasPrefix(line, "| ") || cells[0] == "| promise" {
			continue
		}
		promise := strings.TrimPrefix(cells[0], "| ")
		if _, twice := table[promise]; twice {
			t.Errorf("two lines for %q", promise)
		}
		for group := range strings.SplitSeq(strings.TrimSuffix(cells[1], " |"), "; ") {
			pkg, names, _ := strings.Cut(group, ": ")
			for name := range strings.SplitSeq(names, ", ") {
				table[promise] = append(table[promise], pkg+"/"+name)
			}
		}
	}
	return table
}

func TestEveryPromiseOfReadmeHasTests(t *testing.T) {
	sentences, table := promises(t), keptBy(t)
	if len(sentences) < 15 {
		t.Fatalf("only %d promises found", len(sentences))
	}
	used := make(map[string]int)
	for _, sentence := range sentences {
		kept := false
		for promise := range table {
			if strings.Contains(sentence, promise) {
				kept = true
				used[promise]++
			}
		}
		if !kept {
			t.Errorf("no line of CONTRIBUTING is about: %s", sentence)
		}
	}
	there := make(map[string]map[string]bool)
	for promise, tests := range table {
		if used[promise] != 1 {
			t.Errorf("%d sentences of README have %q, want one", used[promise], promise)
		}
		for _, test := range tests {
			pkg, name := filepath.Split(test)
			if there[pkg] == nil {
				there[pkg] = testsOf(t, pkg)
			}
			if !there[pkg][name] {
				t.Errorf("%q: there is no %s in %s", promise, name, pkg)
			}
		}
	}
}

var testName = regexp.MustCompile(`^(Test|Fuzz)[A-Z]`)

// testsOf are the tests of a package, for whatever system.
func testsOf(t *testing.T, pkg string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(pkg), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && testName.MatchString(f.Name.Name) {
				names[f.Name.Name] = true
			}
		}
	}
	return names
}
