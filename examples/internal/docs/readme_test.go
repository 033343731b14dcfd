package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/examples/internal/docs"
)

// root is the root of the repository.
const root = "../../.."

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// program is the Go code that README shows.
func program(t *testing.T) string {
	t.Helper()
	_, code, _ := strings.Cut(read(t, "README.md"), "```go\n")
	code, _, found := strings.Cut(code, "```")
	if !found {
		t.Fatal("no Go code in README")
	}
	return code
}

func TestReadmeShowsTheMinimalProgram(t *testing.T) {
	if text := read(t, "examples/minimal/main.go"); !strings.HasSuffix(text, "\n"+program(t)) {
		t.Error("README shows another program than examples/minimal")
	}
}

// The test pastes the program of README into an empty module that requires this
// one, and runs it as README says.
func TestTheProgramOfReadmeRunsInAnEmptyModule(t *testing.T) {
	dir := t.TempDir()
	abs, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	for name, content := range map[string]string{"main.go": program(t), "go.sum": read(t, "go.sum")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run("go", "mod", "init", "example")
	run("go", "mod", "edit", "-require", docs.Module+"@v0.0.0", "-replace", docs.Module+"="+abs)
	run("go", "build", "-o", "program.exe", ".")
	program := filepath.Join(dir, "program.exe")
	if out := run(program); strings.Count(out, `"state":"FAILED"`) != 2 {
		t.Errorf("the first run prints %s", out)
	}
	if err := os.WriteFile(filepath.Join(dir, "main.c"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := run(program); strings.Count(out, `"state":"FINISHED"`) != 2 || !strings.Contains(out, `"retry":1`) {
		t.Errorf("the second run prints %s", out)
	}
}

func TestReadmeIsShort(t *testing.T) {
	if lines := strings.Count(read(t, "README.md"), "\n"); lines >= 200 {
		t.Errorf("%d lines", lines)
	}
}

var link = regexp.MustCompile(`(?:\]\(|src(?:set)?=")([^)" ]+)[)"]`)

// anchors are those of the headings of a document.
func anchors(text string) (all []string) {
	for line := range strings.Lines(text) {
		if heading, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && line[0] == '#' {
			all = append(all, strings.ReplaceAll(strings.ToLower(strings.TrimSpace(heading)), " ", "-"))
		}
	}
	return all
}

func TestLinksOfTheDocumentsWork(t *testing.T) {
	for _, name := range []string{
		"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "engine/PROMISES.md", "state/RULES.md",
		"store/boltstore/FORMAT.md", "examples/bench/RESULTS.md", "examples/compare/RESULTS.md",
	} {
		for _, found := range link.FindAllStringSubmatch(read(t, name), -1) {
			if strings.HasPrefix(found[1], "http") {
				continue
			}
			target, anchor, hasAnchor := strings.Cut(found[1], "#")
			if target = filepath.Join(filepath.Dir(name), target); strings.HasPrefix(found[1], "#") {
				target = name
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s: %v", name, err)
			} else if hasAnchor && !slices.Contains(anchors(read(t, target)), anchor) {
				t.Errorf("%s: %s has no heading %q", name, target, anchor)
			}
		}
	}
}
