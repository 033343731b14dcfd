package statusctl

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// outcome is the result of one call of the tool.
type outcome struct {
	code           int
	stdout, stderr string
}

// call runs the tool in this process.
func call(ctx context.Context, stdin string, args ...string) outcome {
	var stdout, stderr strings.Builder
	code := (&tool{stdin: strings.NewReader(stdin), stdout: &stdout, stderr: &stderr}).call(ctx, args)
	return outcome{code, stdout.String(), stderr.String()}
}

// succeed calls the tool and expects success.
func succeed(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	got := call(t.Context(), stdin, args...)
	if got.code != exitOK || got.stderr != "" {
		t.Fatalf("statusctl %s: exit code %d\n%s%s", strings.Join(args, " "), got.code, got.stdout, got.stderr)
	}
	return got.stdout
}

// golden compares got with a file under testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestExitCodesAndWhereProblemsAreReported(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	db, empty, text := filepath.Join(dir, "a.db"), file("empty.db", ""), file("text.db", strings.Repeat("text\n", 10_000))
	zeros := file("zeros.db", strings.Repeat("\x00", 50_000))
	lines := file("lines.jsonl", `{"op":"create","biz":"2","task":"10","id":"p"}`+"\n"+`{"op":"finish","node":"p"}`+"\n")
	missing := filepath.Join(dir, "missing.db")
	for _, test := range []struct {
		name   string
		args   []string
		code   int
		stdout string // a part of it
		stderr string
	}{
		{"no command", nil, exitUsage, "", "needs a command"},
		{"an unknown command", []string{"aply"}, exitUsage, "", `unknown command "aply"`},
		{"an unknown flag", []string{"-what", "apply"}, exitUsage, "", "-what"},
		{"an unknown flag of a command", []string{"list", "-what"}, exitUsage, "", "statusctl list: "},
		{"an unknown zone", []string{"-tz", "Asia/Nowhere", "list"}, exitUsage, "", "Asia/Nowhere"},
		{"too many arguments", []string{"apply", lines, lines}, exitUsage, "", "unexpected argument"},
		{"too few arguments", []string{"get", "2"}, exitUsage, "", "BIZ TASK|NODE"},
		{"a state that there is not", []string{"list", "-db", db, "-state", "DONE"}, exitUsage, "", "DONE"},
		{"an order that there is not", []string{"list", "-db", db, "-sort", "name"}, exitUsage, "", "-sort is recorded, started or duration"},
		{"a cursor in another order", []string{"list", "-db", db, "-sort", "duration", "-cursor", "x"}, exitUsage, "", "-sort recorded"},
		{"a time that there is not", []string{"list", "-db", db, "-since", "yore"}, exitUsage, "", "-since"},
		{"memory where it makes no sense", []string{"list", "-db", ":memory:"}, exitUsage, "", ":memory:"},
		{"a server that needs another program", []string{"list", "-db", "postgres://ann:s3cret@h/d"}, exitUsage, "", "postgres://ann@h/d: this program opens files; PostgreSQL is opened by"},
		{"a kind of server that there is not", []string{"-db", "mysql://h/d", "apply"}, exitUsage, "", "mysql://"},
		{"a server where only a file will do", []string{"backup", "-db", "postgres://h/d", "x"}, exitUsage, "", "pg_dump"},
		{"a server to compact", []string{"compact", "-db", "postgres://h/d"}, exitUsage, "", "pg_dump"},
		{"a server to salvage", []string{"salvage", "-db", "postgres://h/d", "x"}, exitUsage, "", "pg_dump"},
		{"no file name", []string{"-db", "", "apply", lines}, exitUsage, "", "-db"},
		{"help", []string{"-h"}, exitOK, "  apply ", ""},
		{"help by name", []string{"help"}, exitOK, "  apply ", ""},
		{"help by the name of a command", []string{"help", "apply"}, exitOK, "max_loops", ""},
		{"help of no command", []string{"help", "aply"}, exitUsage, "", `unknown command "aply"`},
		{"help of a command", []string{"apply", "-h"}, exitOK, "max_loops", ""},
		{"help after other flags", []string{"list", "-db", "x", "-h"}, exitOK, "-unfinished", ""},

		{"refused operations", []string{"apply", lines, "-db", db}, exitOK, `"code":"invalid_transition"`, ""},
		{"the same again", []string{"-db", db, "apply", lines}, exitOK, `"code":"exists"`, ""},
		{"flags after the argument", []string{"get", "2", "10", "-db", db}, exitOK, `"result": true`, ""},
		{"arguments after two dashes", []string{"get", "-db", db, "--", "2", "-10"}, exitFailed, `"result": false`, ""},
		{"a task that there is not", []string{"get", "-db", db, "2", "11"}, exitFailed, `"result": false`, ""},
		{"a task that there was not", []string{"get", "-db", db, "2", "10", "-at", "2000-01-01"}, exitFailed, `"result": false`, ""},
		{"a time that there is not, for a task", []string{"get", "-db", db, "2", "10", "-at", "yore"}, exitUsage, "", "-at"},
		{"a tree that there is not", []string{"tree", "-db", db, "2", "11"}, exitFailed, "", "no task or node"},
		{"a name instead of an ID", []string{"why", "-db", db, "2", "nightly build"}, exitFailed, "", "'statusctl list -name NAME' finds"},
		{"a tree that there is not, for programs", []string{"tree", "-json", "-db", db, "2", "11"}, exitFailed, `"code":"not_found"`, ""},
		{"a tree in two forms", []string{"tree", "-json", "-mermaid", "-db", db, "2", "10"}, exitUsage, "", "exclude"},
		{"a timeline in two forms", []string{"timeline", "-svg", "-json", "-db", db, "2", "10"}, exitUsage, "", "exclude"},
		{"a node that there is not", []string{"history", "-db", db, "nobody"}, exitFailed, "", "not found"},
		{"the check of a sound file", []string{"check", "-db", db}, exitOK, "is sound", ""},

		{"input that there is not", []string{"apply", "-db", db, filepath.Join(dir, "none.jsonl")}, exitFailed, "", "none.jsonl"},
		{"a directory as input", []string{"apply", "-db", db, dir}, exitFailed, "", "directory"},
		{"a file that there is not", []string{"list", "-db", missing}, exitFailed, "", "no database"},
		{"a file in no directory", []string{"apply", "-db", filepath.Join(dir, "none", "a.db"), lines}, exitFailed, `"code":"invalid_argument"`, ""},
		{"an empty file", []string{"apply", "-db", empty, lines}, exitFailed, `"code":"corrupt"`, ""},
		{"another kind of file", []string{"apply", "-db", text, lines}, exitFailed, `"code":"corrupt"`, ""},
		{"another kind of file, read", []string{"list", "-db", text}, exitFailed, "", "text.db: this is a text file and not a pipestatus database\n"},
		{"another kind of file, read by a program", []string{"list", "-json", "-db", text}, exitFailed, `"code":"invalid_argument"`, ""},
		{"a damaged file", []string{"list", "-db", zeros}, exitFailed, "", "salvage"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := call(t.Context(), "", test.args...)
			if got.code != test.code || !strings.Contains(got.stdout, test.stdout) || !strings.Contains(got.stderr, test.stderr) {
				t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
			}
			if (test.stderr == "") != (got.stderr == "") {
				t.Errorf("on standard error: %q", got.stderr)
			}
		})
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("reading made the file")
	}
}

func TestAStoreThatDoesNotOpenGetsOneAnswer(t *testing.T) {
	got := call(t.Context(), strings.Repeat(`{"op":"start","node":"a"}`+"\n", 10), "apply", "-db", t.TempDir())
	if strings.Count(got.stdout, "\n") != 1 || !strings.HasPrefix(got.stdout, `{"ok":false,"code":"invalid_argument","error":"`) || got.code != exitFailed {
		t.Errorf("exit code %d\n%s", got.code, got.stdout)
	}
}

func TestAFileThatItsRunnerHasOpenIsLocked(t *testing.T) {
	db := filepath.Join(t.TempDir(), "a.db")
	runner := &tool{db: db}
	s, err := runner.create(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := call(t.Context(), "", "apply", "-db", db); got.code != exitFailed || !strings.HasPrefix(got.stdout, `{"ok":false,"code":"locked"`) {
		t.Errorf("apply: exit code %d\n%s", got.code, got.stdout)
	}
	if got := call(t.Context(), "", "list", "-db", db); got.code != exitFailed || !strings.Contains(got.stderr, "runner") || !strings.Contains(got.stderr, db) {
		t.Errorf("list: exit code %d\n%s", got.code, got.stderr)
	}
}

func TestEveryCommandHasHelp(t *testing.T) {
	for _, c := range commands() {
		out := succeed(t, "", c.name, "-h")
		if !strings.HasPrefix(out, "statusctl "+c.name+": ") {
			t.Errorf("%s -h prints\n%s", c.name, out)
		}
		for line := range strings.Lines(out) {
			if len([]rune(line)) > 100 {
				t.Errorf("%s -h has a line of %d characters: %s", c.name, len(line), line)
			}
		}
	}
}
