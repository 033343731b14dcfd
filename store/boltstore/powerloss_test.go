package boltstore

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pipestatus/pipestatus/store/boltstore/internal/journal"
)

// What is assumed of the disk when power fails: a sector of 512 bytes is
// written whole or not at all; of what was written since the last sync any
// sectors may be there, in any combination; what was written before is there;
// and sectors that were not written to do not change.
//
// bbolt writes a transaction in two steps with a sync after each: the data
// pages, which nothing leads to yet, then one meta page. A commit writes one
// frame and syncs it. Both happen at the same time, so the images a power cut
// can leave are those of one, in any combination with those of the other. What
// a sector is worth is told from the difference of the files before and after.
const sector = 512

// cut is a file before and after some writes, which any sectors may be of.
type cut struct {
	before, after []byte
	changed       []int // sectors that differ, by offset
}

func newCut(before, after []byte) *cut {
	c := &cut{before: before, after: after}
	for at := 0; at < len(after); at += sector {
		end := min(at+sector, len(after))
		if at >= len(before) || !bytes.Equal(before[at:min(end, len(before))], after[at:end]) {
			c.changed = append(c.changed, at)
		}
	}
	return c
}

// image has any of the sectors that changed and that may be there, and says
// whether it has all that changed.
func (c *cut) image(r *rand.Rand, may func(at int) bool) (image []byte, all bool) {
	image = slices.Clone(c.before)
	if r.IntN(3) > 0 && len(c.after) > len(image) { // it was made longer first, and that was synced
		image = append(image, make([]byte, len(c.after)-len(image))...)
	}
	all = true
	share := []float64{0.02, 0.5, 0.98, 1}[r.IntN(4)]
	for _, at := range c.changed {
		if at < len(image) && may(at) && r.Float64() < share {
			copy(image[at:], c.after[at:min(at+sector, len(c.after))])
		} else {
			all = false
		}
	}
	return image, all
}

// transaction makes the images of a file around one bbolt transaction.
type transaction struct {
	*cut
	pageSize int
}

func (x transaction) image(r *rand.Rand) []byte {
	isData := func(at int) bool { return at >= 2*x.pageSize }
	if r.IntN(2) == 0 {
		image, _ := x.cut.image(r, isData)
		return image
	}
	image := slices.Clone(x.after) // all data is there
	for _, at := range x.changed {
		if !isData(at) && r.IntN(2) == 0 {
			copy(image[at:at+sector], x.before[at:])
		}
	}
	return image
}

// moment is the journal around one commit, and the model before and after.
type moment struct {
	*cut
	earlier, later *model
}

// outage runs a story and makes images of it.
type outage struct {
	t      *testing.T
	r      *rand.Rand
	o      *Options
	s      *Store
	m      *model
	held   chan struct{} // a write-back has ended and is not published
	let    chan struct{} // it may be
	images int
}

// commit commits something and returns the journal around it.
func (x *outage) commit() moment {
	before := moment{earlier: x.m.clone()}
	was := x.read().journal
	x.m.commit(x.t, x.s, x.m.random(x.r, 4))
	before.cut = newCut(was, x.read().journal)
	before.later = x.m.clone()
	return before
}

// read reads both files as they are.
func (x *outage) read() image {
	x.t.Helper()
	i := image{file: readFile(x.t, x.s.path)}
	if x.s.journal != nil {
		i.journal = readFile(x.t, x.s.journalPath())
	}
	return i
}

func (x *outage) try(i image, want *model, when string) {
	x.t.Helper()
	x.images++
	survivor := openPair(x.t, i, &Options{OverlayTransitions: x.o.OverlayTransitions, FeedTransitions: x.o.FeedTransitions, JournalSize: 1, leastJournal: journal.MinSize})
	want.expect(x.t, survivor, when)
	if x.images%5 == 0 {
		survivor.writeBackAll()
		want.expect(x.t, survivor, when+", written back")
	}
	_ = survivor.Close()
	if x.t.Failed() {
		x.t.FailNow()
	}
	_ = os.RemoveAll(filepath.Dir(survivor.path)) // they are many
}

// tryMoment tries an image in which a commit is interrupted.
func (x *outage) tryMoment(file []byte, at moment, when string) {
	x.t.Helper()
	i := image{file: file}
	all := true
	if len(at.before) > 0 {
		i.journal, all = at.image(x.r, func(int) bool { return true })
	} else {
		i.journal = at.after
	}
	want := at.earlier
	if all {
		want = at.later
	}
	x.try(i, want, when)
}

func TestPowerLostAtAnyMomentLosesNothingAcknowledged(t *testing.T) {
	cycles, images := 24, 4
	if *Long {
		cycles, images = 550, 12
	}
	x := &outage{t: t, r: rand.New(rand.NewPCG(3, 3)), m: newModel(), held: make(chan struct{}), let: make(chan struct{})}
	x.o = &Options{OverlayTransitions: 64, FeedTransitions: 50, JournalSize: 1, leastJournal: journal.MinSize}
	failed := make(chan struct{})
	x.o.written = func() {
		select {
		case x.held <- struct{}{}:
			select {
			case <-x.let:
			case <-failed:
			}
		case <-failed:
		}
	}
	x.s = openQuick(t, filepath.Join(t.TempDir(), "story.db"), x.o)
	t.Cleanup(func() { close(failed) }) // before the store is closed
	x.m.commit(t, x.s, x.m.random(x.r, 4))
	laps := uint64(0)
	for cycle := range cycles {
		when := fmt.Sprint("cycle ", cycle)
		file := x.read().file
		for x.s.phase != writing { // commits alone: a write-back begins after one
			x.tryMoment(file, x.commit(), when+", commit")
		}
		if n := x.s.overlay.active.transitions; n > 0 {
			t.Fatalf("%s: the write-back began before a commit with %d transitions", when, n)
		}
		<-x.held // the transaction has ended and is not named
		tx := transaction{newCut(file, x.read().file), int(x.s.pageSize)}
		var moments []moment
		for range 1 + x.r.IntN(4) {
			moments = append(moments, x.commit())
		}
		for range images {
			x.tryMoment(tx.image(x.r), moments[x.r.IntN(len(moments))], when+", write-back and commit")
		}
		x.let <- struct{}{}
		x.s.quiet(t, func() { laps = x.s.journal.Lap() })
	}
	t.Logf("%d images of %d write-backs, %d laps", x.images, cycles, laps)
	if laps < 3 && cycles > 20 {
		t.Errorf("the journal went %d laps", laps)
	}
	x.o.written = nil
	x.s.opts.written = nil
	x.m.expect(t, x.s, "in the end")
}
