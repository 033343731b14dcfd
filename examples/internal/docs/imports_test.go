package docs_test

import (
	"go/parser" //nolint:depguard // part of the standard library
	"go/token"  //nolint:depguard // too
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/examples/internal/docs"
)

// mayImport says which packages of the module, and which others beyond the
// standard library, the non-test files of a package may import. Packages below
// one that is named follow its line unless they have their own.
var mayImport = map[string][]string{
	"state":                {},
	"store":                {"state"},
	"store/boltstore":      {"state", "store", "go.etcd.io/bbolt", "go.etcd.io/bbolt/errors"},
	"store/feed":           {"state", "store"},
	"store/sharded":        {"state", "store"},
	"store/storetest":      {"state", "store"},
	"store/wire":           {"state", "store"},
	"engine":               {"state", "store"},
	"engine/internal":      {"state", "store"}, // for tests
	"engine/enginetest":    {"state", "store", "engine", "engine/internal/model"},
	"query":                {"state", "store"},
	"query/httpapi":        {"state", "store", "store/feed", "store/wire", "query", "query/strictjson"},
	"query/httpapi/client": {"state", "store", "store/wire", "query/httpapi"},
	"query/internal":       {"state", "store", "engine"}, // for tests
	"query/picture":        {"state", "query"},
	"query/notify":         {"state", "store", "store/feed", "store/wire"},
	"query/strictjson":     {},
	"examples":             {"state", "store", "store/wire", "query/httpapi/client", "store/boltstore", "engine", "query", "query/httpapi", "query/notify", "query/picture", "query/strictjson", "store/feed", "store/sharded", "examples/internal/arguments", "examples/internal/database", "examples/internal/hook", "examples/internal/measuring", "examples/internal/serving", "examples/internal/terminal"},
	"examples/minimal":     {"state", "store/boltstore", "engine", "query"},
	"examples/runner":      {"examples/internal/runner"},
	"examples/statusctl":   {"examples/internal/statusctl"},
	"store/boltstore/internal": { // the steps that tests crash after
		"store/boltstore/internal/steps",
	},
	"store/boltstore/internal/files": {"state", "store", "store/boltstore/internal/pages", "store/boltstore/internal/steps"},
	"store/boltstore/internal/pages": {"store"},
	"examples/bench": { // measures a bare bbolt for comparison
		"state", "store", "store/boltstore", "engine", "query", "query/httpapi", "examples/internal/measuring", "go.etcd.io/bbolt",
	},
}

// The layout shows the architecture: engine imports store, which imports state;
// query imports state and store; engine and query do not import each other, and
// only the bolt store imports bbolt.
func TestPackagesImportInOneDirection(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if entry.IsDir() {
			if rel != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || isModule(name)) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") {
			return nil
		}
		pkg := path.Dir(rel)
		seen[pkg] = true
		allowed, known := allowedFor(pkg)
		if !known {
			t.Errorf("%s: no line says what %s may import", rel, pkg)
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			own := strings.TrimPrefix(imported, docs.Module+"/")
			standard := !strings.Contains(strings.Split(imported, "/")[0], ".")
			if !standard && !slices.Contains(allowed, own) && !strings.HasPrefix(own, pkg+"/") {
				t.Errorf("%s imports %s", rel, imported)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range []string{"state", "store", "store/boltstore", "engine", "query"} {
		if !seen[pkg] {
			t.Errorf("looked at no file of %s", pkg)
		}
	}
}

// allowedFor is the line of a package or of the nearest one above it.
func allowedFor(pkg string) ([]string, bool) {
	for ; pkg != "."; pkg = path.Dir(pkg) {
		if allowed, ok := mayImport[pkg]; ok {
			return allowed, true
		}
	}
	return nil, false
}

// isModule reports whether a directory is the root of a module.
func isModule(dir string) bool {
	found, err := filepath.Glob(filepath.Join(dir, "go.mod"))
	return err == nil && len(found) > 0
}
