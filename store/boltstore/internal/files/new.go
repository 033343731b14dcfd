// Package files makes, names, locks and removes the files of a store. A file is
// complete and durable before it has its name, and files left by killed
// processes are removed. It hides the differences between systems.
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

// Temp makes a new, unfinished file in the directory of path.
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

// WriteNew makes a new file, complete and durable before it appears at path. It
// first removes abandoned files in the directory. write must lock the file, so
// that other processes do not consider it abandoned.
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

// Vacant returns an error unless a new file can have this name.
func Vacant(path string) error {
	if path == "" {
		return fmt.Errorf("%w: no name for the copy", state.ErrInvalidArgument)
	}
	if _, err := os.Lstat(path); err == nil {
		return fs.ErrExist
	}
	return nil
}

// Publish gives a finished file its name. It returns taken if that name exists.
func Publish(from, to string, taken error) error {
	err := os.Link(from, to)
	if err == nil {
		steps.Done(steps.Named, to)
		return nil
	}
	if errors.Is(err, fs.ErrExist) {
		return taken
	}
	// Without hard links there is a moment between the check and the renaming.
	if _, statErr := os.Lstat(to); statErr == nil {
		return taken
	}
	return Rename(from, to)
}

// Rename renames a file and replaces any file with the new name.
func Rename(from, to string) error {
	err := os.Rename(from, to)
	if err == nil {
		steps.Done(steps.Named, to)
	}
	return err
}

// Remove removes a file, if it exists.
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

// SyncDir makes the new names in a directory durable. Windows cannot do this.
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
