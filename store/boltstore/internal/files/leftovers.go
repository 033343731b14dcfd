package files

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/store/boltstore/internal/pages"
)

// A process that is killed while it makes a file leaves an unfinished one, which is
// named after the final file. That name may never be used again, for example if a backup
// is named by date. Opening or making a file in a directory therefore removes all
// unfinished files there, if it is certain that no process works on them.

// TempName is the beginning of the names of unfinished files that will become
// the file at path; digits follow.
func TempName(path string) string { return "." + filepath.Base(path) + tempMark }

const tempMark = ".new-"

// isTempName reports whether a name is that of an unfinished file.
func isTempName(name string) bool {
	i := strings.LastIndex(name, tempMark)
	if i < len(".x") || name[0] != '.' {
		return false
	}
	return isDigits(name[i+len(tempMark):])
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// RemoveOwnLeftovers removes the unfinished files that were to become the one
// at path, as far as possible. The caller has the file at path open and locked.
// If another process is still working on one of the unfinished files, it would
// find the name taken anyway, so the removal makes no difference to it.
func RemoveOwnLeftovers(path string) {
	eachLeftover(path, func(name string, e os.DirEntry) {
		if digits, ok := strings.CutPrefix(e.Name(), TempName(path)); ok && isDigits(digits) && e.Type().IsRegular() {
			_ = os.Remove(name)
		}
	})
}

// abandonedAfter is the least age of the last write to an abandoned file. The
// maker of a file has it locked nearly all the time, so this only covers the
// moments without the lock.
const abandonedAfter = time.Minute

// RemoveAbandoned removes the abandoned unfinished files in the directory of
// path, as far as possible.
func RemoveAbandoned(path string) {
	eachLeftover(path, func(name string, e os.DirEntry) {
		switch {
		case e.Type().IsRegular() && abandoned(name):
			_ = os.Remove(name)
		case e.IsDir():
			removeAbandonedSalvage(name)
		}
	})
}

func eachLeftover(path string, f func(name string, e os.DirEntry)) {
	dir := filepath.Dir(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if isTempName(e.Name()) {
			f(filepath.Join(dir, e.Name()), e)
		}
	}
}

// The files in the directory that a salvage works in.
const (
	SalvageScratch = "scratch"
	SalvageStore   = "store"
)

// removeAbandonedSalvage removes the working directory of a salvage, if it only
// has the files of one and all are abandoned.
func removeAbandonedSalvage(name string) {
	entries, err := os.ReadDir(name)
	if err != nil || len(entries) == 0 {
		return // an empty one may be in use soon, and takes no room
	}
	for _, e := range entries {
		if !slices.Contains([]string{SalvageScratch, SalvageStore}, e.Name()) || !abandoned(filepath.Join(name, e.Name())) {
			return
		}
	}
	for _, e := range entries {
		_ = os.Remove(filepath.Join(name, e.Name()))
	}
	_ = os.Remove(name)
}

// abandoned reports whether a file is empty or a bbolt file, was not written to
// for a while, and is not locked.
func abandoned(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || time.Since(info.ModTime()) < abandonedAfter {
		return false
	}
	if info.Size() > 0 {
		var magic [4]byte
		if _, err := f.ReadAt(magic[:], pages.HeaderBytes); err != nil || binary.NativeEndian.Uint32(magic[:]) != pages.Magic {
			return false
		}
	}
	return TryLock(f)
}
