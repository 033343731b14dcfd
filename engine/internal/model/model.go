// Package model is a second implementation of the rules, for tests only: plain
// and slow, written from the text of state/RULES.md and not
// from the code in package state. It keeps a whole store as maps and slices,
// counts nothing and finds everything by looking at every node, so that what
// it says can be checked against the text by reading.
//
// Tests do the same operations here and in the real thing and compare
// outcomes, refusals, snapshots, histories and headers.
package model

import (
	"maps"
	"slices"

	"github.com/pipestatus/pipestatus/state"
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

// Store is all tasks, as the model knows them. It is not safe for concurrent
// use.
type Store struct {
	levels, nodes, data int
	tasks               map[state.Key]*task
	sequence            uint64
	log                 []Entry
}

// Entry is one accepted operation: what a feed of the changes must show.
type Entry struct {
	Sequence uint64
	Task     state.Key
	Op       state.OpKind
	Node     string // "" for Delete and Label
	At       state.Instant
	Actor    string
	Shown    state.State // of the task, by the default convention; 0 for Delete
	Pending  int         // its leaves that await their automatic retry
	Labels   string      // of the task, for Create and Label; see [labelText]
	Data     string      // that the operation brought, by size and digest; "" for none
}

// Outcome is the answer to one operation that was not refused.
type Outcome struct {
	Node    string
	Version state.Version
	// Sequence is the transition's, of a repeat the task's revision.
	Sequence uint64
	// Repeat says that the operation changed nothing.
	Repeat bool
	// Changed lists the nodes it changed: the one it named, then those it
	// took along in order of creation.
	Changed []string
	// Did are the steps of a compound operation, Steps their outcomes; nil for
	// others.
	Did   []state.OpKind
	Steps []Outcome
}

// New is a store without tasks. Zero limits stand for those of the design.
func New(limits state.Limits) *Store {
	s := &Store{levels: 100, nodes: 100_000, data: 64 << 10, tasks: map[state.Key]*task{}}
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

// Clone is a copy: what is done to one of them the other does not see.
func (s *Store) Clone() *Store {
	c := *s
	// Nothing below is changed in place: Do works on copies of tasks.
	c.tasks, c.log = maps.Clone(s.tasks), slices.Clip(s.log)
	return &c
}

// Do does one operation or a batch, all or none; refused is nil if all were
// accepted. What the engine finds out for a tree, [state.Op.Taken] and the like, is
// not looked at: the model knows what is in use. A batch that names nodes of two
// tasks, or creates in the middle, is an invalid argument, and so is an empty one.
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
	sequence := s.sequence
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
	s.tasks[t.key], s.sequence, s.log = t, sequence, append(s.log, log...)
	return outcomes, nil
}

// Delete removes a task and frees its key and IDs; the removal takes a
// sequence of its own. It reports whether there was such a task.
func (s *Store) Delete(key state.Key, now state.Instant, actor string) bool {
	if s.tasks[key] == nil {
		return false
	}
	delete(s.tasks, key)
	s.sequence++
	s.log = append(s.log, Entry{Sequence: s.sequence, Task: key, Op: state.Delete, At: now, Actor: actor})
	return true
}

// Sequence is that of the last accepted operation, 0 before the first.
func (s *Store) Sequence() uint64 { return s.sequence }

// Log is every accepted operation in order.
func (s *Store) Log() []Entry { return slices.Clone(s.log) }

// Keys are the keys of all tasks, in the order in which they were created.
func (s *Store) Keys() []state.Key {
	return slices.SortedFunc(maps.Keys(s.tasks), func(a, b state.Key) int {
		return int(s.tasks[a].number) - int(s.tasks[b].number)
	})
}

// Owner is the key of the task that has a node with this ID.
func (s *Store) Owner(id string) (key state.Key, ok bool) {
	for key, t := range s.tasks {
		if t.find(id) != nil {
			return key, true
		}
	}
	return state.Key{}, false
}

// usedElsewhere reports whether another task than t has a node with this ID.
func (s *Store) usedElsewhere(t *task, id string) bool {
	key, ok := s.Owner(id)
	return ok && key != t.key
}

// task is one task; nodes are in order of creation, the root first.
type task struct {
	key               state.Key
	labels            map[string]string // replaced and not changed in place
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
			m.after = append(m.after, c.nodes[t.index(a)]) // came before
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

// above are the containers around n, the nearest first.
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

// below are the nodes on all levels below n, in order of creation.
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

// called is the name n shows.
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
