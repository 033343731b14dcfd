package boltstore

import (
	"errors"
	"io/fs"
	"os"

	"github.com/pipestatus/pipestatus/store/boltstore/internal/journal"
)

// journal keeps what the journal next to the damaged file has and the file has
// not. It must not have been searched before the file was.
func (w *wreck) journal() (err error) {
	inUse := w.pairing != nil && w.pairing.inUse
	path := w.file.Name() + journalSuffix
	file, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && inUse:
		w.problem("the journal %s is missing, which had the newest transitions", path)
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	c, err := journal.Read(file, info.Size())
	if err != nil {
		w.problem("the journal %s: %v", path, err)
	}
	switch {
	case c == nil:
		return nil
	case w.pairing != nil && (!inUse || w.pairing.journal != c.Head.Journal):
		w.problem("the journal %s is not the file's", path)
		return nil
	}
	last := w.finds.upTo
	for _, f := range c.All() {
		if f.Last() <= w.finds.upTo || f.Count == 0 {
			continue
		}
		payload, err := c.Payload(&f)
		if err == nil {
			err = eachRecord(&f, payload, func(k, v []byte, _ []owned) error { return w.finds.frame(k, v) }, w.finds.data)
		}
		if err != nil {
			w.problem("the journal %s: lap %d, offset %d: %v", path, f.Lap, f.Offset, err)
		}
		last = f.Last()
	}
	if last < w.acked {
		w.problem("transitions %d to %d cannot be read in the journal, and are nowhere else", last+1, w.acked)
	}
	return nil
}
