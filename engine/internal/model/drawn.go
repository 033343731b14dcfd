package model

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Limits draws limits. With one in eight, inputs and outputs may have up to 64
// KiB.
func (d *Drawer) Limits() state.Limits {
	l := state.Limits{Levels: 3 + d.UpTo(3, "levels"), Nodes: 4 + d.UpTo(15, "nodes")}
	l.DataBytes = one(d, "bytes of data", []int{2, 16, 16, 100, 100, 300, 3000, 0})
	return l
}

// unknown replaces id by an ID that no task has. It may fail to find one.
func (d *Drawer) unknown(id *string) {
	if other := one(d, "other id", ids); other != *id {
		if _, ok := d.Model.Owner(other); !ok {
			*id = other
		}
	}
}

// generated returns a new ID, as for a node without a given one.
func (d *Drawer) generated() string {
	d.nodes++
	return fmt.Sprintf("generated %d", d.nodes)
}

// named sometimes gives a new node a key.
func (d *Drawer) named(op *state.Op) {
	if !d.In(50, "with a key") {
		return
	}
	op.Key = one(d, "key", keys)
	if d.In(20, "ID left open") {
		op.Node, op.NodeGiven = d.generated(), false
	}
}

// byKey sometimes makes an operation name its node by task and key.
func (d *Drawer) byKey(op *state.Op, key state.Key, n *Node) {
	switch {
	case n.Kind == state.Pipeline && d.In(30, "as the root"), n.Key != "" && d.In(50, "by key"):
		op.NodeKey = n.Key
	case d.In(1, "by an unknown key"):
		op.NodeKey = "unheard of"
	default:
		return
	}
	op.Node, op.Task = "", key
	if d.In(3, "in another task") {
		op.Task = d.Key()
	}
}

// inPlace completes the container of a Declare or Begin: it sometimes names the
// container by key, and the nodes that lead to the new one.
func (d *Drawer) inPlace(op *state.Op, key state.Key, root, parent *Node) {
	if d.In(40, "edges") {
		for range 1 + d.UpTo(3, "edges") {
			op.After = append(op.After, d.sibling(root, parent.ID))
		}
	}
	if op.Parent != parent.ID || parent.Kind != state.Pipeline && parent.Key == "" || !d.In(40, "parent by key") {
		return
	}
	op.Parent, op.ParentKey, op.Task = "", parent.Key, key
	if d.In(2, "in another task") {
		op.Task = d.Key()
	}
}

// origin sometimes returns the name of a node that leads to another one,
// otherwise "".
func (d *Drawer) origin(root *Node, id string) string {
	if parent := parentOf(root, id); parent != "" && d.In(25, "from") {
		return d.sibling(root, parent)
	}
	if d.In(1, "from anywhere") {
		return one(d, "id", ids)
	}
	return ""
}

// sibling returns the name of a node in a container, sometimes of any node.
func (d *Drawer) sibling(root *Node, parent string) string {
	nodes := flat(root)
	if !d.In(8, "any node") {
		nodes = slices.DeleteFunc(nodes, func(n Node) bool { return parentOf(root, n.ID) != parent })
	}
	if len(nodes) == 0 {
		return one(d, "id", ids)
	}
	n := one(d, "sibling", nodes)
	if n.Key != "" && d.In(50, "by key") {
		return n.Key
	}
	return n.ID
}

// parentOf returns the ID of a node's container, "" for the root and for
// unknown nodes.
func parentOf(n *Node, id string) string {
	if n == nil {
		return ""
	}
	for i := range n.Children {
		c := &n.Children[i]
		if c.ID == id {
			return n.ID
		}
		if parent := parentOf(c, id); parent != "" {
			return parent
		}
	}
	return ""
}

// version sets the version of the attempt that an operation begins, usually a
// new one.
func (d *Drawer) version(op *state.Op, n *Node) {
	op.NewVersion, op.VersionGiven = d.newVersion(), d.In(60, "version given")
	if op.VersionGiven && d.In(35, "a version of before") {
		op.NewVersion = d.anyVersion(n)
	}
}

func (d *Drawer) newVersion() state.Version {
	d.versions++
	return state.VersionOf([16]byte{0xd0, byte(d.versions >> 16), byte(d.versions >> 8), byte(d.versions)})
}

// anyVersion is a version that a node has or had, or a new one if it has none.
func (d *Drawer) anyVersion(n *Node) state.Version {
	if all := d.Model.Attempts(n.ID); len(all) > 0 {
		if v := one(d, "version", all).Version; v.IsSet() {
			return v
		}
	}
	return d.newVersion()
}

// labels draws labels to set, and some to remove.
func (d *Drawer) labels() (set state.Labels, remove []string) {
	m := map[string]string{}
	for range d.UpTo(3, "labels") {
		m[labelKeys[d.UpTo(3, "label")]] = one(d, "value", values)
	}
	if d.In(8, "many labels") {
		from := one(d, "labels from", []int{0, 31})
		for _, key := range labelKeys[from : from+16+d.UpTo(17, "how many")] {
			m[key] = one(d, "value", values)
		}
	}
	for range d.UpTo(3, "labels to remove") {
		if key := one(d, "label", labelKeys[:5]); m[key] == "" && !slices.Contains(remove, key) {
			delete(m, key)
			remove = append(remove, key)
		}
	}
	return state.LabelsOf(m), remove
}

// some draws data of a size up to the limit, now and then over it, and none as a
// rule. No two of the same size are the same.
func (d *Drawer) some(what string) *state.Data {
	if !d.In(35, what) {
		return nil
	}
	most := d.Model.data
	size := one(d, "size", []int{0, 1, most / 2, most - 1, most, d.UpTo(most+1, "any size")})
	if !d.WellFormed && d.In(2, "too large") {
		size = most + 1
	}
	d.data++
	text := fmt.Appendf(nil, "%d\xff\x00", d.data)
	return state.NewData(bytes.Repeat(text, size/len(text)+1)[:size])
}

// Query draws what to list.
func (d *Drawer) Query() (q store.ListQuery) {
	span := func(what string) (s store.Span) {
		if !d.In(20, what) {
			return s
		}
		if d.In(60, "since") {
			s.Since = d.Time()
		}
		if d.In(60, "until") {
			s.Until = d.Time()
		}
		return s
	}
	q.Recorded, q.Started, q.Finished = span("recorded"), span("started"), span("finished")
	if d.In(30, "of a business") {
		q.Business = d.Key().Business
	}
	if d.In(30, "by state") {
		q.Shown = []state.State{one(d, "state", []state.State{state.Running, state.Failed, state.Finished}), state.Suspended}
	}
	q.Unfinished, q.HasFailures = d.In(15, "unfinished"), d.In(20, "with failures")
	if d.In(30, "by name") {
		if q.Name = one(d, "name", names); q.Name == "" {
			q.Name = state.Pipeline.Class()
		}
	}
	if d.In(40, "by label") {
		set := map[string]string{}
		for range 1 + d.UpTo(2, "labels") {
			set[labelKeys[d.UpTo(3, "label")]] = one(d, "value", values)
		}
		q.Labels = state.LabelsOf(set)
	}
	q.OldestFirst = d.In(50, "oldest first")
	return q
}
