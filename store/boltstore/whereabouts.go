package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pipestatus/pipestatus/store"
)

// whereabouts is the location of a store's file. A path can lead to another file later:
// the file is moved and another one takes its name, a link changes, or the process
// changes its directory. A store acts only on its own file.
type whereabouts struct {
	given    string // the path that Open was called with, for messages
	absolute string // the same path, whatever the process's directory is later
	real     string // where that led, without links
}

// newWhereabouts is that of a path. The real path is not known yet.
//
// The path is not cleaned: with links in it that could name another file, and
// without the slash at its end it would.
func newWhereabouts(path string) (w whereabouts, err error) {
	w.given, w.absolute = path, path
	switch {
	case filepath.IsAbs(path):
	case filepath.VolumeName(path) != "": // relative to a drive's directory
		w.absolute, err = filepath.Abs(path)
	default:
		directory, err := os.Getwd()
		if err != nil {
			return w, err
		}
		w.absolute = directory + string(filepath.Separator) + path
	}
	return w, err
}

// resolve finds the real path of the file, which exists.
func (p *whereabouts) resolve() (err error) {
	p.real, err = filepath.EvalSymlinks(p.absolute)
	return err
}

// leadsTo returns an error that matches [store.ErrReplaced] unless the path
// leads to a file, as far as can be told.
func (p *whereabouts) leadsTo(file fs.FileInfo) error {
	switch named, err := os.Stat(p.absolute); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: nothing is at %s any more", store.ErrReplaced, p.given)
	case err == nil && !os.SameFile(named, file):
		return fmt.Errorf("%w: %s is another file", store.ErrReplaced, p.given)
	}
	return nil
}

// mayReplace returns an error unless a rename to the real path replaces a file
// and nothing else: by that name, which is its only one.
func (p *whereabouts) mayReplace(file fs.FileInfo) error {
	if err := p.leadsTo(file); err != nil {
		return err
	}
	named, err := os.Lstat(p.real)
	switch {
	case err != nil:
		return err
	case !os.SameFile(named, file):
		return fmt.Errorf("%w: %s is another file", store.ErrReplaced, p.real)
	case links(named) > 1:
		return fmt.Errorf("%w: %s has %d names, and the others would keep the old file", store.ErrReplaced, p.real, links(named))
	}
	return nil
}
