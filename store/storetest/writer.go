package storetest

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// writer writes one task as an engine does: it applies operations to its tree,
// commits the transitions and continues from the new tree. The store must answer
// exactly what the writer knows about the task.
type writer struct {
	c           *trial
	name        state.Key
	tree        *state.Tree
	header      store.Task
	transitions []*state.Transition        // as committed, with sequences
	attempts    map[string][]state.Attempt // superseded ones
	data        map[dataAt]*state.Data
}

// dataAt identifies input or output data: the node, and the attempt by number.
type dataAt struct {
	node    string
	attempt int
	output  bool
}

// wantAttempts is all attempts of a node with their data.
func (w *writer) wantAttempts(node string) (all []store.Attempt) {
	i, _ := w.tree.Find(node)
	for j, a := range append(slices.Clip(w.attempts[node]), w.tree.Node(i).Attempt) {
		all = append(all, store.Attempt{
			Attempt: a, Current: j == len(w.attempts[node]),
			Input: w.data[dataAt{node, j + 1, false}], Output: w.data[dataAt{node, j + 1, true}],
		})
	}
	return all
}

// task returns a writer for a task that does not exist yet.
func (c *trial) task(business, task string) *writer {
	w := &writer{c: c, name: state.Key{Business: business, Task: task}}
	w.forget()
	return w
}

// started returns a writer for a new task whose root, of the same ID as the
// task, is RUNNING.
func (c *trial) started(business, task string) *writer {
	c.Helper()
	w := c.task(business, task)
	w.do(create(task), on(state.Start, task))
	return w
}

func (w *writer) forget() {
	w.tree, w.header, w.transitions = state.NewTree(w.name), store.Task{}, nil
	w.attempts, w.data = make(map[string][]state.Attempt), make(map[dataAt]*state.Data)
}

func (w *writer) key() state.Key   { return w.name }
func (w *writer) ref() store.Ref   { return store.Ref{Key: w.key()} }
func (w *writer) root() string     { return w.tree.ID(0) }
func (w *writer) revision() uint64 { return w.tree.Revision() }

// create, declare and on are operations; the writer fills in what they lack.

func create(root string) state.Op { return state.Op{Kind: state.Create, Node: root} }

func declare(node, parent string, kind state.Kind) state.Op {
	return state.Op{Kind: state.Declare, Node: node, Parent: parent, NodeKind: kind}
}

func on(kind state.OpKind, node string) state.Op { return state.Op{Kind: kind, Node: node} }

// draft is a change that was computed and not yet committed.
type draft struct {
	w      *writer
	change store.Write
	after  *state.Tree
}

// draft computes a change of the current tree.
func (w *writer) draft(ops ...state.Op) *draft {
	w.c.Helper()
	d, err := w.tryDraft(ops...)
	if err != nil {
		w.c.Fatalf("the suite drafts an operation that the rules refuse: %v", err)
	}
	return d
}

func (w *writer) tryDraft(ops ...state.Op) (*draft, error) {
	ops = slices.Clone(ops) // the tables of the suite are shared by all stores under test
	for i := range ops {
		w.fill(&ops[i])
	}
	after, outcomes, err := w.tree.Apply(state.Limits{}, ops...)
	if err != nil {
		return nil, err
	}
	d := &draft{w: w, after: after, change: store.Write{Base: w.tree.Revision()}}
	for i, o := range outcomes {
		if ops[i].Kind.Compound() {
			d.change.Transitions = append(d.change.Transitions, o.Steps...)
			continue
		}
		d.change.Transitions = append(d.change.Transitions, o.Transition)
	}
	return d, nil
}

// fill gives an operation the time, the version and the key it lacks.
func (w *writer) fill(op *state.Op) {
	tick := w.c.tick()
	if !op.Now.IsSet() {
		op.Now = moment(tick)
	}
	if op.Kind == state.Create || op.Kind == state.Reopen {
		op.Task = w.key()
	}
	if op.Kind == state.Reopen {
		op.Node = ""
	}
	if op.Kind.NamesAttempt() && !op.NewVersion.IsSet() {
		var id [16]byte
		binary.BigEndian.PutUint64(id[8:], uint64(tick))
		op.NewVersion = state.VersionOf(id)
	}
}

// moment is the time of a tick: one second and seven nanoseconds apart.
func moment(tick int64) state.Instant { return state.UnixInstant(1_500_000_000+tick, int(7*tick%1e9)) }

// deletion is the change that deletes the task at its revision.
func (w *writer) deletion() *draft {
	now := moment(w.c.tick())
	return &draft{
		w: w, after: state.NewTree(w.key()),
		change: store.Write{Base: w.tree.Revision(), Transitions: []*state.Transition{
			{Task: w.key(), Op: state.Delete, At: now, Recorded: now, Actor: "retention"},
		}},
	}
}

// do commits operations as one change, which must succeed.
func (w *writer) do(ops ...state.Op) {
	w.c.Helper()
	w.c.commit(w.draft(ops...))
}

// delete deletes the task, which must succeed.
func (w *writer) delete() {
	w.c.Helper()
	w.c.commit(w.deletion())
}

// commit commits drafts together; all must succeed.
func (c *trial) commit(drafts ...*draft) []store.Result {
	c.Helper()
	results := c.offer(drafts...)
	for i, r := range results {
		if r.Err != nil {
			c.broken("commit: change %d of %d of task %s: %v", i+1, len(drafts), drafts[i].w.key(), r.Err)
		}
	}
	return results
}

// offer commits drafts together and accepts those that the store committed.
func (c *trial) offer(drafts ...*draft) []store.Result {
	c.Helper()
	results, err := c.tryCommit(c.Context(), drafts...)
	if err != nil {
		c.broken("commit: %v", err)
	}
	return results
}

// tryCommit is offer for goroutines. Only one may use a writer at a time.
func (c *trial) tryCommit(ctx context.Context, drafts ...*draft) ([]store.Result, error) {
	changes := make([]store.Write, len(drafts))
	for i, d := range drafts {
		changes[i] = d.change
	}
	results, err := c.store.Commit(ctx, changes)
	if err != nil {
		return nil, err
	}
	if len(results) != len(drafts) {
		return nil, fmt.Errorf("%d results for %d changes", len(results), len(drafts))
	}
	for i, r := range results {
		if (r.First == 0) != (r.Err != nil) {
			return nil, fmt.Errorf("result %d has both or neither of a sequence and an error: %+v", i, r)
		}
		if r.Err == nil {
			drafts[i].accept(r.First)
		}
	}
	return results, nil
}

// accept records that the store committed the draft.
func (d *draft) accept(first uint64) {
	w := d.w
	if d.change.Deletes() {
		w.forget()
	}
	w.tree = d.after
	for i, tr := range d.change.Transitions {
		committed := *tr
		committed.Sequence = first + uint64(i)
		if tr.Data != nil {
			w.data[dataAt{tr.Node(), tr.Changes[0].Number(), tr.Output() != nil}] = tr.Data
			committed.Data = tr.Data.Named()
		}
		w.c.mu.Lock()
		w.c.log = append(w.c.log, &committed)
		w.c.mu.Unlock()
		if tr.Op == state.Delete {
			continue
		}
		w.tree = w.tree.WithRevision(committed.Sequence)
		w.header.Add(&committed)
		w.transitions = append(w.transitions, &committed)
		for _, change := range tr.Changes {
			if a := change.Superseded; a != nil {
				w.attempts[change.ID] = append(w.attempts[change.ID], *a)
			}
		}
	}
}
