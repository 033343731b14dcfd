package boltstore

import (
	"encoding/binary"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/journal"
)

// load sets the store to the end of the file and, if a journal is in use, reads
// the journal's later transitions into the overlay.
func (s *Store) load(at checkpoint, instance journal.ID, o *openedJournal) error {
	s.instance = instance
	s.checkpoint, s.last = at.seq, at.seq
	s.overlay = newOverlay()
	err := s.db.View(func(tx *bolt.Tx) error {
		s.base = tx.ID()
		if o == nil {
			return nil
		}
		if at.journal != o.contents.Head.Journal {
			return o.corrupt(errors.New("the file's checkpoint is in another journal"))
		}
		return s.replay(tx, at, o)
	})
	if err != nil {
		return err
	}
	if s.last < at.acked {
		return fmt.Errorf("%w: transition %d was acknowledged, and the last one here is %d", store.ErrCorrupt, at.acked, s.last)
	}
	err = s.db.View(func(tx *bolt.Tx) (err error) {
		s.past, err = readHistories(tx, s.last)
		return err
	})
	if err != nil {
		return err
	}
	s.measureRoom()
	if s.mark, err = s.readMark(at.seq); err != nil || o == nil {
		return err
	}
	if s.opts.ReadOnly {
		return o.close()
	}
	return s.useJournal(o, at.at)
}

// replay reads the frames after the checkpoint.
func (s *Store) replay(tx *bolt.Tx, at checkpoint, o *openedJournal) error {
	frames, err := o.contents.From(at.at)
	if err != nil {
		return o.corrupt(err)
	}
	r := replayer{tx: tx, overlay: &s.overlay, next: at.seq + 1, orphans: make(map[uint64]uint64)}
	for i := range frames {
		f := &frames[i]
		if f.First > r.next {
			return o.corrupt(fmt.Errorf("transitions %d to %d are missing", r.next, f.First-1))
		}
		if f.Last() < r.next {
			continue
		}
		payload, err := o.contents.Payload(f)
		if err == nil {
			err = r.frame(f, payload)
		}
		if err != nil {
			return o.corrupt(err)
		}
	}
	for number, seq := range r.orphans {
		if !s.overlay.deleted(number) {
			return o.corrupt(fmt.Errorf("at %d: no task %d", seq, number))
		}
	}
	s.last = r.next - 1
	return nil
}

// replayer adds frames to an overlay.
type replayer struct {
	tx      *bolt.Tx
	overlay *overlay
	next    uint64            // sequence
	orphans map[uint64]uint64 // tasks that a later frame must delete: number -> sequence of their first piece
}

// eachRecord calls each for every record of the feed in the payload of a frame,
// and data for every record of data after them.
func eachRecord(f *journal.Frame, payload []byte, each func(k, v []byte, pieces []owned) error, data func(p put) error) error {
	next := f.First
	for len(payload) > 0 {
		size, n := binary.Uvarint(payload)
		if n <= 0 || size > uint64(len(payload)-n) {
			return fmt.Errorf("%w: malformed frame at %d", store.ErrCorrupt, next)
		}
		if size == 0 {
			if err := eachData(payload[n:], data); err != nil {
				return err
			}
			break
		}
		v := payload[n : n+int(size) : n+int(size)]
		payload = payload[n+int(size):]
		k := seqKey(next)
		pieces, err := decodeFeed(k, v)
		if err != nil {
			return err
		}
		next = pieces[len(pieces)-1].last() + 1
		if err := each(k, v, pieces); err != nil {
			return err
		}
	}
	if next != f.Last()+1 {
		return fmt.Errorf("%w: a frame ends before %d, not before %d", store.ErrCorrupt, next, f.Last()+1)
	}
	return nil
}

func (r *replayer) frame(f *journal.Frame, payload []byte) error {
	g := r.overlay.active
	err := eachRecord(f, payload, func(k, v []byte, pieces []owned) error {
		last := pieces[len(pieces)-1].last()
		if last < r.next {
			return nil
		}
		h, _, err := decodeFeedHead(k, v)
		if err != nil {
			return err
		}
		for i := range pieces {
			if err := r.piece(&pieces[i]); err != nil {
				return err
			}
		}
		g.records = append(g.records, feedRecord{first: seqOf(k), next: last + 1, recorded: h.recorded, value: v})
		r.next = last + 1
		return nil
	}, func(p put) error {
		g.addData([]put{p})
		return nil
	})
	g.bytes += journal.Takes(len(payload))
	g.payload += int64(len(payload))
	return err
}

// piece adds a piece to the overlay. A task that the file does not have must be
// created by the piece, or be deleted later in the journal: in a full store,
// removals are written before earlier transitions.
func (r *replayer) piece(p *owned) error {
	trs, err := p.transitions(p.key)
	if err != nil {
		return err
	}
	var header *store.Task
	e := r.overlay.entry(p.number)
	if e == nil {
		k := seqKey(p.number)
		if v := tasksBucket.in(r.tx).Get(k); v != nil {
			task, err := decodeTask(k, v)
			if err != nil {
				return err
			}
			header = &task
		} else if trs[0].Op != state.Create {
			r.orphans[p.number] = p.first
		}
	}
	if err := r.follows(e, p.number, trs, header); err != nil {
		return fmt.Errorf("%w: at %d: %w", store.ErrCorrupt, p.first, err)
	}
	r.overlay.add(r.overlay.enter(e, p, header), p, trs)
	return nil
}

// follows returns an error if no commit can have recorded the transitions of a
// task. e is its entry in the overlay; without one, header is its header. A journal
// is checked like any writer.
func (r *replayer) follows(e *entry, number uint64, trs []*state.Transition, header *store.Task) error {
	if _, orphan := r.orphans[number]; orphan {
		return nil
	}
	var task store.Task
	if e != nil {
		task = e.task
	} else if header != nil {
		task = *header
	}
	w := store.Write{Base: task.Revision, Transitions: trs}
	if err := w.Validate(); err != nil {
		return err
	}
	file := func() (*bolt.Tx, error) { return r.tx, nil }
	return w.Follows(task, func(index int) (state.Trace, error) { return r.overlay.trace(e, file, number, index) })
}
