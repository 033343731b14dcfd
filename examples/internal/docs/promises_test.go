package docs_test

import (
	"go/ast"    //nolint:depguard // part of the standard library
	"go/parser" //nolint:depguard // too
	"go/token"  //nolint:depguard // too
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// document is where the promises and their tests stand.
const document = "engine/PROMISES.md"

// parts are the promises and the table of their tests.
func parts(t *testing.T) (list, table string) {
	t.Helper()
	list, table, found := strings.Cut(read(t, document), "\n## Tests\n")
	if !found {
		t.Fatal("no section with tests in " + document)
	}
	return list, table
}

// promises are the sentences of the points of the document.
func promises(t *testing.T) (sentences []string) {
	t.Helper()
	list, _ := parts(t)
	for i, point := range strings.Split(list, "\n- ") {
		if i == 0 {
			continue // text before the list
		}
		point, _, _ = strings.Cut(point, "\n\n")
		text := strings.Join(strings.Fields(point), " ")
		for sentence := range strings.SplitSeq(strings.TrimSuffix(text, "."), ". ") {
			sentences = append(sentences, sentence)
		}
	}
	return sentences
}

// keptBy maps the promises of the table, in their shortened form, to
// package/test.
func keptBy(t *testing.T) map[string][]string {
	t.Helper()
	table := make(map[string][]string)
	_, lines := parts(t)
	for line := range strings.Lines(lines) {
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

func TestEveryPromiseHasTests(t *testing.T) {
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
			t.Errorf("no line of the table in "+document+" is about: %s", sentence)
		}
	}
	there := make(map[string]map[string]bool)
	for promise, tests := range table {
		if used[promise] != 1 {
			t.Errorf("%d promises have %q, want one", used[promise], promise)
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
	files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pkg), "*_test.go"))
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
