//go:build unix

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

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

func init() {
	jobs["limit the size"] = func(path string) error {
		return beyond(path, syscall.EFBIG, func() error { return sizeLimit(fileLimit) }, func() error { return sizeLimit(0) })
	}
	jobs["copy beyond the size"] = copyBeyond
}

// fileLimit is less than the bytes that a job would write.
const fileLimit = 800 << 10

// sizeLimit limits the size of the files this process writes, or ends that.
func sizeLimit(n uint64) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
		return err
	}
	if l.Cur = l.Max; n > 0 {
		l.Cur = min(n, l.Max)
	}
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l)
}

// expectFull returns an error unless err is that of a change there was no room
// for, and has the system's reason.
func expectFull(what string, err, reason error) error {
	if !errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrFailed) || !strings.Contains(fmt.Sprint(err), reason.Error()) {
		return fmt.Errorf("%s: error %w, want one that is of a full store and says %q", what, err, reason.Error())
	}
	return nil
}

// untilFull runs the tasks life-0 and so on, until there was no room for three
// of them, and returns their number.
func untilFull(e *engine.Engine, reason error, say func(...any)) (n int, err error) {
	for full := 0; full < 3; n++ {
		if err := runTask(e, fmt.Sprintf("life-%d", n), say); err != nil {
			if err := expectFull("commit", err, reason); err != nil {
				return n, err
			}
			full++
		}
	}
	return n, nil
}

// beyond fills a store up to a limit and, if lift is given, lifts the limit and
// continues. It reports acknowledgments and, at the end, success.
func beyond(path string, reason error, limit, lift func() error) error {
	o := tiny
	o.MaxSize = 4 << 20 // so that the file grows in small steps
	s, e, err := openBoth(path, &o)
	if err != nil {
		return err
	}
	say := func(words ...any) { fmt.Println(words...) }
	if err := errors.Join(runTask(e, "first", say), limit()); err != nil {
		return err
	}
	if _, err := untilFull(e, reason, say); err != nil {
		return err
	}
	if _, err := s.Load(context.Background(), store.ByKey("2", "first")); err != nil {
		return err
	}
	if lift != nil {
		if err := lift(); err != nil {
			return err
		}
		if err := runTask(e, "later", say); err != nil {
			return fmt.Errorf("with room again: %w", err)
		}
	}
	err = errors.Join(e.Close(), s.Close())
	fmt.Println("reached the end")
	return err
}

// copyBeyond makes every operation that writes a copy of a store fail for lack
// of room, then succeed. Another store, "older", is in the same directory.
func copyBeyond(path string) error {
	s, err := boltstore.Open(path, &tiny)
	if err != nil {
		return err
	}
	ctx := context.Background()
	sibling := func(name string) string { return filepath.Join(filepath.Dir(path), name) }
	open := func(name string, o *boltstore.Options) error {
		s, err := boltstore.Open(sibling(name), o)
		if err != nil {
			return err
		}
		return s.Close()
	}
	steps := []struct {
		what  string
		most  uint64 // the largest limit that is too small
		write func() error
	}{
		{"backup", 64 << 10, func() error { return s.BackupTo(ctx, sibling("backup")) }},
		{"compacted copy", 64 << 10, func() error { return s.CompactTo(ctx, sibling("compacted")) }},
		{"compaction", 64 << 10, func() error { return s.Compact(ctx) }},
		{"salvage", 64 << 10, func() error {
			_, err := boltstore.Salvage(ctx, sibling("older"), sibling("salvaged"), nil)
			return err
		}},
		{"copy before a migration", 64 << 10, func() error { return open("older", next(func() {})) }},
		{"new file", 10 << 10, func() error { return open("new", nil) }},
	}
	for _, limit := range []uint64{64 << 10, 10 << 10, 100} {
		for _, step := range steps {
			if limit > step.most {
				continue
			}
			if err := sizeLimit(limit); err != nil {
				return err
			}
			err := expectFull(step.what, step.write(), syscall.EFBIG)
			if err := errors.Join(err, sizeLimit(0)); err != nil {
				return fmt.Errorf("%d bytes: %w", limit, err)
			}
			if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 2 {
				return fmt.Errorf("%d bytes: %s: left %v, %w", limit, step.what, left, err)
			}
		}
	}
	for _, step := range steps {
		if err := step.write(); err != nil {
			return fmt.Errorf("%s with room again: %w", step.what, err)
		}
	}
	fmt.Println("reached the end")
	return s.Close()
}

// limited runs a job to its end and returns its reports.
func limited(t *testing.T, job, path string) *witness {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimEnv+"="+job, victimFile+"="+path)
	var said, complaint strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &complaint
	_ = cmd.Run() // ends with an error in any case
	if !strings.HasSuffix(said.String(), "reached the end\n") {
		t.Fatalf("%s", complaint.String())
	}
	w := newWitness()
	w.listen(strings.NewReader(said.String()), func(string) {})
	return w
}

// A file at the size limit behaves like a full disk: the commit changes
// nothing, and the next one may succeed.
func TestFileBeyondTheSizeLimitIsFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "limited.db")
	w := limited(t, "limit the size", path)
	w.verify(t, path, &tiny)
	if len(w.acks) < 20 || len(w.acks["later"]) == 0 {
		t.Errorf("tasks were acknowledged %d times, with room again %d times", len(w.acks), len(w.acks["later"]))
	}
}

func TestCopiesBeyondTheSizeLimitLeaveNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "limited.db")
	w := newWitness()
	w.lived(t, path, 60)
	copyFile(t, path, filepath.Join(dir, "older"))
	limited(t, "copy beyond the size", path)
	for _, name := range []string{"limited.db", "backup", "compacted", "older.schema4"} {
		w.verify(t, filepath.Join(dir, name), &tiny)
	}
}
