package state

import "iter"

// Tree is one task with all its nodes at one revision. It is immutable and safe for
// concurrent use. Nodes are addressed by their index,
// 0 (the root) to Len-1 in the order of creation; methods that take an index
// panic if it is out of range, as a slice does.
type Tree struct {
	key      Key
	revision uint64
	nodes    vector
	labels   Labels
	keyed    int        // nodes that have a key
	names    *names     // by which nodes are found
	late     *lateIndex // instead of names, if not nil
}

// NewTree is the tree of a task that does not exist yet. It has no nodes; only
// [Create] applies to it.
func NewTree(key Key) *Tree { return &Tree{key: key, names: noNames} }

// Key is the task's key.
func (t *Tree) Key() Key { return t.key }

// Revision is the sequence of the task's last committed transition, 0 before
// the first commit.
func (t *Tree) Revision() uint64 { return t.revision }

// WithRevision is the same tree at another revision. The code that commits the
// transitions of an Apply calls it; Apply itself does not change the revision.
func (t *Tree) WithRevision(revision uint64) *Tree {
	next := *t
	next.revision = revision
	return &next
}

// SetRevision is [Tree.WithRevision] in place, without a copy. Only the caller
// of Apply may call it, before it shares the tree: for all others, trees are
// immutable.
func (t *Tree) SetRevision(revision uint64) { t.revision = revision }

// Len is the number of nodes, 0 if the task does not exist.
func (t *Tree) Len() int { return t.nodes.len() }

// Find returns the index of the node with the given ID.
func (t *Tree) Find(id string) (i int, ok bool) {
	if t.late != nil {
		return t.late.of(t.nodes).find(t.nodes, id)
	}
	return t.names.ids.find(t.nodes, id)
}

// FindKey returns the index of the node with the given key. No node has the key
// "", not even the root.
func (t *Tree) FindKey(key string) (i int, ok bool) {
	switch {
	case t.keyed == 0 || key == "":
		return 0, false
	case t.late != nil:
		return t.late.keysOf(t.nodes).find(t.nodes, key)
	}
	return t.names.keys.find(t.nodes, key)
}

// Named returns the index of the node with the given ID or, if there is none, with the
// given key.
func (t *Tree) Named(name string) (i int, ok bool) {
	if i, ok = t.Find(name); !ok {
		i, ok = t.FindKey(name)
	}
	return i, ok
}

// Labels are the task's labels.
func (t *Tree) Labels() Labels { return t.labels }

// index adds the last node, which is n, to the indexes.
func (t *Tree) index(n *node) {
	if n.key() != "" {
		t.keyed++
	}
	t.names = t.names.grown(t.nodes, t.keyed > 0)
}

// ownIndex gives a private tree an index to which nodes can be added. No node has
// been added yet.
func (t *Tree) ownIndex() {
	if t.late != nil {
		own := *noNames
		if own.ids = t.late.of(t.nodes); t.keyed > 0 {
			own.keys = t.late.keysOf(t.nodes)
		}
		t.names, t.late = &own, nil
	}
}

// Node returns all values of a node. It allocates nothing.
func (t *Tree) Node(i int) (n Node) {
	p := t.nodes.get(i)
	n.ID, n.Index, n.Kind = p.id, i, p.kind
	n.Declaration = t.declaration(p)
	n.Progress = p.progress()
	return n
}

func (t *Tree) declaration(p *node) Declaration {
	d := Declaration{
		ParentIndex: int(p.parent), Name: p.name, MaxLoops: int(p.maxLoops),
		NoRetry: p.flags&flagNoRetry != 0, NoSkip: p.flags&flagNoSkip != 0,
	}
	if p.parent >= 0 {
		d.Parent = t.nodes.get(int(p.parent)).id
	}
	if p.rare != nil && p.rare.place != nil {
		d.Key, d.After = p.rare.place.key, p.rare.place.after
	}
	return d
}

// ID returns a node's ID.
func (t *Tree) ID(i int) string { return t.nodes.get(i).id }

// Kind returns a node's kind.
func (t *Tree) Kind(i int) Kind { return t.nodes.get(i).kind }

// State returns a node's own state. See [Tree.Shown] for the state to show.
func (t *Tree) State(i int) State { return t.nodes.get(i).state }

// Parent returns the index of the container a node is in, -1 for the root.
func (t *Tree) Parent(i int) int { return int(t.nodes.get(i).parent) }

// FirstChild returns the index of the first child in the order of creation, -1
// without children.
func (t *Tree) FirstChild(i int) int { return t.View(i).FirstChild() }

// NextSibling returns the index of the next child of the same container in the
// order of creation, -1 after the last.
func (t *Tree) NextSibling(i int) int { return int(t.nodes.get(i).next) }

// Children iterates over the indices of a node's children in the order of
// creation.
func (t *Tree) Children(i int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for c := t.FirstChild(i); c >= 0; c = t.NextSibling(c) {
			if !yield(c) {
				return
			}
		}
	}
}

// Within iterates over the indices of a node and of all nodes below it, in the order
// of creation.
func (t *Tree) Within(i int) iter.Seq[int] {
	return func(yield func(int) bool) {
		in := make([]bool, t.Len())
		// A node comes after the container it is in.
		for at := i; at < t.Len(); at++ {
			if in[at] = at == i || in[t.Parent(at)]; in[at] && !yield(at) {
				return
			}
		}
	}
}

// Level is the number of nodes on the way from the root to the node, both
// included: 1 for the root.
func (t *Tree) Level(i int) int {
	level := 0
	for ; i >= 0; i = t.Parent(i) {
		level++
	}
	return level
}

// Ended reports whether the root's own state is FINISHED, FAILED or REVOKED.
func (t *Tree) Ended() bool { return t.Len() > 0 && t.State(0).Ended() }

// Unfinished reports whether the task has not ended or some leaf is still
// RUNNING. A task that does not exist is not unfinished.
func (t *Tree) Unfinished() bool {
	return t.Len() > 0 && (!t.State(0).Ended() || t.nodes.get(0).family.leaves[Running] > 0)
}

// Settled reports whether the task has no work in progress: no leaf is RUNNING or
// awaits its automatic retry, and the task has ended, has not started, or shows
// FAILED or SUSPENDED and thus waits for a person. A task that does not exist is not
// settled.
func (t *Tree) Settled() bool {
	if t.Len() == 0 {
		return false
	}
	root := t.nodes.get(0)
	return Settled(root.state, root.shown(), int(root.family.leaves[Running]+root.family.pending))
}

// Settled is [Tree.Settled] computed from its root's own state, its shown state, and
// the numbers of leaves that are RUNNING or await their automatic retry.
func Settled(root, shown State, going int) bool {
	return going == 0 && (root.Ended() || root == Created || shown == Failed || shown == Suspended)
}

// HasFailures reports whether the own state of the root or of a leaf is FAILED.
func (t *Tree) HasFailures() bool {
	if t.Len() == 0 {
		return false
	}
	root := t.nodes.get(0)
	return root.state == Failed || root.family.leaves[Failed] > 0
}

// Pending returns the number of leaves below a container that await their
// automatic retry; of a leaf, 1 if it does.
func (t *Tree) Pending(i int) int { return int(t.nodes.get(i).share().pending) }

// Latest returns the time of the last transition of node i or of a node below it.
func (t *Tree) Latest(i int) Instant { return t.nodes.get(i).share().latest }

// Counts returns the number of leaves below a container by own state, which
// is also the state a leaf shows; of a leaf, its own.
func (t *Tree) Counts(i int) (c Counts) {
	share := t.nodes.get(i).share()
	for s, n := range share.leaves {
		c[s] = int(n)
	}
	return c
}

// node is the packed form of a Node in a tree: with the bytes of a hex ID and the
// tree's own bookkeeping, a live leaf takes about 180 bytes. A node in a tree is
// never modified.
type node struct {
	id, name string
	version  [16]byte
	sec      [3]int64 // created..., see the times below
	nsec     [3]int32 // -1: unset
	parent   int32    // -1: none, also for next
	next     int32
	loop     int32
	retries  int32
	skips    int32
	maxLoops int32
	kind     Kind
	state    State
	began    OpKind
	flags    uint8
	rare     *rare   // nil: all zero
	family   *family // nil: a leaf
}

// The times of a node, as indices of sec and nsec.
const (
	updated = iota
	started
	finished
)

const (
	flagVersion = 1 << iota // version is set
	flagNoRetry
	flagNoSkip
	flagSkipped
	flagIgnored
	flagAlong
	flagPaused
)

// rare holds values that few nodes have.
type rare struct {
	err        string
	note       string
	retryAt    Instant
	supersedes Version
	cameFrom   int32
	place      *declared // never changes; nil: neither key nor edges
}

// declared holds values from the declaration that few nodes have.
type declared struct {
	key   string
	after Edges
}

// key is the node's key, "" if it has none.
func (n *node) key() string {
	if n.rare == nil || n.rare.place == nil {
		return ""
	}
	return n.rare.place.key
}

func (n *node) time(which int) Instant {
	if n.nsec[which] < 0 {
		return Instant{}
	}
	return UnixInstant(n.sec[which], int(n.nsec[which]))
}

func (n *node) setTime(which int, at Instant) {
	if !at.IsSet() {
		n.sec[which], n.nsec[which] = 0, -1
		return
	}
	n.sec[which], n.nsec[which] = at.sec, at.nsec
}

// pending reports whether the node is a failed leaf that awaits its automatic
// retry.
func (n *node) pending() bool { return n.rare != nil && n.rare.retryAt.IsSet() }

// waiting reports whether the node waits to run again: a retry or a reset that
// named it took it back to CREATED.
func (n *node) waiting() bool {
	return n.state == Created && (n.began == Retry || n.began == Reset && n.flags&flagAlong == 0)
}

func (n *node) progress() Progress {
	p := Progress{
		Attempt: Attempt{
			State: n.state, Began: n.began, Along: n.flags&flagAlong != 0, Paused: n.flags&flagPaused != 0,
			Loop: int(n.loop), Retries: int(n.retries), Skips: int(n.skips),
			Skipped: n.flags&flagSkipped != 0, ErrorIgnored: n.flags&flagIgnored != 0,
			Started: n.time(started), Finished: n.time(finished),
		},
		Updated: n.time(updated),
	}
	p.Version = NodeView{n}.Version()
	if n.rare != nil {
		p.Error, p.RetryAt, p.Supersedes = n.rare.err, n.rare.retryAt, n.rare.supersedes
		p.Note, p.CameFrom = n.rare.note, int(n.rare.cameFrom)
	}
	return p
}

func (n *node) setProgress(p *Progress) {
	n.state, n.began = p.State, p.Began
	n.loop, n.retries, n.skips = int32(p.Loop), int32(p.Retries), int32(p.Skips)
	n.version = p.Version.id
	n.flags &= flagNoRetry | flagNoSkip
	n.flags |= flagIf(p.Version.set, flagVersion) | flagIf(p.Skipped, flagSkipped) | flagIf(p.ErrorIgnored, flagIgnored) |
		flagIf(p.Along, flagAlong) | flagIf(p.Paused, flagPaused)
	n.setTime(updated, p.Updated)
	n.setTime(started, p.Started)
	n.setTime(finished, p.Finished)
	next := rare{err: p.Error, note: p.Note, retryAt: p.RetryAt, supersedes: p.Supersedes, cameFrom: int32(p.CameFrom)}
	if n.rare != nil {
		next.place = n.rare.place
	}
	// An equal value keeps its memory: only a new attempt changes the superseded
	// version.
	switch {
	case next == rare{}:
		n.rare = nil
	case n.rare == nil || *n.rare != next:
		n.setRare(next)
	}
}

// setRare is a separate function, so that an unchanged rare costs no memory.
func (n *node) setRare(r rare) { n.rare = &r }

func flagIf(cond bool, flag uint8) uint8 {
	if cond {
		return flag
	}
	return 0
}
