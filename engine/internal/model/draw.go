package model

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pipestatus/pipestatus/state"
)

// Drawer draws random operations for a test that applies them to the model and
// to the real implementation. It chooses from the model's present state, so
// that many operations are legal and tasks live for a while.
type Drawer struct {
	Model *Store
	// Chance draws a number from 0 to 255, all equally likely. The text names the
	// choice. See [Number].
	Chance func(what string) int
	// Log is called with every operation.
	Log func(op string)
	// WellFormed excludes malformed operations.
	WellFormed bool

	versions, nodes, data int // made so far
}

func likelyFor(n *Node) []state.OpKind {
	class := "leaf"
	switch n.Kind {
	case state.Pipeline:
		class = "root"
	case state.Subprocess:
		class = "subprocess"
	}
	return likely[class][n.State]
}

// Number returns the number from 0 to 255 with these 8 bits. Generators of
// numbers tend to prefer small ones, generators of bits do not.
func Number(bits []bool) (n int) {
	for _, bit := range bits {
		if n <<= 1; bit {
			n |= 1
		}
	}
	return n
}

// UpTo draws a number from 0 to n-1, for a small n all about equally likely.
func (d *Drawer) UpTo(n int, what string) int { return d.Chance(what) % n }

// In returns true with a probability of percent/100.
func (d *Drawer) In(percent int, what string) bool { return d.Chance(what) >= 256-percent*256/100 }

// Key draws one of a few task keys.
func (d *Drawer) Key() state.Key { return one(d, "task", tasks) }

// Time draws one of a few times.
func (d *Drawer) Time() state.Instant { return one(d, "now", times) }

// one draws an element.
func one[T any](d *Drawer, what string, from []T) T { return from[d.UpTo(len(from), what)] }

// Ops draws n operations on a task. Each is chosen from the model's present
// state, so the model may refuse later ones.
func (d *Drawer) Ops(key state.Key, n int) (ops []state.Op) {
	root := d.Model.Tree(key)
	for i := range n {
		var op state.Op
		if root == nil && i == 0 || i == 0 && d.In(3, "create again") {
			op = d.create(key, root)
		} else {
			op = d.op(key, root, ops)
		}
		op.At, op.Now = one(d, "at", givenTimes), one(d, "now", times)
		if d.In(15, "by somebody") {
			op.Actor = "somebody"
		}
		op.Idempotent = op.Idempotent || !op.Kind.Compound() && d.In(25, "idempotent")
		ops = append(ops, op)
	}
	if !d.WellFormed && d.In(2, "misshapen") {
		one(d, "how", misshape)(&ops[d.UpTo(n, "which")])
	}
	for _, op := range ops {
		d.Log(fmt.Sprintf("%s [by the clock %s]", op.String(), op.Now))
	}
	return ops
}

func (d *Drawer) create(key state.Key, root *Node) state.Op {
	op := state.Op{Kind: state.Create, Task: key, Node: one(d, "id", ids), NodeGiven: !d.In(20, "ID left open")}
	if root != nil && d.In(50, "same root") {
		op.Node = root.ID
	}
	op.Name = one(d, "name", names)
	if d.In(50, "labeled") {
		op.Labels, _ = d.labels()
	}
	op.Input = d.some("input")
	return op
}

// leads has the usual state after an operation.
var leads = map[state.OpKind]state.State{
	state.Create: state.Created, state.Declare: state.Created, state.Start: state.Running,
	state.Finish: state.Finished, state.Fail: state.Failed, state.Retry: state.Created, state.Skip: state.Finished,
	state.Loop: state.Running, state.Reset: state.Created, state.Reopen: state.Running, state.Suspend: state.Suspended, state.Begin: state.Running, state.Resume: state.Running, state.Revoke: state.Revoked,
}

// after returns the nodes of a task, without their children, in their probable
// states after the operations before.
func after(root *Node, before []state.Op) []Node {
	nodes := flat(root)
	for _, op := range before {
		i := slices.IndexFunc(nodes, func(n Node) bool { return n.ID == op.Node || n.Key != "" && n.Key == op.NodeKey })
		switch {
		case i >= 0 && op.Kind == state.Report:
			nodes[i].State = op.State
		case i >= 0:
			nodes[i].State = leads[op.Kind]
		case op.Kind == state.Create:
			nodes = append(nodes, Node{ID: op.Node, Kind: state.Pipeline})
		case op.Kind == state.Declare || op.Kind == state.Begin:
			nodes = append(nodes, Node{ID: op.Node, Kind: op.NodeKind, Key: op.Key})
		}
	}
	return nodes
}

// op draws an operation on a task that has a root, or will have one after the
// operations before it in the batch.
func (d *Drawer) op(key state.Key, root *Node, before []state.Op) state.Op {
	nodes := after(root, before)
	n := one(d, "node", nodes)
	if n.State == 0 {
		n.State = state.Created
	}
	kind := one(d, "likely", likelyFor(&n))
	if d.In(15, "unlikely") {
		kind = one(d, "kind", []state.OpKind{
			state.Declare, state.Start, state.Finish, state.Fail, state.Retry,
			state.Skip, state.Loop, state.Reset, state.Reopen, state.Suspend, state.Resume, state.Revoke,
		})
	}
	op := state.Op{Kind: kind, Node: n.ID}
	if d.In(5, "delivered again") && d.again(&op, key, &n) {
		return op
	}
	switch {
	case kind == state.Declare:
		d.declaration(&op, &n, nodes)
		d.inPlace(&op, key, root, &n)
		return op
	case d.In(20, "compound"):
		return d.compound(key, root, &n, nodes)
	case kind == state.Reopen, d.In(4, "label"):
		return d.ofTask(key, kind)
	case d.In(2, "unknown node"):
		d.unknown(&op.Node)
	}
	d.outcome(&op, &n)
	d.attempt(&op, root, &n)
	d.byKey(&op, key, &n)
	return op
}

// ofTask draws an operation that only names a task.
func (d *Drawer) ofTask(key state.Key, kind state.OpKind) state.Op {
	op := state.Op{Kind: kind, Task: key}
	if d.In(3, "another task") {
		op.Task = d.Key()
	}
	if kind == state.Reopen {
		if d.In(50, "at a loop") {
			op.Loop = 1 + d.UpTo(3, "loop")
		}
		return op
	}
	op.Kind = state.Label
	if op.Labels, op.Unlabel = d.labels(); op.Labels == (state.Labels{}) && op.Unlabel == nil {
		op.Labels = state.LabelsOf(map[string]string{"env": "prod"})
	}
	return op
}

// again makes op a repeat of the operation that began one of the node's
// attempts. It returns false if the node has only one attempt.
func (d *Drawer) again(op *state.Op, key state.Key, n *Node) bool {
	all := d.Model.Attempts(n.ID)
	if len(all) < 2 {
		return false
	}
	i := d.UpTo(len(all)-1, "attempt")
	op.Idempotent, op.Kind, op.Version = true, all[i+1].Began, all[i].Version
	switch op.Kind {
	case state.Reopen:
		op.Node, op.Task, op.Loop = "", key, all[i].Loop
	default:
		op.NewVersion, op.VersionGiven = all[i+1].Version, true
	}
	return true
}

// outcome draws the end of a node's attempt, or the note of a suspended one.
func (d *Drawer) outcome(op *state.Op, n *Node) {
	container := n.Kind.Container()
	switch op.Kind {
	case state.Suspend:
		op.Note = one(d, "note", []string{"", "a person", strings.Repeat("no", state.MaxErrorBytes)})
	case state.Revoke:
		op.Error = one(d, "reason", []string{"", "", "superseded"})
	case state.Skip:
		op.Output = d.some("output")
	case state.Finish:
		op.Tolerate = d.In(50, "tolerate") && (container || d.In(5, "on a leaf"))
		op.Output = d.some("output")
	case state.Fail:
		op.Abandon = d.In(30, "abandon") && (container || d.In(5, "on a leaf"))
		op.Error = one(d, "error", []string{"", "no such host", strings.Repeat("no", state.MaxErrorBytes)})
		op.Ignore = d.In(20, "ignore")
		op.RetryAt = one(d, "retry at", retryTimes)
		if op.Ignore && !d.In(5, "both") {
			op.RetryAt = state.Instant{}
		}
		if op.Ignore && !d.In(10, "ignore and abandon") {
			op.Abandon = false
		}
		if container && !d.In(5, "on a container") {
			op.RetryAt = state.Instant{}
		}
		op.Output = d.some("output")
	}
}

// attempt draws the attempt that an operation on a node is for, and the one
// that it begins.
func (d *Drawer) attempt(op *state.Op, root, n *Node) {
	switch op.Kind {
	case state.Start, state.Loop:
		op.From = d.origin(root, n.ID)
		if n.Kind != state.Pipeline || d.In(5, "input of a root") {
			op.Input = d.some("input")
		}
	}
	if op.Kind.NamesAttempt() {
		d.version(op, n)
	}
	if n.Kind == state.Pipeline && d.In(50, "at a loop") || d.In(1, "at a loop anyway") {
		op.Loop = max(1, n.Loop-d.UpTo(3, "loop"))
	}
	switch {
	case d.In(30, "at the current version"):
		op.Version = n.Version
	case d.In(15, "at the version before"):
		op.Version = n.Supersedes
	case d.In(20, "at any version"):
		op.Version = d.anyVersion(n)
	}
}

// compound draws a begin or report of a node.
func (d *Drawer) compound(key state.Key, root, n *Node, nodes []Node) state.Op {
	if d.In(50, "report") {
		op := d.report(n)
		d.byKey(&op, key, n)
		return op
	}
	op := state.Op{Kind: state.Begin, Node: n.ID, NodeKind: n.Kind, NodeGiven: true}
	d.version(&op, n)
	if n.Kind == state.Pipeline {
		op.VersionGiven = false
		if d.In(30, "by task") {
			op.Node, op.NodeGiven, op.Task = d.generated(), false, key
		}
		return op
	}
	if op.Parent = parentOf(root, n.ID); op.Parent == "" || d.In(5, "another parent") {
		op.Parent = one(d, "parent", nodes).ID
	}
	switch {
	case d.In(20, "another node"):
		d.unknown(&op.Node)
		op.Name, op.NoRetry, op.MaxLoops = one(d, "name", names), d.In(15, "no retry"), d.UpTo(3, "loops")
		d.named(&op)
	case n.Key != "" && d.In(40, "by its key"):
		op.Key, op.Node, op.NodeGiven = n.Key, d.generated(), false
	case d.In(20, "with its key"):
		op.Key = n.Key
	case d.In(5, "with another key"):
		op.Key = one(d, "key", keys)
	}
	op.Input, op.From = d.some("input"), d.origin(root, n.ID)
	i := slices.IndexFunc(nodes, func(c Node) bool { return c.ID == op.Parent })
	d.inPlace(&op, key, root, &nodes[i])
	return op
}

func (d *Drawer) report(n *Node) state.Op {
	op := state.Op{Kind: state.Report, Node: n.ID, NewVersion: d.newVersion()}
	op.State = one(d, "state", []state.State{
		state.Created, state.Running, state.Running, state.Finished, state.Finished, state.Failed, state.Suspended, state.Revoked,
	})
	if op.State == state.Failed || op.State == state.Revoked {
		op.Error = one(d, "reason", []string{"", "it broke"})
	}
	if op.State == state.Failed || op.State == state.Finished {
		op.Output = d.some("output")
	}
	switch {
	case n.Kind == state.Pipeline:
		op.Loop = d.UpTo(3, "loop")
	case d.In(30, "at the current version"):
		op.Version = n.Version
	case d.In(30, "at any version"):
		op.Version = d.anyVersion(n)
	}
	return op
}

// declaration completes a Declare in the container parent.
func (d *Drawer) declaration(op *state.Op, parent *Node, nodes []Node) {
	op.Parent, op.Node, op.NodeGiven = parent.ID, one(d, "id", ids), true
	op.NewVersion = d.newVersion()
	op.NodeKind = one(d, "kind", []state.Kind{state.Subprocess, state.ServiceActivity, state.ServiceActivity, state.ExclusiveGateway})
	op.Name = one(d, "name", names)
	op.NoRetry, op.NoSkip = d.In(15, "no retry"), d.In(15, "no skip")
	op.MaxLoops = one(d, "loops", []int{0, 0, 0, 1, 2})
	if _, used := d.Model.Owner(op.Node); used && d.In(80, "a free ID") {
		d.unknown(&op.Node)
	}
	d.named(op)
	if d.In(10, "the same again") {
		same := one(d, "which", nodes)
		if same.Kind != state.Pipeline {
			op.Node, op.NodeKind, op.Name, op.Key = same.ID, same.Kind, same.Name, same.Key
			if op.Key != "" && d.In(50, "by its key") {
				op.Node, op.NodeGiven = d.generated(), false
			}
		}
	}
	if d.In(2, "unknown parent") {
		d.unknown(&op.Parent)
	}
}

// flat returns a snapshot's nodes, without their children.
func flat(root *Node) (all []Node) {
	if root == nil {
		return nil
	}
	all = []Node{*root}
	all[0].Children = nil
	for i := range root.Children {
		all = append(all, flat(&root.Children[i])...)
	}
	return all
}
