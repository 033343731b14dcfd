//go:build unix

package runner

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/examples/internal/filetest"
)

// oneActivity writes the definition of a pipeline of one activity.
func oneActivity(t *testing.T) string {
	t.Helper()
	tree := newTree("p")
	activity(tree, "a", "true")
	chain(tree, "p_start", "a", "p_end")
	return write(t, tree)
}

// A file that is no database is left unchanged and named in the error.
func TestARunOverwritesNoFile(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return dir + "/" + name }
	const mine = "mine\nwithout an end of line"
	err := errors.Join(
		os.WriteFile(in("text"), []byte(mine), 0o600), os.WriteFile(in("empty"), nil, 0o600),
		os.Mkdir(in("dir"), 0o700), syscall.Mkfifo(in("pipe"), 0o600), os.Symlink("nowhere", in("dangling")),
		os.Symlink("text", in("to-text")), os.Symlink("dir", in("to-dir")), os.Symlink("/dev/null", in("to-null")),
	)
	if err != nil {
		t.Fatal(err)
	}
	definition := oneActivity(t)
	before := filetest.Everything(t, dir)
	for _, name := range []string{
		"text", "empty", "dir", "dir/", "pipe", "dangling", "to-text", "to-dir", "to-null", "new/", "text/new", "missing/new",
	} {
		o := callRunner(t, "-db", in(name), definition)
		if o.code != exitFailed || o.status != nil || !strings.Contains(o.stderr, strings.TrimSuffix(in(name), "/")) {
			t.Errorf("%s: exit code %d", name, o.code)
		}
		after := filetest.Everything(t, dir)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatalf("%s (-before +after):\n%s", name, diff)
		}
	}
}

func TestTheFilesOfARunArePrivateForAnyUmask(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	definition := oneActivity(t)
	for _, mask := range []string{"0", "022", "077"} {
		dir := t.TempDir()
		cmd := filetest.WithUmask(exec.Command(exe, "-quiet", definition), mask) // in a separate directory
		cmd.Env = append(os.Environ(), asProgram+"=1", "TMPDIR="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("umask %s: %v\n%s", mask, err, out)
		}
		files := 0
		for path := range filetest.Everything(t, dir) {
			info, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			want := fs.FileMode(0o600)
			if info.IsDir() {
				want = fs.ModeDir | 0o700
			} else {
				files++
			}
			if path != dir && info.Mode() != want {
				t.Errorf("umask %s: %s is %v, want %v", mask, path, info.Mode(), want)
			}
		}
		if files != 1 {
			t.Errorf("umask %s: %d files", mask, files)
		}
	}
}
