package boltstore

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
)

// What is assumed of the disk when power fails: a sector of 512 bytes is
// written whole or not at all; of what was written since the last sync any
// sectors may be there, in any combination; what was written before is there;
// and sectors that were not written to do not change.
//
// bbolt writes a transaction in two steps with a sync after each: the data
// pages, which nothing leads to yet, then one meta page. So the images a power
// cut can leave are, between the file before a transaction and after it:
//
//   - before, with any sectors of the new data pages and the old meta page;
//   - all new data pages, with any sectors of the new meta page.
//
// What a page is worth is told from the difference of the two files: a page
// written with what it held already makes no image of its own.
const sector = 512

// outage makes the images between two files.
type outage struct {
	before, after []byte
	meta, data    []int // sectors that differ, by offset
}

func newOutage(before, after []byte, pageSize int) *outage {
	o := &outage{before: before, after: after}
	for at := 0; at < len(after); at += sector {
		switch {
		case at < len(before) && bytes.Equal(before[at:at+sector], after[at:at+sector]):
		case at < 2*pageSize:
			o.meta = append(o.meta, at)
		default:
			o.data = append(o.data, at)
		}
	}
	return o
}

// duringData is an image from before the data pages were synced.
func (o *outage) duringData(r *rand.Rand) []byte {
	image := slices.Clone(o.before)
	if r.IntN(3) > 0 { // the file was made longer first, and that was synced
		image = append(image, make([]byte, len(o.after)-len(o.before))...)
	}
	share := []float64{0.02, 0.5, 0.98, 1}[r.IntN(4)]
	for _, at := range o.data {
		if at < len(image) && r.Float64() < share {
			copy(image[at:at+sector], o.after[at:])
		}
	}
	return image
}

// duringMeta is an image from before the meta page was synced, and whether it
// has the sector that matters.
func (o *outage) duringMeta(r *rand.Rand) (image []byte, committed bool) {
	image = slices.Clone(o.after)
	all := true
	for _, at := range o.meta {
		if r.IntN(2) == 0 {
			copy(image[at:at+sector], o.before[at:])
			all = false
		}
	}
	return image, all
}

func TestPowerLostAtAnyMomentLosesNothingAcknowledged(t *testing.T) {
	commits, every, images := 80, 6, 3
	if *Long {
		commits, every, images = 400, 3, 4
	}
	tried := 0
	o := &Options{OverlayTransitions: 160, FeedTransitions: 50}
	r := rand.New(rand.NewPCG(3, 3))
	s := openQuick(t, filepath.Join(t.TempDir(), "story.db"), o)
	m := newModel()
	try := func(image []byte, want *model, when string) {
		t.Helper()
		tried++
		survivor := openImage(t, image, o)
		want.expect(t, survivor, when)
		_ = survivor.Close()
		if t.Failed() {
			t.FailNow()
		}
	}
	// around runs one transaction and tries images of its outage.
	around := func(when string, transaction func()) {
		before, earlier := s.image(t), m.clone()
		transaction()
		cut := newOutage(before, s.image(t), int(s.pageSize))
		if len(cut.meta) != 1 {
			t.Fatalf("%s: %d sectors of the meta pages changed: that was not one transaction", when, len(cut.meta))
		}
		for range images {
			try(cut.duringData(r), earlier, when+", data")
			image, committed := cut.duringMeta(r)
			want := earlier
			if committed {
				want = m
			}
			try(image, want, when+", meta")
		}
	}
	for i := range commits {
		c := m.random(r, 4)
		if i%every != 0 {
			m.commit(t, s, c)
			continue
		}
		around(fmt.Sprint("commit ", i), func() { m.commit(t, s, c) })
		if s.overlay.pending > 0 {
			around(fmt.Sprint("write-back after commit ", i), func() { s.writeBackStep(t) })
		}
	}
	t.Logf("%d images of %d commits", tried, commits)
}
