package boltstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

func init() {
	jobs["fill tmpfs"] = func(dir string) error {
		return fill(dir, func(at string) error { return syscall.Mount("tmpfs", at, "tmpfs", 0, "size=4m") })
	}
	jobs["fill ext4"] = func(dir string) error {
		return fill(dir, func(at string) error {
			image := filepath.Join(dir, "image")
			if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 8<<20)); err != nil {
				return err
			}
			if out, err := exec.Command("mkfs.ext4", "-q", image).CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			out, err := exec.Command("mount", "-o", "loop", image, at).CombinedOutput()
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		})
	}
}

// fill mounts a small filesystem below dir, fills it with a store, makes room
// again, and leaves the closed file in dir. It reports acknowledgments.
func fill(dir string, mount func(at string) error) error {
	at := filepath.Join(dir, "mounted")
	if err := errors.Join(os.Mkdir(at, 0o700), mount(at)); err != nil {
		fmt.Println("unable", err)
		return nil
	}
	ballast, path := filepath.Join(at, "ballast"), filepath.Join(at, "full.db")
	var fs syscall.Statfs_t
	if err := syscall.Statfs(at, &fs); err != nil {
		return err
	}
	if err := os.WriteFile(ballast, make([]byte, int64(fs.Bavail)*int64(fs.Bsize)-2200<<10), 0o600); err != nil {
		return err
	}
	s, e, err := openBoth(path, &tiny)
	if err != nil {
		return err
	}
	say := func(words ...any) { fmt.Println(words...) }
	n, err := untilFull(e, syscall.ENOSPC, say)
	if err != nil {
		return err
	}
	if _, err := s.Load(context.Background(), store.ByKey("2", "life-0")); err != nil {
		return err
	}
	for i := range 10 { // a full disk accepts deletes
		if err := deleteTask(e, fmt.Sprintf("life-%d", i), say); err != nil {
			return err
		}
	}
	// A migration needs room for a copy.
	if err := errors.Join(e.Close(), s.Close()); err != nil {
		return err
	}
	_, err = boltstore.Open(path, next(func() {}))
	if err := expectFull("on a full disk", err, syscall.ENOSPC); err != nil {
		return err
	}
	if left, err := os.ReadDir(at); err != nil || len(left) > 4 { // with its journal and lost+found
		return fmt.Errorf("a migration without room left %v, %w", left, err)
	}
	if err := os.Remove(ballast); err != nil {
		return err
	}
	if s, e, err = openBoth(path, &tiny); err != nil {
		return err
	}
	for i := range 3 {
		if err := runTask(e, fmt.Sprintf("later-%d", i), say); err != nil {
			return fmt.Errorf("with room again: %w", err)
		}
	}
	if err := errors.Join(e.Close(), s.Close()); err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "kept.db"), data, 0o600)
	}
	fmt.Println("filled", n)
	return err
}

// A full disk of the smallest size. Only this process sees the mount, which
// ends with it. The test reports where no disk can be mounted; other tests use
// a bound of the file's size and a device that is always full.
func TestFullFilesystemRefusesCleanlyAndLosesNothing(t *testing.T) {
	kinds := []string{"tmpfs"}
	if *boltstore.Long && os.Getuid() == 0 {
		kinds = append(kinds, "ext4")
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), victimEnv+"=fill "+kind, victimFile+"="+dir)
			cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
			if os.Getuid() != 0 {
				cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
				cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
				cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
			}
			var said, complaint strings.Builder
			cmd.Stdout, cmd.Stderr = &said, &complaint
			var exit *exec.ExitError
			if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
				t.Logf("not tested, since nothing can be mounted here: %v", err)
				return
			}
			if strings.HasPrefix(said.String(), "unable") {
				t.Logf("not tested, since nothing can be mounted here: %s", said.String())
				return
			}
			if !strings.Contains(said.String(), "\nfilled ") {
				t.Fatalf("%s", complaint.String())
			}
			w := newWitness()
			w.listen(strings.NewReader(said.String()), func(string) {})
			w.verify(t, filepath.Join(dir, "kept.db"), &tiny)
			for i := range 3 {
				if len(w.acks[fmt.Sprintf("later-%d", i)]) == 0 {
					t.Errorf("nothing was acknowledged of task %d with room again", i)
				}
			}
			t.Logf("full after %d tasks", len(w.acks)-3)
		})
	}
}
