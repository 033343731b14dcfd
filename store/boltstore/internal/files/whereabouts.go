package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pipestatus/pipestatus/store"
)

// Whereabouts is the location of a store's file. A path can lead to another file later:
// the file is moved and another one takes its name, a link changes, or the process
// changes its directory. A store acts only on its own file.
type Whereabouts struct {
	Given    string // the path that Open was called with, for messages
	Absolute string // the same path, independent of the process's directory
	Real     string // the same path without links, set by Resolve
}

// NewWhereabouts returns the whereabouts of a path, without Real.
//
// The path is not cleaned: a cleaned path with links in it could name another
// file, and so could a path that loses the slash at its end.
func NewWhereabouts(path string) (w Whereabouts, err error) {
	w.Given, w.Absolute = path, path
	switch {
	case filepath.IsAbs(path):
	case filepath.VolumeName(path) != "": // relative to a drive's directory
		w.Absolute, err = filepath.Abs(path)
	default:
		directory, err := os.Getwd()
		if err != nil {
			return w, err
		}
		w.Absolute = directory + string(filepath.Separator) + path
	}
	return w, err
}

// Resolve sets the real path of the file, which must exist.
func (p *Whereabouts) Resolve() (err error) {
	p.Real, err = filepath.EvalSymlinks(p.Absolute)
	return err
}

// LeadsTo returns an error that matches [store.ErrReplaced] if the path
// certainly leads to another file, or to none.
func (p *Whereabouts) LeadsTo(file fs.FileInfo) error {
	switch named, err := os.Stat(p.Absolute); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s does not exist any more", store.ErrReplaced, p.Given)
	case err == nil && !os.SameFile(named, file):
		return fmt.Errorf("%w: %s is another file", store.ErrReplaced, p.Given)
	}
	return nil
}

// MayReplace returns an error unless a rename to the real path replaces the
// file completely: the path leads to it, and it has no other names.
func (p *Whereabouts) MayReplace(file fs.FileInfo) error {
	if err := p.LeadsTo(file); err != nil {
		return err
	}
	named, err := os.Lstat(p.Real)
	switch {
	case err != nil:
		return err
	case !os.SameFile(named, file):
		return fmt.Errorf("%w: %s is another file", store.ErrReplaced, p.Real)
	case links(named) > 1:
		return fmt.Errorf("%w: %s has %d names, and the others would keep the old file", store.ErrReplaced, p.Real, links(named))
	}
	return nil
}
