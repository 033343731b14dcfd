package boltstore

import (
	"errors"
	"io/fs"
	"os"

	"github.com/pipestatus/pipestatus/store/boltstore/internal/journal"
)

// journal adds the transitions of the journal next to the damaged file that the
// file does not have. The file must have been searched before.
func (df *damagedFile) journal() (err error) {
	inUse := df.pairing != nil && df.pairing.inUse
	path := df.file.Name() + journalSuffix
	file, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && inUse:
		df.problem("the journal %s is missing, which has the newest transitions", path)
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
		df.problem("the journal %s: %v", path, err)
	}
	switch {
	case c == nil:
		return nil
	case df.pairing != nil && (!inUse || df.pairing.journal != c.Head.Journal):
		df.problem("the journal %s is not the file's", path)
		return nil
	}
	last := df.scratch.upTo
	for _, f := range c.All() {
		if f.Last() <= df.scratch.upTo || f.Count == 0 {
			continue
		}
		payload, err := c.Payload(&f)
		if err == nil {
			err = eachRecord(&f, payload, func(k, v []byte, _ []owned) error { return df.scratch.frame(k, v) }, df.scratch.data)
		}
		if err != nil {
			df.problem("the journal %s: lap %d, offset %d: %v", path, f.Lap, f.Offset, err)
		}
		last = f.Last()
	}
	if last < df.acked {
		df.problem("transitions %d to %d cannot be read in the journal, and are nowhere else", last+1, df.acked)
	}
	return nil
}
