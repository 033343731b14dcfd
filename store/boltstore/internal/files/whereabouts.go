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
	Absolute string // the same path, whatever the process's directory is later
	Real     string // where that led, without links
}

// NewWhereabouts is that of a path. The real path is not known yet.
//
// The path is not cleaned: with links in it that could name another file, and
// without the slash at its end it would.
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

// Resolve finds the real path of the file, which exists.
func (p *Whereabouts) Resolve() (err error) {
	p.Real, err = filepath.EvalSymlinks(p.Absolute)
	return err
}

// LeadsTo returns an error that matches [store.ErrReplaced] unless the path
// leads to a file, as far as can be told.
func (p *Whereabouts) LeadsTo(file fs.FileInfo) error {
	switch named, err := os.Stat(p.Absolute); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: nothing is at %s any more", store.ErrReplaced, p.Given)
	case err == nil && !os.SameFile(named, file):
		return fmt.Errorf("%w: %s is another file", store.ErrReplaced, p.Given)
	}
	return nil
}

// MayReplace returns an error unless a rename to the real path replaces a file
// and nothing else: by that name, which is its only one.
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
