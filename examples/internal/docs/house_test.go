package docs_test

import (
	"go/parser" //nolint:depguard // part of the standard library
	"go/token"  //nolint:depguard // too
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/examples/internal/docs"
)

var (
	edge = regexp.MustCompile(`^\s*(\w+)(?:\[([\w/]+)\])? --> (\w+)(?:\[([\w/]+)\])?$`)
	// named is a file or directory of the repository as CONTRIBUTING names it.
	named = regexp.MustCompile("`((?:engine|state|store|query|examples|\\.ci)/[\\w./-]+)`")
	// identifier is the last part of a name in Go or JavaScript.
	identifier = regexp.MustCompile("`(?:\\w+\\.)?(\\w+)`")
	testFunc   = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	// tableOf is the line before a table of the files of a package, and short a file
	// or directory in one.
	tableOf = regexp.MustCompile("^`([\\w/]+)`[,:]")
	short   = regexp.MustCompile("`(\\w+\\.\\w+|internal/\\w+)`")
)

// importsOf are the packages of the repository that the files of one import.
func importsOf(t *testing.T, pkg string) (all []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, pkg, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no files, %v", pkg, err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if own, ours := strings.CutPrefix(imported, docs.Module+"/"); ours {
				all = append(all, own)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestTheImportGraphInContributingMatchesTheCode(t *testing.T) {
	_, picture, _ := strings.Cut(read(t, "CONTRIBUTING.md"), "```mermaid\n")
	picture, _, _ = strings.Cut(picture, "```")
	names, drawn := make(map[string]string), make(map[string][]string)
	var edges [][2]string
	for line := range strings.Lines(picture) {
		found := edge.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if found == nil {
			continue
		}
		for i := 1; i < 5; i += 2 {
			if found[i+1] != "" {
				names[found[i]] = found[i+1]
			} else if names[found[i]] == "" {
				names[found[i]] = found[i]
			}
		}
		edges = append(edges, [2]string{found[1], found[3]})
	}
	if len(edges) < 20 {
		t.Fatalf("only %d lines found", len(edges))
	}
	for _, e := range edges {
		drawn[names[e[0]]] = append(drawn[names[e[0]]], names[e[1]])
	}
	for _, pkg := range names {
		imported := slices.DeleteFunc(importsOf(t, pkg), func(name string) bool {
			return name == "state" || strings.Contains(name, "internal/")
		})
		slices.Sort(drawn[pkg])
		if !slices.Equal(drawn[pkg], imported) {
			t.Errorf("%s imports %q, the picture says %q", pkg, imported, drawn[pkg])
		}
	}
}

// declared are the names of all tests of the repository.
func declared(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	err := filepath.WalkDir(root, func(name string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := os.ReadFile(name)
		for _, found := range testFunc.FindAllSubmatch(text, -1) {
			names[string(found[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// An entry that says which files to change names the files with their
// directories, identifiers that are in one of these files, and tests.
func TestFilesAndIdentifiersThatContributingNamesExist(t *testing.T) {
	files, identifiers, tests := 0, 0, declared(t)
	for paragraph := range strings.SplitSeq(read(t, "CONTRIBUTING.md"), "\n\n") {
		var text strings.Builder
		for _, found := range named.FindAllStringSubmatch(paragraph, -1) {
			files++
			if info, err := os.Stat(filepath.Join(root, found[1])); err != nil {
				t.Error(err)
			} else if !info.IsDir() {
				text.WriteString(read(t, found[1]))
			}
		}
		if !strings.HasPrefix(paragraph, "**") || text.Len() == 0 {
			continue
		}
		for _, found := range identifier.FindAllStringSubmatch(paragraph, -1) {
			identifiers++
			if tests[found[1]] {
				continue
			}
			if !regexp.MustCompile(`\b` + found[1] + `\b`).MatchString(text.String()) {
				t.Errorf("%s is in no file of the entry %.40q", found[1], paragraph)
			}
		}
	}
	if files < 100 || identifiers < 30 {
		t.Errorf("only %d names of files and %d identifiers found", files, identifiers)
	}
}

// The tables of the files of a package name them without its directory.
func TestFilesInTheTablesOfContributingExist(t *testing.T) {
	_, tables, _ := strings.Cut(read(t, "CONTRIBUTING.md"), "## Files of the largest packages\n")
	tables, _, _ = strings.Cut(tables, "\n## ")
	dir, files := "", 0
	for line := range strings.Lines(tables) {
		if found := tableOf.FindStringSubmatch(line); found != nil {
			dir = found[1]
		}
		for _, found := range short.FindAllStringSubmatch(line, -1) {
			files++
			if _, err := os.Stat(filepath.Join(root, dir, found[1])); err != nil {
				t.Error(err)
			}
		}
	}
	if files < 100 {
		t.Errorf("only %d names found", files)
	}
}
