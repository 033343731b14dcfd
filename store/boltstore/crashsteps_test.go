package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/files"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/journal"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/steps"
)

// A process may be killed, or lose power, after each step of a change to its
// files. A kill leaves the files unchanged. A power cut is assumed to leave the
// last synced contents of each file, and the names in a directory as of any
// moment since the directory was synced.

// recording has the contents of a directory after each step.
type recording struct {
	t       *testing.T
	dir     string
	mu      sync.Mutex // protects everything below
	moments []*recorded
	known   map[int]fs.FileInfo // the present files
	files   int                 // number of files so far
	durable map[int][]byte      // the last synced contents of each file
	want    []*model            // any of these is correct
}

// recorded is the directory after one step.
type recorded struct {
	what    string
	names   map[string]int // to numbers of files
	content map[int][]byte
	durable map[int][]byte
	synced  bool // the names are on disk
	want    []*model
}

// record records every step in a directory until the test ends or stop is
// called.
func recordSteps(t *testing.T, dir string, want *model) (r *recording, stop func()) {
	t.Helper()
	r = &recording{t: t, dir: dir, known: make(map[int]fs.FileInfo), want: []*model{want}}
	at := r.look("at first")
	at.synced, r.durable = true, maps.Clone(at.content)
	at.durable = maps.Clone(at.content)
	r.moments = append(r.moments, at)
	stop = steps.Watch(r.step)
	t.Cleanup(stop)
	return r, stop
}

func (r *recording) step(k steps.Kind, path string) {
	if path != r.dir && filepath.Dir(path) != r.dir {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.look(fmt.Sprintf("step %d, %s %s", len(r.moments), filepath.Base(path), k))
	if number, ok := at.names[filepath.Base(path)]; ok && k == steps.Written {
		r.durable[number] = at.content[number]
	}
	at.durable = maps.Clone(r.durable)
	at.synced = k == steps.Synced
	r.moments = append(r.moments, at)
}

// look reads the directory until two readings agree, since others may be
// writing.
func (r *recording) look(what string) *recorded {
	at := r.read(what)
	for {
		again := r.read(what)
		if maps.Equal(at.names, again.names) && maps.EqualFunc(at.content, again.content, bytes.Equal) {
			at.want = slices.Clone(r.want)
			there := func(number int) bool { _, ok := at.content[number]; return ok }
			maps.DeleteFunc(r.known, func(number int, _ fs.FileInfo) bool { return !there(number) })
			return at
		}
		at = again
	}
}

func (r *recording) read(what string) *recorded {
	at := &recorded{what: what, names: make(map[string]int), content: make(map[int][]byte)}
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		name := filepath.Join(r.dir, e.Name())
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		data, readErr := os.ReadFile(name)
		if err := errors.Join(err, readErr); err != nil {
			panic(err)
		}
		number := r.number(info)
		at.names[e.Name()], at.content[number] = number, data
	}
	return at
}

// number identifies a file, even after it was renamed.
func (r *recording) number(info fs.FileInfo) int {
	for number, known := range r.known {
		if os.SameFile(known, info) {
			return number
		}
	}
	r.files++
	r.known[r.files] = info
	return r.files
}

// expecting sets the models that a crash may leave from now on.
func (r *recording) expecting(want ...*model) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.want = want
}

// crashed is the files that a crash leaves.
type crashed struct {
	when  string
	files map[string][]byte
	want  []*model // any of these is correct
}

// images returns the images that a kill, or a power cut, leaves after each
// step, each once.
func (r *recording) images() (list []crashed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := make(map[string]bool)
	add := func(at *recorded, how string, names map[string]int, content map[int][]byte) {
		c := crashed{when: at.what + ", " + how, files: make(map[string][]byte), want: at.want}
		for name, number := range names {
			c.files[name] = content[number]
		}
		if key := fmt.Sprint(len(c.want), c.digest()); !seen[key] {
			seen[key] = true
			list = append(list, c)
		}
	}
	since := 0
	for i, at := range r.moments {
		if at.synced {
			since = i
		}
		add(at, "killed", at.names, at.content)
		for _, named := range r.moments[since : i+1] {
			add(at, "power lost, names of "+named.what, named.names, at.durable)
		}
	}
	return list
}

// digest distinguishes images.
func (c *crashed) digest() (d string) {
	for _, name := range slices.Sorted(maps.Keys(c.files)) {
		data := c.files[name]
		d += fmt.Sprintln(name, len(data), crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
	}
	return d
}

// survive opens the files that a crash has left, and again after writing to
// them.
func survive(t *testing.T, when, name string, c *crashed, o *Options) {
	t.Helper()
	dir := t.TempDir()
	defer func() { _ = os.RemoveAll(dir) }() // they are many
	for name, data := range c.files {
		write(t, filepath.Join(dir, name), data)
	}
	path := filepath.Join(dir, name)
	s, err := Open(path, o)
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	s.NoSync()
	defer func() { _ = s.Close() }()
	m := c.want[len(c.want)-1]
	for _, w := range c.want {
		if s.last == uint64(len(w.feed)) {
			m = w
		}
	}
	m = m.clone()
	m.expect(t, s, when)
	m.do(t, s, state.Key{Business: "2", Task: "afterwards"}, newRoot("afterwards"))
	must(t, s.Close())
	// Leftovers of other files are removed when they are a minute old.
	for left := range c.files {
		own := strings.HasPrefix(left, files.TempName(path)) || strings.HasPrefix(left, files.TempName(path+journalSuffix))
		if own && fileExists(filepath.Join(dir, left)) {
			t.Errorf("%s: %s is left over", when, left)
		}
	}
	again, err := Open(path, o)
	if err != nil {
		t.Fatalf("%s, reopened: %v", when, err)
	}
	defer func() { _ = again.Close() }()
	m.expect(t, again, when+", reopened")
	if t.Failed() {
		t.FailNow()
	}
}

func fileExists(name string) bool { _, err := os.Lstat(name); return err == nil }

// steppers are changes of a store's files. Each begins with a killed store
// whose journal has the newest part, unless it says otherwise.
var steppers = map[string]struct {
	empty bool // begins with an empty directory
	o     Options
	do    func(t *testing.T, r *recording, s func() *Store, m *model)
	least int // steps
}{
	"creation, first commit, laps and write-backs": {
		empty: true, o: Options{OverlayTransitions: 64, JournalSize: 2 * journal.MinSize, FeedTransitions: 30}, least: 60,
		do: func(t *testing.T, r *recording, open func() *Store, m *model) {
			s := open()
			random := rand.New(rand.NewPCG(5, 5))
			laps := uint64(0)
			for i := 0; i < 60 || laps < 3 && i < 400; i++ {
				before := m.clone()
				change := m.random(random, 4)
				after := m.clone()
				after.accept(change, s.last+1)
				r.expecting(before, after)
				m.commit(t, s, change)
				r.expecting(after)
				s.quiet(t, func() { laps = s.journal.Lap() })
			}
			if laps < 3 {
				t.Errorf("the journal went %d laps", laps)
			}
			must(t, s.Close())
		},
	},
	"opening and closing": {least: 6, do: func(t *testing.T, _ *recording, open func() *Store, _ *model) {
		must(t, open().Close())
	}},
	"a backup": {least: 6, do: func(t *testing.T, r *recording, open func() *Store, _ *model) {
		must(t, open().BackupTo(t.Context(), filepath.Join(r.dir, "backup.db")))
	}},
	"a compacted copy": {least: 6, do: func(t *testing.T, r *recording, open func() *Store, _ *model) {
		must(t, open().CompactTo(t.Context(), filepath.Join(r.dir, "backup.db")))
	}},
	"compaction": {least: 6, do: func(t *testing.T, r *recording, open func() *Store, m *model) {
		s := open()
		must(t, s.Compact(t.Context()))
		before, after := m.clone(), m.clone()
		change, err := after.change(state.Key{Business: "2", Task: "compacted"}, newRoot("compacted"))
		must(t, err)
		after.accept(change, s.last+1)
		r.expecting(before, after)
		results, err := s.Commit(t.Context(), []store.Write{change})
		must(t, errors.Join(err, results[0].Err))
		r.expecting(after)
		must(t, s.Close())
	}},
	"migration": {o: *NextSchema(Options{}, undisturbed), least: 10, do: func(t *testing.T, _ *recording, open func() *Store, _ *model) {
		must(t, open().Close())
	}},
}

func TestCrashAfterAnyStepLosesNothingAcknowledged(t *testing.T) {
	for what, c := range steppers {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "steps.db")
			m := newModel()
			if !c.empty {
				p := pairs(t)
				m = p.m.clone()
				write(t, path, p.late.file)
				write(t, path+journalSuffix, p.late.journal)
			}
			o := c.o
			o.leastJournal = journal.MinSize
			r, stop := recordSteps(t, dir, m)
			open := func() *Store { return openQuick(t, path, &o) }
			c.do(t, r, open, m.clone())
			stop()
			if n := len(r.moments); n < c.least {
				t.Errorf("%d steps, want %d at least", n, c.least)
			}
			images := r.images()
			most := len(images)
			if !*Long {
				most = min(most, 40)
			}
			for i := range most { // spread over all
				c := &images[i*len(images)/most]
				survive(t, c.when, "steps.db", c, &o)
				if _, there := c.files["backup.db"]; there {
					survive(t, c.when+", the copy", "backup.db", c, &o)
				}
			}
			t.Logf("%d steps, %d of %d images", len(r.moments), most, len(images))
		})
	}
}
