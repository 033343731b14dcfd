//go:build unix

package statusctl

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pipestatus/pipestatus/store/boltstore"
)

const oneTask = `{"op":"create","biz":"2","task":"10","id":"root"}
{"op":"start","node":"root"}
`

// readingCalls are those that only read, apart from check and backup.
var readingCalls = [][]string{
	{"get", "2", "10"},
	{"list"},
	{"tree", "2", "10"},
	{"history", "root"},
	{"timeline", "2", "10"},
	{"watch"},
	{"stats"},
	{"export"},
	{"purge", "-older-than", "1h", "-dry-run"},
}

// A shared lock keeps writers out.
func TestReadingCommandsShareTheFileAndDoNotChangeIt(t *testing.T) {
	db := filepath.Join(t.TempDir(), "a.db")
	succeed(t, oneTask, "apply", "-db", db)
	before := read(t, db)
	s, err := boltstore.Open(db, &boltstore.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, args := range readingCalls {
		succeed(t, "", append(args, "-db", db)...)
	}
	succeed(t, "", "backup", "-db", db, filepath.Join(t.TempDir(), "copy.db"))
	if read(t, db) != before {
		t.Error("the file was changed")
	}
	if got := call(t.Context(), oneTask, "apply", "-db", db); !strings.Contains(got.stdout, `"code":"locked"`) {
		t.Errorf("apply while others read: %+v", got)
	}
}

// nobody may write to what belongs to others.
const nobody = 65534

// The test runs as another user if its own user is root.
func TestReadingCommandsNeedNoPermissionToWrite(t *testing.T) {
	dir := t.TempDir()
	db := filepath.Join(dir, "a.db")
	succeed(t, oneTask, "apply", "-db", db)
	self := read(t, executable(t))
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, "self"), []byte(self), 0o755),
		os.Chmod(db, 0o444), os.Chmod(dir, 0o555), os.Chmod(filepath.Dir(dir), 0o755),
	); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Chmod(dir, 0o755) }() // so that it can be removed
	elsewhere := t.TempDir()
	if err := errors.Join(os.Chmod(elsewhere, 0o777), os.Chmod(filepath.Dir(elsewhere), 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, args := range append(readingCalls, []string{"check"}, []string{"backup", filepath.Join(elsewhere, "copy.db")}, []string{"salvage", filepath.Join(elsewhere, "salvaged.db")}) {
		cmd := process(t, append(args, "-db", db)...)
		cmd.Path = filepath.Join(dir, "self")
		if os.Getuid() == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", args[0], err, out)
		}
	}
	cmd := process(t, "apply", "-db", db)
	cmd.Path = filepath.Join(dir, "self")
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	if out, err := cmd.CombinedOutput(); err == nil || !strings.HasPrefix(string(out), `{"ok":false,"code":"failed","error":"cannot write the database: `) {
		t.Errorf("apply: %v, want it to say that it cannot write\n%s", err, out)
	}
}

func executable(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return self
}
