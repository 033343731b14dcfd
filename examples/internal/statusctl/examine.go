package statusctl

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

// maxNames is how many names of tasks and nodes import holds in memory to find
// repeated ones: about 150 MiB at most. An export with more of them is read
// several times, each time for a part of its names.
const maxNames = 4 << 20

// examined describes a valid export.
type examined struct {
	tasks   int
	longest int // bytes that the lines of one task take, at most
}

// options configure a file so that each task of the export fits into one commit: the
// lines of a task are longer than its records.
func (e *examined) options() *boltstore.Options {
	const quarter, least = 4, 72 << 20
	return &boltstore.Options{JournalSize: max(least, quarter*e.longest)}
}

// examineExport reads an export to its end and returns an error that matches
// errDamaged if it is damaged or not whole, or if a task or a node ID comes
// twice in it. It holds so many names in memory.
func examineExport(ctx context.Context, r io.ReadSeeker, most int) (found examined, err error) {
	names := nameSet{most: most, parts: 1}
	for part := uint64(0); part < names.parts; part++ {
		names.begin(part)
		if found, err = examineNames(ctx, r, names.add); err != nil {
			return examined{}, err
		}
	}
	return found, nil
}

// expectNone returns an error that matches [state.ErrExists] if a store has a
// task or a node ID that an export has too.
func expectNone(ctx context.Context, r io.ReadSeeker, s store.Reader) error {
	last, err := store.Last(ctx, s)
	if err != nil || last.Sequence == 0 {
		return err
	}
	_, err = examineNames(ctx, r, func(name store.Ref) error {
		switch at, err := s.Locate(ctx, name); {
		case errors.Is(err, state.ErrNotFound):
			return nil
		case err != nil:
			return err
		case name.Node == "":
			return fmt.Errorf("%w: %s is", state.ErrExists, name)
		default:
			return fmt.Errorf("%w: %s is one of task %s", state.ErrExists, name, at.Key)
		}
	})
	return err
}

// examineNames reads an export from its beginning and calls f for the name of
// each task and of each node.
func examineNames(ctx context.Context, r io.ReadSeeker, f func(store.Ref) error) (found examined, err error) {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return examined{}, err
	}
	in := newImporter(r)
	length := 0
	for tr, err := range in.all() {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil && tr.Op == state.Create {
			length = 0
			err = f(store.Ref{Key: tr.Task})
		}
		if err != nil {
			return examined{}, err
		}
		for i := range tr.Changes {
			if c := &tr.Changes[i]; c.Declared != nil {
				if err := f(store.ByNode(c.ID)); err != nil {
					return examined{}, fmt.Errorf("task %s: %w", tr.Task, err)
				}
			}
		}
		length += in.length
		found.longest = max(found.longest, length)
	}
	found.tasks = in.read.Tasks
	return found, nil
}

// nameSet finds repeated names among more names than it can hold. It holds one of
// several parts at a time, and makes the parts smaller when it has too many names.
// It keeps a digest of each name, which is practically unique.
type nameSet struct {
	most        int
	seen        map[digest]struct{}
	part, parts uint64 // parts is a power of two
}

type digest [16]byte

// in reports whether the digest belongs to a part.
func (d *digest) in(part, parts uint64) bool {
	return (uint64(d[0])|uint64(d[1])<<8|uint64(d[2])<<16|uint64(d[3])<<24)%parts == part
}

func digestOf(name store.Ref) digest {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", name.Key.Business, name.Key.Task, name.Node))
	return digest(sum[:16])
}

// begin empties the set for the names of a part.
func (s *nameSet) begin(part uint64) {
	s.part, s.seen = part, make(map[digest]struct{})
}

// add returns an error that matches errDamaged for a repeated name.
func (s *nameSet) add(name store.Ref) error {
	d := digestOf(name)
	if !d.in(s.part, s.parts) {
		return nil
	}
	if _, twice := s.seen[d]; twice {
		return damaged("%s comes twice", name)
	}
	s.seen[d] = struct{}{}
	for len(s.seen) > s.most && s.part == 0 {
		s.parts *= 2
		for d := range s.seen {
			if !d.in(s.part, s.parts) {
				delete(s.seen, d)
			}
		}
	}
	return nil
}
