package state

// NodeView reads a node of a tree without copying it. It has the values that a
// status shows; a full copy by [Tree.Node] took a third of the time of writing
// a status. It never changes, keeps the node in memory, and is safe for
// concurrent use. The methods of the zero NodeView panic.
type NodeView struct{ n *node }

// View returns the view of a node. It allocates nothing.
func (t *Tree) View(i int) NodeView { return NodeView{t.nodes.get(i)} }

// ID is the node's ID.
func (v NodeView) ID() string { return v.n.id }

// Key is the runner's name for the node, "" if it has no key.
func (v NodeView) Key() string { return v.n.key() }

// DisplayName is [Node.DisplayName].
func (v NodeView) DisplayName() string {
	return displayName(v.n.name, v.n.kind)
}

// TextBytes is the total length of the node's ID, name and error text in bytes: its
// memory beyond a fixed amount.
func (v NodeView) TextBytes() int {
	bytes := len(v.n.id) + len(v.n.name)
	if v.n.rare != nil {
		bytes += len(v.n.rare.err)
	}
	return bytes
}

// Shown is [Tree.Shown].
func (v NodeView) Shown() State { return v.n.shown() }

// Version is the version of the current attempt.
func (v NodeView) Version() Version {
	return Version{id: v.n.version, set: v.n.flags&flagVersion != 0}
}

// Loop is the number of passes through the node, from 1.
func (v NodeView) Loop() int { return int(v.n.loop) }

// Retry is [Attempt.Retry] of the current attempt.
func (v NodeView) Retry() int { return int(v.n.retries) + int(v.n.skips) }

// Skipped reports whether the current attempt is a skip of a failed one.
func (v NodeView) Skipped() bool { return v.n.flags&flagSkipped != 0 }

// Started is when the current attempt started, unset before.
func (v NodeView) Started() Instant { return v.n.time(started) }

// Finished is when the current attempt ended, unset before.
func (v NodeView) Finished() Instant { return v.n.time(finished) }

// Parent is [Tree.Parent].
func (v NodeView) Parent() int { return int(v.n.parent) }

// FirstChild is [Tree.FirstChild].
func (v NodeView) FirstChild() int {
	if v.n.family == nil {
		return -1
	}
	return int(v.n.family.first)
}

// NextSibling is [Tree.NextSibling].
func (v NodeView) NextSibling() int { return int(v.n.next) }
