// Package model is a second implementation of the rules, for tests only: simple
// and slow, written from the text of state/RULES.md and not from the code of
// package state. It keeps a store as maps and slices, stores no counts, and
// searches all nodes for everything, so that a reader can check it against the
// text.
//
// Tests apply the same operations to the model and to the real implementation,
// and compare outcomes, refusals, snapshots, histories and headers.
package model

import (
	"maps"
	"slices"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// The refusal codes that rules can give.
const (
	NotFound          = "not_found"
	Exists            = "exists"
	InvalidTransition = "invalid_transition"
	InvalidArgument   = "invalid_argument"
	VersionMismatch   = "version_mismatch"
	NotRetryable      = "not_retryable"
	NotSkippable      = "not_skippable"
	LoopLimit         = "loop_limit"
)

// Store has all tasks of the model. It is not safe for concurrent use.
type Store struct {
	levels, nodes, data int
	tasks               map[state.Key]*task
	first               func(business string) uint64 // sequence of its log
	last                map[int]uint64               // sequence of each log that has one
	log                 []Entry
}

// Entry is one accepted operation, as the feed must show it.
type Entry struct {
	Sequence uint64
	Task     state.Key
	Op       state.OpKind
	Node     string // "" for Delete and Label
	At       state.Instant
	Actor    string
	Shown    state.State // of the task, by the default convention; 0 for Delete
	Pending  int         // leaves of the task that wait for their automatic retry
	Labels   string      // of the task, for Create and Label; see [labelText]
	Data     string      // size and digest of the operation's data; "" for none
}

// Outcome is the answer to one operation that was not refused.
type Outcome struct {
	Node    string
	Version state.Version
	// Sequence is that of the transition or, for a repeat, the task's revision.
	Sequence uint64
	// Repeat says that the operation changed nothing.
	Repeat bool
	// Changed lists the changed nodes: the named one, then those below it that the
	// operation also changed, in order of creation.
	Changed []string
	// Did has the steps of a compound operation, and Steps their outcomes; both are
	// nil for other operations.
	Did   []state.OpKind
	Steps []Outcome
}

// New returns a store without tasks. Zero limits are the default ones. first is the
// sequence that the first transition of a business gets if its log is empty; nil
// stands for a store with one log. IDs must not be given to nodes in two logs.
func New(limits state.Limits, first func(business string) uint64) *Store {
	s := &Store{levels: 100, nodes: 100_000, data: 64 << 10, tasks: map[state.Key]*task{}, first: first, last: map[int]uint64{}}
	if first == nil {
		s.first = func(string) uint64 { return 1 }
	}
	if limits.Levels != 0 {
		s.levels = limits.Levels
	}
	if limits.Nodes != 0 {
		s.nodes = limits.Nodes
	}
	if limits.DataBytes != 0 {
		s.data = limits.DataBytes
	}
	return s
}

// Clone returns a copy, which later changes of either store do not affect.
func (s *Store) Clone() *Store {
	c := *s
	// A shallow copy is enough, since Do replaces tasks by changed copies.
	c.tasks, c.last, c.log = maps.Clone(s.tasks), maps.Clone(s.last), slices.Clip(s.log)
	return &c
}

// Do applies one operation or a batch, all or none; refused is nil if all were
// accepted. It ignores the fields that the engine sets before it applies an
// operation to a tree, such as [state.Op.Taken]: the model finds out itself. A
// batch for nodes of two tasks, with a create after the first operation, or
// without operations is an invalid argument.
func (s *Store) Do(ops ...state.Op) (outcomes []Outcome, refused *Refusal) {
	if len(ops) == 0 {
		return nil, &Refusal{Code: InvalidArgument, Shape: true}
	}
	for i, op := range ops {
		if !s.wellFormed(op) || op.Kind == state.Create && i > 0 {
			return nil, &Refusal{Code: InvalidArgument, Index: i, Op: op.Kind, Shape: true}
		}
	}
	was := s.taskOf(ops[0])
	if was == nil {
		return nil, (&task{key: ops[0].Task}).refuse(ops[0], 0, NotFound)
	}
	t := was.copy()
	sequence := s.Last(t.key.Business)
	var log []Entry
	do := func(op state.Op) (Outcome, string) {
		out, code := s.apply(t, op)
		if code == "" && !out.Repeat {
			sequence++
			t.revision = sequence
			if op.Kind == state.Create {
				t.number, t.recorded = sequence, op.Now
			}
			e := t.entry(op, out.Node)
			t.updated = latest(t.updated, e.At)
			log = append(log, e)
		}
		out.Sequence = t.revision
		return out, code
	}
	for i, op := range ops {
		before, one := t.copy(), do
		if op.Kind.Compound() {
			one = func(op state.Op) (Outcome, string) { return s.compound(t, op, do) }
		}
		out, code := one(op)
		if code != "" {
			return nil, before.refuse(op, i, code)
		}
		out.Sequence = t.revision
		outcomes = append(outcomes, out)
	}
	s.tasks[t.key] = t
	s.add(log...)
	return outcomes, nil
}

// add adds to the log what was accepted.
func (s *Store) add(log ...Entry) {
	for _, e := range log {
		s.last[store.LogOf(e.Sequence)] = e.Sequence
	}
	s.log = append(s.log, log...)
}

// Delete removes a task and frees its key and IDs; the removal has a sequence.
// It reports whether there was such a task.
func (s *Store) Delete(key state.Key, now state.Instant, actor string) bool {
	if s.tasks[key] == nil {
		return false
	}
	delete(s.tasks, key)
	s.add(Entry{Sequence: s.Last(key.Business) + 1, Task: key, Op: state.Delete, At: now, Actor: actor})
	return true
}

// Last is the last sequence of the log of a business, one less than its first if it
// has none.
func (s *Store) Last(business string) uint64 {
	first := s.first(business)
	return max(first-1, s.last[store.LogOf(first)])
}

// Log returns every accepted operation in order.
func (s *Store) Log() []Entry { return slices.Clone(s.log) }

// Keys returns the keys of all tasks, of each log in the order of their creation.
func (s *Store) Keys() []state.Key {
	return slices.SortedFunc(maps.Keys(s.tasks), func(a, b state.Key) int {
		return int(s.tasks[a].number) - int(s.tasks[b].number)
	})
}

// Owner returns the key of the task that has a node with this ID.
func (s *Store) Owner(id string) (key state.Key, ok bool) {
	for key, t := range s.tasks {
		if t.find(id) != nil {
			return key, true
		}
	}
	return state.Key{}, false
}

// usedElsewhere reports whether a task other than t has a node with this ID.
func (s *Store) usedElsewhere(t *task, id string) bool {
	key, ok := s.Owner(id)
	return ok && key != t.key
}

// task is one task; nodes are in order of creation, the root first.
type task struct {
	key               state.Key
	labels            map[string]string // replaced, never changed in place
	nodes             []*node
	number, revision  uint64
	recorded, updated state.Instant
}

// node is one node; the last of its attempts is the current one.
type node struct {
	id, parent, name string
	kind             state.Kind
	noRetry, noSkip  bool
	maxLoops         int
	key, note        string
	after            []*node // of the same copy of the task
	attempts         []state.Attempt
	data             []payload     // of each attempt
	last             state.Instant // time of its last transition
}

func (t *task) copy() *task {
	c := *t
	c.nodes = nil
	for _, n := range t.nodes {
		m := *n
		m.attempts, m.data = slices.Clone(n.attempts), slices.Clone(n.data)
		m.after = nil
		for _, a := range n.after {
			m.after = append(m.after, c.nodes[t.index(a)]) // already copied, since it is older
		}
		c.nodes = append(c.nodes, &m)
	}
	return &c
}

func (t *task) find(id string) *node {
	for _, n := range t.nodes {
		if n.id == id {
			return n
		}
	}
	return nil
}

func (t *task) index(n *node) int { return slices.Index(t.nodes, n) }

// above returns the containers around n, the nearest first.
func (t *task) above(n *node) (all []*node) {
	for n.parent != "" {
		n = t.find(n.parent)
		all = append(all, n)
	}
	return all
}

func (t *task) children(n *node) (all []*node) {
	for _, c := range t.nodes {
		if c.parent == n.id {
			all = append(all, c)
		}
	}
	return all
}

// below returns the nodes on all levels below n, in order of creation.
func (t *task) below(n *node) (all []*node) {
	for _, c := range t.nodes {
		if slices.Contains(t.above(c), n) {
			all = append(all, c)
		}
	}
	return all
}

func (n *node) now() *state.Attempt { return &n.attempts[len(n.attempts)-1] }

func (n *node) leaf() bool { return n.kind != state.Pipeline && n.kind != state.Subprocess }

// called is the name that n shows.
func (n *node) called() string { return called(n.name, n.kind) }

func called(name string, kind state.Kind) string {
	if name == "" {
		return kind.Class()
	}
	return name
}

func latest(a, b state.Instant) state.Instant {
	if b.After(a) {
		return b
	}
	return a
}
