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

// TempName is what the names of unfinished files begin with that are to become
// the one at path; digits follow.
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

// RemoveOwnLeftovers removes the unfinished files that were to become the one at
// path, as far as it can. The caller has that file open, and so its lock: whoever
// still works on another one under its name will find the name taken, and make
// no difference between its own file being there or not.
func RemoveOwnLeftovers(path string) {
	eachLeftover(path, func(name string, e os.DirEntry) {
		if digits, ok := strings.CutPrefix(e.Name(), TempName(path)); ok && isDigits(digits) && e.Type().IsRegular() {
			_ = os.Remove(name)
		}
	})
}

// abandonedAfter is for how long nobody has written to a file that is
// abandoned. Whoever makes one has it locked nearly all the time.
const abandonedAfter = time.Minute

// RemoveAbandoned removes what is unfinished and abandoned in the directory of
// path, as far as it can.
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
	SalvageFinds = "finds"
	SalvageStore = "store"
)

// removeAbandonedSalvage removes the directory that a salvage works in, if
// there is nothing else in it.
func removeAbandonedSalvage(name string) {
	entries, err := os.ReadDir(name)
	if err != nil || len(entries) == 0 {
		return // one that is empty is about to be used, or takes no room
	}
	for _, e := range entries {
		if !slices.Contains([]string{SalvageFinds, SalvageStore}, e.Name()) || !abandoned(filepath.Join(name, e.Name())) {
			return
		}
	}
	for _, e := range entries {
		_ = os.Remove(filepath.Join(name, e.Name()))
	}
	_ = os.Remove(name)
}

// abandoned reports whether a file is empty or begins as bbolt's files do,
// nobody has written to it for a while, and nobody has it locked.
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
