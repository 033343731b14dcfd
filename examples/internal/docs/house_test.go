package docs_test

import (
	"go/parser" //nolint:depguard // part of the standard library
	"go/token"  //nolint:depguard // too
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

func TestFilesThatContributingNamesExist(t *testing.T) {
	found := named.FindAllStringSubmatch(read(t, "CONTRIBUTING.md"), -1)
	if len(found) < 40 {
		t.Errorf("only %d names found", len(found))
	}
	for _, name := range found {
		if _, err := os.Stat(filepath.Join(root, name[1])); err != nil {
			t.Error(err)
		}
	}
}
