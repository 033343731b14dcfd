package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/journal"
)

// The test assumes this of a disk when power fails: a sector of 512 bytes is
// written completely or not at all; any combination of the sectors written
// since the last sync may be there; earlier writes are there; and other sectors
// do not change.
//
// bbolt writes a transaction in two steps with a sync after each: first the
// data pages, which no page leads to yet, then one meta page. A commit writes
// one frame and syncs it. Both happen at the same time, so the possible images
// after a power cut are those of one, in any combination with those of the
// other. The difference of the files before and after shows the sectors that
// were written.
const sector = 512

// cut is a file before and after some writes, of which any sectors may be on
// disk.
type cut struct {
	before, after []byte
	changed       []int // sectors that differ, by offset
	needed        int   // end of the part that must be complete
}

func newCut(before, after []byte) *cut {
	c := &cut{before: before, after: after, needed: len(after)}
	for at := 0; at < len(after); at += sector {
		end := min(at+sector, len(after))
		if at >= len(before) || !bytes.Equal(before[at:min(end, len(before))], after[at:end]) {
			c.changed = append(c.changed, at)
		}
	}
	return c
}

// image returns a file with a random choice of the changed sectors, and whether
// it has all that are needed.
func (c *cut) image(r *rand.Rand, may func(at int) bool) (image []byte, all bool) {
	image = slices.Clone(c.before)
	if r.IntN(3) > 0 && len(c.after) > len(image) { // the file was made longer and synced first
		image = append(image, make([]byte, len(c.after)-len(image))...)
	}
	all = true
	share := []float64{0.02, 0.5, 0.98, 1}[r.IntN(4)]
	for _, at := range c.changed {
		if at < len(image) && may(at) && r.Float64() < share {
			copy(image[at:], c.after[at:min(at+sector, len(c.after))])
		} else if at < c.needed {
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
	file   []byte        // the bbolt file as the last write-back left it
	held   chan struct{} // a write-back has ended and is not published yet
	heard  bool          // held was received
	let    chan struct{} // the write-back may be published
	images int
	waits  int // commits that began a write-back first
}

// taskData bounds the data of a task until it is deleted, so that images are
// small enough to make many.
const taskData = 12 << 20

// next returns a change that fits the journal.
func (x *outage) next() store.Write {
	for key, task := range x.m.tasks {
		size := 0
		for _, d := range task.data {
			size += d.Size()
		}
		if size > taskData {
			return x.m.deletion(key)
		}
	}
	for {
		if c := x.m.random(x.r, 4); takes(c) < journal.LongestIn(x.s.journalSize()) {
			return c
		}
	}
}

// takes is an upper bound of a change's size in the journal.
func takes(c store.Write) int {
	size := 4 << 10
	for _, tr := range c.Transitions {
		if tr.Data != nil {
			size += tr.Data.Size() + 64
		}
	}
	return size
}

// commit commits a change and returns the journal around its frame. If the
// commit first begins a write-back, it tries an image of that.
func (x *outage) commit(c store.Write, when string) moment {
	x.t.Helper()
	was, earlier := x.journal(), x.m.clone()
	var results []store.Result
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		results, err = x.s.Commit(context.Background(), []store.Write{c})
	}()
	for waiting := true; waiting; {
		select {
		case <-done:
			waiting = false
		case <-x.held:
			if x.heard = x.last() > uint64(len(earlier.feed)); x.heard {
				continue // the write-back follows the commit
			}
			x.waits++ // or is writing its frame: then either model is right
			file, later := readFile(x.t, x.s.path), earlier.clone()
			later.accept(c, uint64(len(earlier.feed))+1)
			i := image{transaction{newCut(x.file, file), int(x.s.pageSize)}.image(x.r), x.journal()}
			x.try(i, when+", which began a write-back", earlier, later)
			x.file = file
			x.let <- struct{}{}
		}
	}
	if err == nil {
		err = results[0].Err
	}
	if err != nil {
		x.t.Fatalf("%s: %v", when, err)
	}
	x.m.accept(c, results[0].First)
	return moment{x.frame(was, x.journal(), results[0].First), earlier, x.m.clone()}
}

// frame returns the journal before and after the write of the frame with a
// transition. Before means that its place still has the earlier bytes, and all
// others the present ones. Earlier frames of the same commit are synced
// separately. The bytes after the payload in the last block are not needed.
func (x *outage) frame(was, now []byte, seq uint64) *cut {
	const lengthAt, payloadAt = 36, 136 // in a frame
	at := x.s.journal.Holding(seq, journal.Position{}).Offset
	payload := int(binary.LittleEndian.Uint32(now[at+lengthAt:]))
	end := at + journal.Takes(payload)
	before := slices.Clone(now)
	clear(before[at:end])
	if at < int64(len(was)) {
		copy(before[at:end], was[at:])
	}
	c := newCut(before, now)
	c.needed = int(at) + payloadAt + payload
	return c
}

// journal reads the journal as it is.
func (x *outage) journal() []byte { return readFile(x.t, x.s.journalPath()) }

func (x *outage) last() uint64 {
	x.s.mu.RLock()
	defer x.s.mu.RUnlock()
	return x.s.last
}

// try opens an image, which must equal one of the models.
func (x *outage) try(i image, when string, models ...*model) {
	x.t.Helper()
	x.images++
	o := *x.o
	o.written = nil
	survivor := openPair(x.t, i, &o)
	want := models[0]
	for _, m := range models {
		if survivor.last == uint64(len(m.feed)) {
			want = m
		}
	}
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
	var all bool
	i.journal, all = at.image(x.r, func(int) bool { return true })
	want := at.earlier
	if all {
		want = at.later
	}
	x.try(i, when, want)
}

// cycle commits until a write-back has begun, and tries images of every commit,
// and of the write-back during further commits.
func (x *outage) cycle(images int, when string) (laps uint64) {
	x.t.Helper()
	for x.s.phase != writing { // only commits, until one begins a write-back
		at := x.commit(x.next(), when+", commit")
		x.tryMoment(x.file, at, when+", commit")
	}
	if !x.heard {
		<-x.held
	}
	x.heard = false // the transaction has ended and is not named
	file, still := readFile(x.t, x.s.path), x.journal()
	tx := transaction{newCut(x.file, file), int(x.s.pageSize)}
	moments := []moment{{newCut(still, still), x.m.clone(), x.m.clone()}}
	for range 1 + x.r.IntN(4) {
		if c := x.next(); x.fits(c) {
			moments = append(moments, x.commit(c, when+", write-back and commit"))
		}
	}
	for range images {
		x.tryMoment(tx.image(x.r), moments[x.r.IntN(len(moments))], when+", write-back and commit")
	}
	x.file = file
	x.let <- struct{}{}
	x.s.quiet(x.t, func() { laps = x.s.journal.Lap() })
	return laps
}

// fits reports whether a change can be committed without waiting for the
// write-back.
func (x *outage) fits(c store.Write) bool {
	return x.s.hasRoom(&commit{store: x.s, size: takes(c), next: x.s.last + 1 + uint64(len(c.Transitions))})
}

// outages are the configurations of the test.
var outages = map[string]struct {
	o             Options
	sizes         []int // of data
	short, long   int   // cycles
	fewer, images int   // of each write-back
}{
	"without data": {
		o:     Options{OverlayTransitions: 64, JournalSize: 1, leastJournal: journal.MinSize},
		short: 24, long: 550, fewer: 4, images: 12,
	},
	// The journal begins with less than the largest data and grows.
	"data up to the default limit": {
		o:     Options{OverlayTransitions: 256, JournalSize: 3 * journal.MinSize, leastJournal: journal.MinSize},
		sizes: sizesOfData, short: 6, long: 150, fewer: 3, images: 12,
	},
	"data up to the greatest limit": {
		o:     Options{OverlayTransitions: 256, leastJournal: journal.MinSize},
		sizes: append([]int{1 << 20, state.MaxDataBytes - 1, state.MaxDataBytes}, sizesOfData...), long: 5, images: 3,
	},
}

func TestPowerLostAtAnyMomentLosesNothingAcknowledged(t *testing.T) {
	for name, c := range outages {
		t.Run(name, func(t *testing.T) {
			cycles, images := c.short, c.fewer
			if *Long {
				cycles, images = c.long, c.images
			}
			x := &outage{t: t, r: rand.New(rand.NewPCG(3, 3)), m: newModel(), held: make(chan struct{}), let: make(chan struct{})}
			x.o = &c.o
			x.o.FeedTransitions = 50
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
			x.file, x.m.sizes = readFile(t, x.s.path), c.sizes
			laps := uint64(0)
			for cycle := range cycles {
				laps = x.cycle(images, fmt.Sprint("cycle ", cycle))
			}
			t.Logf("%d images of %d write-backs, %d laps, %d commits that began one", x.images, cycles, laps, x.waits)
			if laps < 3 && cycles > 11 {
				t.Errorf("the journal went %d laps", laps)
			}
			x.s.opts.written = nil
			x.m.expect(t, x.s, "in the end")
		})
	}
}
