// Package files makes, names, locks and removes the files of a store, so that each is
// whole and durable before it has its name, and whatever a killed process left is
// removed. The systems differ in some of that.
package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/steps"
)

// Temp makes a file beside path that nobody else uses.
func Temp(path string, mode fs.FileMode) (*os.File, error) {
	f, err := os.CreateTemp(filepath.Dir(path), TempName(path)+"*")
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(mode); err != nil {
		return nil, errors.Join(err, f.Close(), Remove(f.Name()))
	}
	return f, nil
}

// WriteNew makes a new file under another name and then gives it its own. What is
// abandoned in the directory goes first; write locks the file, so that nobody
// takes that for abandoned.
func WriteNew(path string, mode fs.FileMode, write func(f *os.File) error) (err error) {
	if err := Vacant(path); err != nil {
		return err
	}
	RemoveAbandoned(path)
	temp, err := Temp(path, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, Remove(temp.Name())) }()
	if err := errors.Join(write(temp), temp.Sync(), temp.Close()); err != nil {
		return err
	}
	steps.Done(steps.Written, temp.Name())
	if err := Publish(temp.Name(), path, fs.ErrExist); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// Vacant returns an error unless a copy can get this name.
func Vacant(path string) error {
	if path == "" {
		return fmt.Errorf("%w: no name for the copy", state.ErrInvalidArgument)
	}
	if _, err := os.Lstat(path); err == nil {
		return fs.ErrExist
	}
	return nil
}

// Publish gives a finished file its name unless something has that name by
// now: then it returns taken.
func Publish(from, to string, taken error) error {
	err := os.Link(from, to)
	if err == nil {
		steps.Done(steps.Named, to)
		return nil
	}
	if errors.Is(err, fs.ErrExist) {
		return taken
	}
	// No hard links here: accept the moment between look and rename.
	if _, statErr := os.Lstat(to); statErr == nil {
		return taken
	}
	return Rename(from, to)
}

// Rename gives a file another name, and takes it from whatever has that.
func Rename(from, to string) error {
	err := os.Rename(from, to)
	if err == nil {
		steps.Done(steps.Named, to)
	}
	return err
}

// Remove removes a file, if it is there.
func Remove(name string) error {
	err := os.Remove(name)
	switch {
	case err == nil:
		steps.Done(steps.Removed, name)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return err
}

// SyncDir makes a new name in a directory durable. Windows has no such thing.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return err
	}
	steps.Done(steps.Synced, dir)
	return nil
}
