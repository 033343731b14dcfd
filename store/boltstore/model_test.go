package boltstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// model writes a store like an engine and remembers the answers that the store
// must give.
type model struct {
	ticks int64
	tasks map[state.Key]*modelTask
	freed map[string]bool // node IDs that are no longer in use
	feed  []*state.Transition
	sizes []int // of the inputs and outputs of random changes; no data if empty
}

type modelTask struct {
	tree        *state.Tree
	header      store.Task
	transitions []*state.Transition
	attempts    map[string][]state.Attempt // superseded ones
	data        map[datum]*state.Data
}

func newModel() *model {
	return &model{tasks: make(map[state.Key]*modelTask), freed: make(map[string]bool)}
}

func (m *model) clone() *model {
	c := &model{ticks: m.ticks, tasks: make(map[state.Key]*modelTask), freed: make(map[string]bool), feed: slices.Clone(m.feed), sizes: m.sizes}
	for key, task := range m.tasks {
		copied := *task
		copied.transitions = slices.Clone(task.transitions)
		copied.attempts, copied.data = make(map[string][]state.Attempt), maps.Clone(task.data)
		for id, list := range task.attempts {
			copied.attempts[id] = slices.Clone(list)
		}
		c.tasks[key] = &copied
	}
	for id := range m.freed {
		c.freed[id] = true
	}
	return c
}

func (m *model) now() state.Instant {
	m.ticks++
	return state.UnixInstant(1_700_000_000+m.ticks, int(m.ticks%1000))
}

// change computes a change of a task in the model.
func (m *model) change(key state.Key, ops ...state.Op) (store.Write, error) {
	tree := state.NewTree(key)
	if task := m.tasks[key]; task != nil {
		tree = task.tree
	}
	for i := range ops {
		op := &ops[i]
		op.Now = m.now()
		if op.Kind == state.Create || op.Kind == state.Reopen {
			op.Task = key
		}
		if op.Kind.NamesAttempt() {
			op.NewVersion = state.VersionOf([16]byte{14: byte(m.ticks >> 8), 15: byte(m.ticks)})
		}
	}
	_, outcomes, err := tree.Apply(state.Limits{DataBytes: state.MaxDataBytes}, ops...)
	c := store.Write{Base: tree.Revision()}
	for _, o := range outcomes {
		c.Transitions = append(c.Transitions, o.Transition)
	}
	return c, err
}

func (m *model) deletion(key state.Key) store.Write {
	now := m.now()
	return store.Write{
		Base:        m.tasks[key].tree.Revision(),
		Transitions: []*state.Transition{{Task: key, Op: state.Delete, At: now, Recorded: now, Actor: "retention"}},
	}
}

// accept adds a committed change to the model.
func (m *model) accept(c store.Write, first uint64) {
	key := c.Key()
	task := m.tasks[key]
	if task == nil {
		task = &modelTask{tree: state.NewTree(key), attempts: make(map[string][]state.Attempt), data: make(map[datum]*state.Data)}
		m.tasks[key] = task
	}
	for i, tr := range c.Transitions {
		committed := *tr
		committed.Sequence = first + uint64(i)
		if tr.Data != nil {
			task.data[datum{tr.Node(), tr.Changes[0].Number(), tr.Output() != nil}] = tr.Data
			committed.Data = tr.Data.Named()
		}
		m.feed = append(m.feed, &committed)
		if tr.Op == state.Delete {
			for i := range task.tree.Len() {
				m.freed[task.tree.ID(i)] = true
			}
			delete(m.tasks, key)
			return
		}
		next, err := task.tree.Replay(&committed)
		if err != nil {
			panic(err)
		}
		task.tree = next
		task.header.Add(&committed)
		task.transitions = append(task.transitions, &committed)
		for _, c := range tr.Changes {
			delete(m.freed, c.ID)
			if c.Superseded != nil {
				task.attempts[c.ID] = append(task.attempts[c.ID], *c.Superseded)
			}
		}
	}
}

// commit commits changes, which must all apply.
func (m *model) commit(t testing.TB, s *Store, changes ...store.Write) {
	t.Helper()
	results, err := s.Commit(context.Background(), changes)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if r.Err != nil {
			t.Fatalf("task %s: %v", changes[i].Key(), r.Err)
		}
		m.accept(changes[i], r.First)
	}
}

// do commits operations on one task, which must be legal.
func (m *model) do(t testing.TB, s *Store, key state.Key, ops ...state.Op) {
	t.Helper()
	c, err := m.change(key, ops...)
	if err != nil {
		t.Fatal(err)
	}
	m.commit(t, s, c)
}

// random returns a legal change of one of the tasks "0" to "tasks-1", including
// deletions, and new tasks with the key and IDs of a deleted one.
func (m *model) random(r *rand.Rand, tasks int) store.Write {
	key := state.Key{Business: fmt.Sprint(r.IntN(2)), Task: fmt.Sprint(r.IntN(tasks))}
	task := m.tasks[key]
	if task == nil {
		root := newRoot(m.id(key, 0))
		m.addData(r, &root)
		c, err := m.change(key, root, start(m.id(key, 0)))
		if err != nil {
			panic(err)
		}
		return c
	}
	if r.IntN(12) == 0 {
		return m.deletion(key)
	}
	for range 50 {
		ops := make([]state.Op, 1+r.IntN(3))
		for i := range ops {
			ops[i] = m.randomOp(r, key, task.tree)
		}
		if c, err := m.change(key, ops...); err == nil {
			return c
		}
	}
	c, err := m.change(key, state.Op{Kind: state.Declare, Node: m.id(key, task.tree.Len()), Parent: task.tree.ID(0), NodeKind: state.StartEvent})
	if err != nil {
		return m.deletion(key)
	}
	return c
}

// id returns the ID of a task's node: short text for most, hexadecimal for
// others. The next task with that key has the same IDs.
func (m *model) id(key state.Key, index int) string {
	if index%3 == 2 {
		return fmt.Sprintf("%012x%8s%012x", index, "00000000", 0x10*(1+len(key.Task))+int(key.Task[0])*256+int(key.Business[0]))
	}
	return fmt.Sprintf("%s/%s.%d", key.Business, key.Task, index)
}

func (m *model) randomOp(r *rand.Rand, key state.Key, tree *state.Tree) state.Op {
	kinds := []state.OpKind{
		state.Declare, state.Declare, state.Start, state.Start, state.Start, state.Finish, state.Finish, state.Fail,
		state.Fail, state.Retry, state.Skip, state.Loop, state.Suspend, state.Resume, state.Resume, state.Revoke,
	}
	i := r.IntN(tree.Len())
	op := state.Op{Kind: kinds[r.IntN(len(kinds))], Node: tree.ID(i)}
	switch op.Kind {
	case state.Declare:
		op.Parent, op.Node = op.Node, m.id(key, tree.Len())
		op.NodeKind = []state.Kind{state.Subprocess, state.ServiceActivity, state.ServiceActivity, state.ConvergeGateway}[r.IntN(4)]
		op.NoSkip, op.MaxLoops = r.IntN(6) == 0, r.IntN(2)*3
		if r.IntN(2) == 0 {
			op.Name = "step <" + op.Node + ">"
		}
	case state.Fail:
		op.Error = "exit status 1 of " + op.Node
		op.Ignore = r.IntN(4) == 0
	}
	if r.IntN(4) == 0 {
		op.Actor = "somebody"
	}
	m.addData(r, &op)
	return op
}

func newRoot(root string) state.Op { return state.Op{Kind: state.Create, Node: root} }
func start(node string) state.Op   { return state.Op{Kind: state.Start, Node: node} }

func activity(node, parent string) state.Op {
	return state.Op{Kind: state.Declare, Node: node, Parent: parent, NodeKind: state.ServiceActivity}
}

// differences calls report for each answer of the store that differs from the
// model's, and fail for an error of the store.
func (m *model) differences(s *Store, report func(string), fail func(error)) {
	ctx := context.Background()
	var listed []store.Task
	for q := (store.ListQuery{Limit: 3}); ; {
		page, err := s.List(ctx, q)
		if err != nil {
			fail(fmt.Errorf("list: %w", err))
			break
		}
		listed = append(listed, page.Tasks...)
		if q.Cursor = page.Cursor; q.Cursor == "" {
			m.compareList(listed, report)
			break
		}
	}
	for key, task := range m.tasks {
		if err := task.compare(ctx, s, key, report); err != nil {
			fail(fmt.Errorf("task %s: %w", key, err))
		}
	}
	for id := range m.freed {
		if at, err := s.Locate(ctx, store.ByNode(id)); err == nil {
			report(fmt.Sprintf("node %q of a deleted task is located in %s", id, at.Key))
		} else if !errors.Is(err, state.ErrNotFound) {
			fail(fmt.Errorf("locate %s: %w", id, err))
		}
	}
	m.compareFeed(ctx, s, report, fail)
}

func (m *model) compareList(listed []store.Task, report func(string)) {
	if len(listed) != len(m.tasks) {
		report(fmt.Sprintf("%d tasks listed, want %d", len(listed), len(m.tasks)))
	}
	for i := range listed {
		if want := m.tasks[listed[i].Key]; want == nil || want.header != listed[i] {
			report(fmt.Sprintf("header is %+v, want %+v", listed[i], want))
		}
	}
}

func (m *model) compareFeed(ctx context.Context, s *Store, report func(string), fail func(error)) {
	feed, err := s.Feed(ctx, store.End, 1)
	if err != nil {
		fail(fmt.Errorf("changes: %w", err))
		return
	}
	if feed.Last.Sequence != uint64(len(m.feed)) {
		report(fmt.Sprintf("the last sequence is %d, want %d", feed.Last.Sequence, len(m.feed)))
		return
	}
	got, err := s.Feed(ctx, feed.Last.At(feed.First-1), len(m.feed)+1)
	if err != nil {
		fail(fmt.Errorf("changes: %w", err))
		return
	}
	if want := m.feed[feed.First-1:]; len(got.Transitions) != len(want) || len(want) > 0 && !reflect.DeepEqual(got.Transitions, want) {
		report("the changes are not what was committed")
	}
}

func (task *modelTask) compare(ctx context.Context, s *Store, key state.Key, report func(string)) error {
	snap, err := s.Load(ctx, store.Ref{Key: key})
	if err != nil {
		return err
	}
	if got, want := nodesOf(snap.Tree), nodesOf(task.tree); snap.Tree.Revision() != task.tree.Revision() || !slices.Equal(got, want) {
		report(fmt.Sprintf("tree of %s at %d is %+v, want at %d %+v", key, snap.Tree.Revision(), got, task.tree.Revision(), want))
	}
	trs, err := s.Transitions(ctx, key, 0, 0)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(trs, task.transitions) {
		report(fmt.Sprintf("%d transitions of %s, want %d", len(trs), key, len(task.transitions)))
	}
	for i := range task.tree.Len() {
		id := task.tree.ID(i)
		at, err := s.Locate(ctx, store.ByNode(id))
		if err != nil {
			return err
		}
		attempts, err := attemptsOf(ctx, s, id)
		if err != nil {
			return err
		}
		if at.Key != key || at.Revision != task.tree.Revision() || !sameAttempts(attempts, task.all(i)) {
			report(fmt.Sprintf("node %q is in %+v with attempts %+v, want %+v", id, at, attempts, task.all(i)))
		}
	}
	return nil
}

func nodesOf(tree *state.Tree) (nodes []state.Node) {
	for i := range tree.Len() {
		nodes = append(nodes, tree.Node(i))
	}
	return nodes
}

// expect compares all answers of the store with the model, and checks the
// store.
func (m *model) expect(t testing.TB, s *Store, when string) {
	t.Helper()
	m.differences(s, func(d string) { t.Errorf("%s: %s", when, d) }, func(err error) { t.Errorf("%s: %v", when, err) })
	if err := s.Check(context.Background(), func(p string) { t.Errorf("%s: check: %s", when, p) }); err != nil {
		t.Errorf("%s: check: %v", when, err)
	}
}

// openQuick opens a store that does not sync and whose file grows in small
// steps.
func openQuick(t testing.TB, path string, o *Options) *Store {
	t.Helper()
	s, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	s.NoSync()
	s.db.AllocSize = 64 << 10
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// image is a file and its journal, nil if there is none.
type image struct{ file, journal []byte }

// image returns the pair of files as a process would find them that starts
// after this one was killed. No write-back is running.
func (s *Store) image(t testing.TB) (i image) {
	t.Helper()
	s.quiet(t, func() {
		var err error
		if i.file, err = os.ReadFile(s.path); err != nil {
			t.Fatal(err)
		}
		if i.journal, err = os.ReadFile(s.journalPath()); err != nil && s.journal != nil {
			t.Fatal(err)
		}
	})
	return i
}

// quiet runs f with the turn, while no write-back runs.
func (s *Store) quiet(t testing.TB, f func()) {
	t.Helper()
	ctx := context.Background()
	if err := s.writer.LockUntil(ctx); err != nil {
		t.Fatal(err)
	}
	defer s.writer.Unlock()
	if s.phase == writing {
		_ = s.await(ctx, nil)
	}
	f()
}

// writeBackAll writes the overlay back as far as the file has room.
func (s *Store) writeBackAll() {
	_ = s.writer.LockUntil(context.Background())
	defer s.writer.Unlock()
	_ = s.drainOverlay(context.Background(), nil)
}

// closedImage closes the store and returns the file.
func (s *Store) closedImage(t testing.TB) []byte {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// openImage opens a file without a journal.
func openImage(t testing.TB, file []byte, o *Options) *Store {
	t.Helper()
	return openPair(t, image{file: file}, o)
}

// openPair opens a file with its journal.
func openPair(t testing.TB, i image, o *Options) *Store {
	t.Helper()
	return openQuick(t, i.write(t), o)
}

// write makes the files of an image and returns the path.
func (i image) write(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.db")
	err := os.WriteFile(path, i.file, 0o600)
	if err == nil && i.journal != nil {
		err = os.WriteFile(path+journalSuffix, i.journal, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}
