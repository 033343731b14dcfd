package engine_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

var loadFor = flag.Duration("load", 0, "write for this long from 1,024 goroutines, with 100 watchers, 10 pollers of 10,000 nodes, purges and backups; 0: a small form")

// load does everything at once on one file.
type load struct {
	*testing.T
	*engine.Engine
	store *boltstore.Store
	query *query.Query
	dir   string

	writers, watchers, pollers, nodes int
	rounds                            int // of each writer, if no time is set
	lasts                             time.Duration
	lag                               uint64 // how far writers may be ahead of a watcher

	told, seen tally         // acknowledged to writers, and seen by one watcher
	seed       maphash.Seed  // of both
	removed    atomic.Int64  // by purges
	created    atomic.Int64  // by writers
	stop       chan struct{} // closed when the writers are done
	progress   []atomic.Uint64
	polls      atomic.Int64
	backups    int
	purges     int
}

// tally distinguishes two collections of acknowledgments without storing them.
type tally struct{ count, sum, deletes atomic.Uint64 }

func (l *load) add(to *tally, sequence uint64, node string) {
	type ack struct {
		sequence uint64
		node     string
	}
	to.count.Add(1)
	to.sum.Add(maphash.Comparable(l.seed, ack{sequence, node}))
}

// do records operations that must be accepted and returns the last sequence.
func (l *load) do(ops ...engine.Op) (last uint64) {
	results, err := l.Record(context.Background(), ops...)
	if err != nil {
		l.Error(err)
		return 0
	}
	for _, r := range results {
		l.add(&l.told, r.Sequence, r.Node)
		last = r.Sequence
	}
	return last
}

func TestWritersWatchersPollsPurgesAndBackupsTogether(t *testing.T) {
	l := &load{writers: 64, watchers: 8, pollers: 2, nodes: 500, rounds: 2, lag: 100_000}
	if l.lasts = *loadFor; l.lasts > 0 {
		l.writers, l.watchers, l.pollers, l.nodes = 1024, 100, 10, 10_000
	}
	l.run(t)
}

func (l *load) run(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	l.T, l.dir, l.seed, l.stop = t, t.TempDir(), maphash.MakeSeed(), make(chan struct{})
	l.progress = make([]atomic.Uint64, l.watchers)
	path := filepath.Join(l.dir, "load.db")
	// Small enough that writing back and trimming never stop.
	bolt := &boltstore.Options{OverlayTransitions: 5000, FeedTransitions: int(4 * l.lag)}
	var err error
	if l.store, err = boltstore.Open(path, bolt); err != nil {
		t.Fatal(err)
	}
	defer l.store.Close()
	if l.Engine, err = engine.Open(t.Context(), l.store, nil); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.query = query.New(l.Engine, nil)

	l.prepare()
	var watchers, others, writers sync.WaitGroup
	for i := range l.watchers {
		watchers.Go(func() { l.watch(i) })
	}
	for i := range l.pollers {
		others.Go(func() { l.poll(i) })
	}
	others.Go(l.purge)
	others.Go(l.backup)
	begin := time.Now()
	left := make([]uint64, l.writers) // the revision of the task that each leaves open
	for w := range l.writers {
		writers.Go(func() { left[w] = l.write(w, begin) })
	}
	writers.Wait()
	took := time.Since(begin)
	close(l.stop)
	others.Wait()
	l.do(engine.Create("end", "end", engine.ID("end")))
	watchers.Wait()
	t.Logf("%d transitions in %v, %d polls, %d purges of %d tasks, %d backups",
		l.told.count.Load(), took.Round(time.Millisecond), l.polls.Load(), l.purges, l.removed.Load(), l.backups)
	l.expectAll(l.Engine, left)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l.expectSound(l.store, "in the end")
	if err := l.store.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := boltstore.Open(path, bolt)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	l.expectAll(again, left)
	l.expectSound(again, "reopened")
}

func wide(i int) string { return fmt.Sprint("wide.", i) }

// prepare makes the wide task, whose nodes all run.
func (l *load) prepare() {
	l.do(engine.Create("wide", "wide", engine.ID("wide")), engine.Start("wide"))
	var ops []engine.Op
	for i := range l.nodes {
		ops = append(ops, engine.Declare("wide", state.ServiceActivity, engine.ID(wide(i))), engine.Start(wide(i)))
	}
	for some := range slices.Chunk(ops, 1000) {
		l.do(some...)
	}
}

// write runs tasks from creation to end, and for each changes two nodes of the
// wide task at once. It leaves one task open and returns its revision.
func (l *load) write(w int, begin time.Time) uint64 {
	task := ""
	root := func() string { return task + ".root" }
	node := func() string { return task + ".node" }
	half := func() {
		l.do(engine.Create("2", task, engine.ID(root())), engine.Start(root()))
		l.do(engine.Declare(root(), state.ServiceActivity, engine.ID(node())), engine.Start(node()))
		l.do(engine.Fail(node(), "exit status 1"))
		l.created.Add(1)
	}
	n := 0
	for ; !l.Failed() && (n < l.rounds || time.Since(begin) < l.lasts); n++ {
		l.pace()
		task = fmt.Sprintf("%d.%d", w, n)
		half()
		l.do(engine.Retry(node()), engine.Start(node()))
		l.do(engine.Finish(node()))
		l.do(engine.Finish(root()))
		op := engine.Suspend
		if n%2 == 1 {
			op = engine.Resume
		}
		l.do(op(wide(2*w)), op(wide(2*w+1)))
	}
	if n%2 == 1 {
		l.do(engine.Resume(wide(2*w)), engine.Resume(wide(2*w+1)))
	}
	task = fmt.Sprint("left.", w)
	half()
	return l.do(engine.Retry(node()))
}

// pace waits for the slowest watcher, which must not fall behind the oldest
// transition in the feed.
func (l *load) pace() {
	for !l.Failed() {
		slowest := l.Position().Sequence
		for i := range l.progress {
			slowest = min(slowest, l.progress[i].Load())
		}
		if l.Position().Sequence < slowest+l.lag {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// watch expects every sequence once, in order. The first watcher records them;
// every second one begins in the middle.
func (l *load) watch(i int) {
	var after store.Position
	if i%2 == 1 {
		after = l.Position()
		after.Sequence /= 2
	}
	next := after.Sequence + 1
	for tr, err := range l.Watch(l.Context(), after) {
		if err != nil || tr.Sequence != next {
			l.Errorf("watcher %d: %v, sequence of %v instead of %d", i, err, tr, next)
			return
		}
		l.progress[i].Store(next)
		next++
		if i == 0 && tr.Op == state.Delete {
			l.seen.deletes.Add(1)
		} else if i == 0 {
			l.add(&l.seen, tr.Sequence, tr.Node())
		}
		if tr.Task.Business == "end" {
			return
		}
	}
}

// until calls f again and again until the writers are done, once at least.
func (l *load) until(pause time.Duration, f func()) {
	for !l.Failed() {
		f()
		select {
		case <-l.stop:
			return
		case <-time.After(pause):
		}
	}
}

// poll expects snapshots of the wide task that never go back, have correct
// counts, and show nodes that change together in the same state.
func (l *load) poll(i int) {
	revision := uint64(0)
	var answer []byte
	l.until(20*time.Millisecond, func() {
		defer l.polls.Add(1)
		snap, err := l.query.Snapshot(l.Context(), "wide", "wide")
		if err != nil {
			l.Error(err)
			return
		}
		// A tree that is not in memory comes from the store, which shows a
		// commit slightly before the engine does.
		last, err := store.Last(l.Context(), l.Engine)
		if err != nil {
			l.Error(err)
			return
		}
		if snap.Tree.Revision() < revision || snap.Tree.Revision() > last.Sequence {
			l.Errorf("revision %d after %d, the last sequence is %d", snap.Tree.Revision(), revision, last.Sequence)
		}
		revision = snap.Tree.Revision()
		l.expectPairs(snap.Tree)
		if answer, err = l.query.AppendJSON(l.Context(), answer[:0], "wide", "wide"); err != nil {
			l.Error(err)
		}
		if i == 0 && !json.Valid(answer) || strings.Count(string(answer), `"state":`) != l.nodes+1 {
			l.Errorf("the answer is no JSON of %d nodes", l.nodes+1)
		}
	})
}

func (l *load) expectPairs(tree *state.Tree) {
	var counts state.Counts
	var before state.State
	for c := range tree.Children(0) {
		counts[tree.Shown(c)]++
		if st := tree.State(c); c%2 == 1 { // the root is 0
			before = st
		} else if st != before {
			l.Errorf("at %d node %s is %s, the one before it %s", tree.Revision(), tree.ID(c), st, before)
		}
	}
	if counts != tree.Counts(0) {
		l.Errorf("at %d the nodes are %v, counted %v", tree.Revision(), counts, tree.Counts(0))
	}
}

func (l *load) purge() {
	l.until(10*time.Millisecond, func() {
		done, err := l.Purge(context.Background(), engine.Retention{Business: "2", Keep: l.writers})
		if err != nil {
			l.Error(err)
		}
		l.removed.Add(int64(done.Removed))
		l.purges++
	})
}

// backup expects complete copies with everything acknowledged before.
func (l *load) backup() {
	path := filepath.Join(l.dir, "backup.db")
	l.until(10*time.Millisecond, func() {
		before := l.Position().Sequence
		if err := l.store.BackupTo(l.Context(), path); err != nil {
			l.Error(err)
			return
		}
		s, err := boltstore.Open(path, nil)
		if err != nil {
			l.Error(err)
			return
		}
		defer s.Close()
		feed, err := s.Feed(l.Context(), store.End, 1)
		if err != nil || feed.Last.Sequence < before {
			l.Errorf("a backup after %d ends at %d, %v", before, feed.Last.Sequence, err)
		}
		snap, err := s.Load(l.Context(), store.ByKey("wide", "wide"))
		if err != nil {
			l.Error(err)
			return
		}
		l.expectPairs(snap.Tree)
		l.expectSound(s, "backup")
		if err := os.Remove(path); err != nil {
			l.Error(err)
		}
		l.backups++
	})
}

func (l *load) expectSound(s *boltstore.Store, when string) {
	if err := s.Check(l.Context(), func(p string) { l.Errorf("%s: check: %s", when, p) }); err != nil {
		l.Errorf("%s: %v", when, err)
	}
}

// expectAll compares the final contents with everything acknowledged.
func (l *load) expectAll(r store.Reader, left []uint64) {
	l.Helper()
	if l.seen.count.Load() != l.told.count.Load() || l.seen.sum.Load() != l.told.sum.Load() {
		l.Errorf("%d transitions were acknowledged, %d watched, or not the same", l.told.count.Load(), l.seen.count.Load())
	}
	if n := int64(l.seen.deletes.Load()); n != l.removed.Load() {
		l.Errorf("%d tasks were purged, %d deletes watched", l.removed.Load(), n)
	}
	stored := int64(0)
	for q := (store.ListQuery{Business: "2"}); ; {
		page, err := r.List(l.Context(), q)
		if err != nil {
			l.Fatal(err)
		}
		stored += int64(len(page.Tasks))
		if q.Cursor = page.Cursor; q.Cursor == "" {
			break
		}
	}
	if want := l.created.Load() - l.removed.Load(); stored != want {
		l.Errorf("%d tasks are stored, want %d", stored, want)
	}
	for w, revision := range left {
		snap, err := r.Load(l.Context(), store.ByKey("2", fmt.Sprint("left.", w)))
		if err != nil {
			l.Error(err)
			continue
		}
		root, node := snap.Tree.Node(0), snap.Tree.Node(1)
		if snap.Tree.Revision() != revision || root.State != state.Running || node.State != state.Created || node.Retries != 1 {
			l.Errorf("what writer %d left at %d is at %d: %+v, %+v", w, revision, snap.Tree.Revision(), root, node)
		}
	}
	snap, err := r.Load(l.Context(), store.ByKey("wide", "wide"))
	if err != nil {
		l.Fatal(err)
	}
	l.expectPairs(snap.Tree)
	if n := snap.Tree.Counts(0)[state.Running]; n != l.nodes {
		l.Errorf("%d of %d nodes run", n, l.nodes)
	}
}
