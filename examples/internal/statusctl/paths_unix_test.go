//go:build unix

package statusctl

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/examples/internal/filetest"
)

// For every kind of existing or impossible target, no file is overwritten or left
// behind, and the answer names the target.
func TestNoCommandOverwritesFiles(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return dir + "/" + name }
	db, source := in("a.db"), in("export.jsonl")
	succeed(t, `{"op":"create","biz":"b","task":"t","id":"p"}`, "apply", "-db", db)
	err := errors.Join(
		os.WriteFile(source, []byte(succeed(t, "", "export", "-db", db)), 0o600),
		os.WriteFile(in("text"), []byte("mine, without an end of line"), 0o600), os.WriteFile(in("empty"), nil, 0o600),
		os.Mkdir(in("dir"), 0o700), syscall.Mkfifo(in("pipe"), 0o600), os.Link(db, in("hard")),
		os.Symlink("nowhere", in("dangling")), os.Symlink("text", in("to-text")), os.Symlink("a.db", in("to-itself")),
		os.Symlink("dir", in("to-dir")), os.Symlink("pipe", in("to-pipe")), os.Symlink("loop", in("loop")),
		os.Symlink("/dev/null", in("to-null")),
	)
	if err != nil {
		t.Fatal(err)
	}
	copies := [][]string{{"backup", "-db", db}, {"backup", "-compact", "-db", db}, {"salvage", "-db", db}}
	opens := [][]string{{"apply", source, "-db"}, {"import", source, "-db"}, {"compact", "-db"}, {"purge", "-keep", "1", "-db"}}
	refused := map[string][][]string{
		in("a.db"): copies, in("hard"): copies, in("to-itself"): copies, in("dir/../a.db"): copies, in("to-dir/../a.db"): copies,
	}
	for _, name := range []string{
		in("text"), in("empty"), in("dir"), in("dir/"), in("pipe"), in("dangling"), in("to-text"), in("to-dir"), in("to-dir/"), in("to-pipe"), in("loop"),
		in("to-null"), "/dev/null", "/dev/full", in("new/"), in("text/new"), in("missing/new"), in("dangling/new"), in("a.db/"), in("dir/.."),
		in("new\x00"), in(strings.Repeat("n", 300)),
	} {
		refused[name] = slices.Concat(copies, opens)
	}
	before := filetest.Everything(t, dir)
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		for _, args := range refused[name] {
			got := call(t.Context(), "", append(slices.Clone(args), name)...)
			if got.code != exitFailed || !strings.Contains(got.stdout+got.stderr, strings.TrimRight(strings.TrimSuffix(name, "\x00"), "/")) {
				t.Errorf("%q %q: exit code %d\n%s%s", args, name, got.code, got.stdout, got.stderr)
			}
			if diff := cmp.Diff(before, filetest.Everything(t, dir)); diff != "" {
				t.Fatalf("%q %q (-before +after):\n%s", args, name, diff)
			}
		}
	}
	for _, args := range copies {
		if got := call(t.Context(), "", append(slices.Clone(args), "")...); got.code != exitUsage {
			t.Errorf("%q to no name: exit code %d\n%s", args, got.code, got.stderr)
		}
	}
	for _, name := range []string{db, in("hard"), in("to-itself"), in("dir"), in("text"), "/dev/null", in("missing")} {
		for _, to := range []string{db, in("new.db")} {
			if got := call(t.Context(), "", "import", name, "-db", to); got.code != exitFailed {
				t.Errorf("import %s into %s: exit code %d\n%s", name, to, got.code, got.stdout)
			}
		}
	}
	if diff := cmp.Diff(before, filetest.Everything(t, dir)); diff != "" {
		t.Fatalf("(-before +after):\n%s", diff)
	}
}

// A link to a database stays a link, and its target is the database.
func TestADatabaseBehindALink(t *testing.T) {
	dir := t.TempDir()
	link, file := filepath.Join(dir, "link.db"), filepath.Join(dir, "file.db")
	succeed(t, `{"op":"create","biz":"b","task":"1"}`, "apply", "-db", file)
	if err := os.Symlink("file.db", link); err != nil {
		t.Fatal(err)
	}
	succeed(t, `{"op":"create","biz":"b","task":"2"}`, "apply", "-db", link)
	succeed(t, "", "compact", "-db", link)
	if target, err := os.Readlink(link); err != nil || target != "file.db" {
		t.Errorf("the link leads to %q, %v", target, err)
	}
	if out := succeed(t, "", "list", "-db", file); strings.Count(out, "\n") != 3 {
		t.Errorf("the file has\n%s", out)
	}
	if left := filetest.Everything(t, dir); len(left) != 3 {
		t.Errorf("the directory has %q", slices.Sorted(maps.Keys(left)))
	}
}

func TestSpooledFilesArePrivateForAnyUmask(t *testing.T) {
	for _, mask := range []string{"0", "022", "077"} {
		dir := t.TempDir()
		db := filepath.Join(dir, "new.db")
		cmd := filetest.WithUmask(process(t, "import", "-db", db), mask)
		cmd.Env = append(cmd.Env, "TMPDIR="+dir)
		stdin, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		export := `{"format":"pipestatus-export","version":1,"sequence":0}` + "\n" + `{"end":true,"tasks":0,"transitions":0}` + "\n"
		_, err = fmt.Fprint(stdin, export)
		var spool []string
		for len(spool) == 0 && err == nil { // until it has begun
			spool, err = filepath.Glob(filepath.Join(dir, "*"))
		}
		if err != nil {
			t.Fatal(err)
		}
		expectOwners(t, dir, mask)
		if err := errors.Join(stdin.Close(), cmd.Wait()); err != nil {
			t.Errorf("umask %s: %v", mask, err)
		}
		expectOwners(t, dir, mask)
		if left := filetest.Everything(t, dir); len(left) != 2 {
			t.Errorf("umask %s: left are %q", mask, slices.Sorted(maps.Keys(left)))
		}
	}
}

// expectOwners expects the files in a directory to be private to their owner.
func expectOwners(t *testing.T, dir, mask string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		t.Errorf("umask %s: %v, %v", mask, entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode() != 0o600 {
			t.Errorf("umask %s: %s: %v, %v", mask, e.Name(), info.Mode(), err)
		}
	}
}
