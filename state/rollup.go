package state

import "math"

// family holds the counts of the nodes below a container, so that the cost of an
// update depends on the node's depth, and reading a shown state is cheap.
type family struct {
	first, last int32 // children, -1 if none
	own         tally // children by own state
	shown       tally // children by the state they count as for this container
	leaves      tally // leaves below, at any depth, by own state
	pending     int32 // of these, failed ones that await their automatic retry
	waiting     int32 // children that wait to run again
	latestNsec  int32 // with latestSec: the latest transition of a node below
	latestSec   int64
}

type tally [stateEnd]int32

// share is the contribution of a node to the family of its container. The zero share
// is that of a node that does not exist.
type share struct {
	own, shown State
	waiting    int8 // 1: waits to run again
	leaves     tally
	pending    int32
	latest     Instant // transition of the node or of one below it
}

func (n *node) share() share {
	s := share{own: n.state, latest: n.time(updated)}
	if n.waiting() {
		s.waiting = 1
	}
	if f := n.family; f != nil {
		s.shown, s.leaves, s.pending = n.shown(), f.leaves, f.pending
		s.latest = later(s.latest, f.latest())
		return s
	}
	s.leaves[n.state] = 1
	s.shown, s.pending = n.leafCountsAs()
	return s
}

// noneYet is latestSec of a family without nodes.
const noneYet = math.MinInt64

// latest is the time of the latest transition of a node below, unset if there
// is no node below.
func (f *family) latest() Instant {
	if f.latestSec == noneYet {
		return Instant{}
	}
	return UnixInstant(f.latestSec, int(f.latestNsec))
}

// see moves latest forward.
func (f *family) see(at Instant) {
	if at.set && (at.sec > f.latestSec || at.sec == f.latestSec && at.nsec > f.latestNsec) {
		f.latestSec, f.latestNsec = at.sec, at.nsec
	}
}

// leafCountsAs returns the state of a leaf for its containers, and 1 if it
// waits for its automatic retry: it then shows FAILED itself and counts as
// RUNNING for all containers above (RULES.md, shown state).
func (n *node) leafCountsAs() (shown State, pending int32) {
	if n.pending() {
		return Running, 1
	}
	return n.state, 0
}

// shown is the state n shows by the default convention.
func (n *node) shown() State {
	f := n.family
	if f == nil {
		return n.state
	}
	running := f.shown[Running] > 0 || f.leaves[Running]+f.pending > 0
	switch n.state {
	case Running:
		switch {
		case running:
			return Running
		case f.shown[Failed] > 0:
			return Failed
		case f.shown[Suspended] > 0:
			return Suspended
		}
	case Suspended:
		if f.shown[Failed] > 0 && !running {
			return Failed
		}
	}
	return n.state
}

// Shown returns the state a node shows by the default convention (RULES.md,
// shown state): a container that is RUNNING shows RUNNING while anything below
// it runs, else FAILED if a child shows FAILED, else SUSPENDED if a child
// shows SUSPENDED; one that is SUSPENDED shows FAILED if a child does and
// nothing below runs. All others show their own state. A failed leaf that
// awaits its automatic retry shows FAILED and counts as running above.
func (t *Tree) Shown(i int) State { return t.nodes.get(i).shown() }

// ShownBy returns the state that a node shows, by its index: [Tree.Shown], or the other
// convention, that of [Tree.ShownFailedFirst].
func (t *Tree) ShownBy(failedFirst bool) func(i int) State {
	if !failedFirst {
		return t.Shown
	}
	shown := t.ShownFailedFirst(nil)
	return func(i int) State { return shown[i] }
}

// ShownFailedFirst returns the shown state of every node by the other convention, by
// index, in dst if it is large enough: a container that is RUNNING or SUSPENDED
// shows FAILED as soon as any child shows FAILED, even while others run. A leaf that
// awaits its automatic retry is no failure for its containers.
func (t *Tree) ShownFailedFirst(dst []State) []State {
	if cap(dst) < t.Len() {
		dst = make([]State, t.Len())
	}
	dst = dst[:t.Len()]
	// Children come after their container. In backward order, every child has
	// therefore marked its container before the container's turn. Until then
	// its place in dst holds the marks.
	clear(dst)
	const failed, running, suspended = 1, 2, 4
	for i := t.Len() - 1; i >= 0; i-- {
		n, marks := t.nodes.get(i), dst[i]
		dst[i] = n.state
		if n.family != nil && (n.state == Running || n.state == Suspended) {
			switch below := n.family.leaves[Running]+n.family.pending > 0; {
			case marks&failed != 0:
				dst[i] = Failed
			case n.state == Suspended || marks&running != 0 || below:
			case marks&suspended != 0:
				dst[i] = Suspended
			}
		}
		if n.parent < 0 {
			continue
		}
		switch {
		case dst[i] == Running:
			dst[n.parent] |= running
		case dst[i] == Failed:
			dst[n.parent] |= failed
		case dst[i] == Suspended:
			dst[n.parent] |= suspended
		}
	}
	return dst
}

// put replaces node i, or appends it if i is Len, and updates the families above.
// Only Apply and Replay call it, on a private tree.
func (t *Tree) put(i int, n *node) {
	var before share
	isNew := i == t.nodes.len()
	if !isNew {
		before = t.nodes.get(i).share()
	}
	t.nodes = t.nodes.set(i, n)
	after := n.share()
	for p := n.parent; p >= 0 && before != after; {
		old := t.nodes.get(int(p))
		next := old.copy()
		if isNew {
			t.link(next.family, int32(i))
			isNew = false
		}
		next.family.move(&before, &after)
		t.nodes = t.nodes.set(int(p), next)
		before, after = old.share(), next.share()
		p = next.parent
	}
}

// link makes child the last one in a family that may be modified.
func (t *Tree) link(f *family, child int32) {
	if f.first < 0 {
		f.first = child
	} else {
		last := t.nodes.get(int(f.last)).copy()
		last.next = child
		t.nodes = t.nodes.set(int(f.last), last)
	}
	f.last = child
}

// copy is a copy of n that may be modified.
func (n *node) copy() *node {
	if n.family == nil {
		c := *n
		return &c
	}
	c := &struct {
		node
		family
	}{*n, *n.family}
	c.node.family = &c.family
	return &c.node
}

func newFamily(k Kind) *family {
	if !k.Container() {
		return nil
	}
	return &family{first: -1, last: -1, latestSec: noneYet}
}

// addLeaf is move for a new leaf, the most common case when a tree is loaded.
func (f *family) addLeaf(n *node) {
	shown, pending := n.leafCountsAs()
	f.own[n.state]++
	f.shown[shown]++
	f.leaves[n.state]++
	f.pending += pending
	if n.waiting() {
		f.waiting++
	}
	f.see(n.time(updated))
}

// move replaces one child's share by another.
func (f *family) move(before, after *share) {
	f.own[before.own]--
	f.own[after.own]++
	f.shown[before.shown]--
	f.shown[after.shown]++
	f.own[0], f.shown[0] = 0, 0
	for s := range f.leaves {
		f.leaves[s] += after.leaves[s] - before.leaves[s]
	}
	f.pending += after.pending - before.pending
	f.waiting += int32(after.waiting) - int32(before.waiting)
	f.see(after.latest)
}
