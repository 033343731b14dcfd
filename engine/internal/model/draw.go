package model

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pipestatus/pipestatus/state"
)

// Drawer draws random operations for a story that the model and the real thing
// both go through. They are chosen from what the model knows, so that many are
// legal and tasks live for a while.
type Drawer struct {
	Model *Store
	// Chance draws a number from 0 to 255, all equally likely; what names the
	// choice. See [Number].
	Chance func(what string) int
	// Log is told every operation.
	Log func(op string)
	// WellFormed has no operations drawn that are misshapen.
	WellFormed bool
}

// The pools are small, so that operations meet: the same IDs in two tasks,
// versions that were superseded, times before the last transition.
var (
	keys     = []state.Key{{Business: "2", Task: "10"}, {Business: "2", Task: "11"}}
	ids      = strings.Fields("a b c d e f g h i j k l m n o p q r s t u v w x y z A B C D E F")
	names    = []string{"", "", "", "build", state.ServiceActivity.Class(), state.Subprocess.Class(), state.Pipeline.Class()}
	versions = func() (vs []state.Version) {
		for i := range byte(6) {
			vs = append(vs, state.VersionOf([16]byte{i}))
		}
		return vs
	}()
	times = func() (is []state.Instant) {
		for sec := int64(-1); sec < 8; sec++ {
			is = append(is, state.UnixInstant(sec, 0))
		}
		return append(is, state.UnixInstant(3, 1), state.UnixInstant(3, 999_999_999))
	}()
	retryTimes = append([]state.Instant{{}, {}}, times...)
	givenTimes = append([]state.Instant{{}, {}, {}, {}, {}, {}}, times...)
)

// likely lists, for each own state of a leaf, a subprocess and a root, the
// operations to draw from, so that many are legal and trees live for a while.
var likely = map[string]map[state.State][]state.OpKind{
	"leaf": {
		state.Created:   {state.Start, state.Start, state.Start, state.Start, state.Start, state.Start, state.Suspend, state.Skip},
		state.Running:   {state.Finish, state.Finish, state.Fail, state.Fail, state.Fail, state.Fail, state.Suspend, state.Revoke},
		state.Failed:    {state.Retry, state.Retry, state.Retry, state.Skip, state.Skip, state.Fail, state.Reset, state.Revoke},
		state.Suspended: {state.Resume, state.Resume, state.Finish, state.Fail},
		state.Finished:  {state.Loop, state.Loop, state.Reset, state.Finish, state.Fail},
		state.Revoked:   {state.Revoke, state.Reset, state.Reset},
	},
	"subprocess": {
		state.Created: {state.Start, state.Start, state.Start, state.Start, state.Declare, state.Suspend},
		state.Running: {
			state.Declare, state.Declare, state.Declare, state.Declare, state.Declare,
			state.Suspend, state.Finish, state.Finish, state.Fail, state.Fail, state.Revoke,
		},
		state.Failed:    {state.Retry, state.Retry, state.Retry, state.Skip, state.Reset, state.Revoke},
		state.Suspended: {state.Resume, state.Resume, state.Resume, state.Declare, state.Revoke},
		state.Finished:  {state.Loop, state.Reset, state.Reset, state.Declare},
		state.Revoked:   {state.Revoke, state.Reset, state.Reset},
	},
	"root": {
		state.Created: {state.Start},
		state.Running: {
			state.Declare, state.Declare, state.Declare, state.Declare, state.Declare, state.Declare,
			state.Declare, state.Declare, state.Declare, state.Declare, state.Suspend, state.Suspend,
			state.Declare, state.Finish, state.Fail, state.Revoke,
		},
		state.Failed:    {state.Reopen, state.Reopen, state.Retry, state.Revoke},
		state.Suspended: {state.Resume, state.Resume, state.Resume, state.Declare},
		state.Finished:  {state.Reopen, state.Reopen, state.Loop},
		state.Revoked:   {state.Reopen, state.Revoke, state.Reset},
	},
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

// Number is the number from 0 to 255 that 8 bits make. Generators of numbers
// tend to prefer small ones.
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

// In reports whether something of probability percent/100 happens.
func (d *Drawer) In(percent int, what string) bool { return d.Chance(what) >= 256-percent*256/100 }

// Key draws one of the few task keys there are.
func (d *Drawer) Key() state.Key { return one(d, "task", keys) }

// Time draws one of the few times there are.
func (d *Drawer) Time() state.Instant { return one(d, "now", times) }

// one draws an element.
func one[T any](d *Drawer, what string, from []T) T { return from[d.UpTo(len(from), what)] }

// Ops draws n operations on a task. They are chosen one by one from what the
// model knows now, so later ones may well be refused.
func (d *Drawer) Ops(key state.Key, n int) (ops []state.Op) {
	root := d.Model.Tree(key)
	for i := range n {
		var op state.Op
		if root == nil && i == 0 || i == 0 && d.In(3, "create again") {
			op = state.Op{Kind: state.Create, Task: key, Node: one(d, "id", ids), NodeGiven: !d.In(20, "ID left open")}
			if root != nil && d.In(50, "same root") {
				op.Node = root.ID
			}
			op.Name = one(d, "name", names)
		} else {
			op = d.op(root, ops)
		}
		op.At, op.Now = one(d, "at", givenTimes), one(d, "now", times)
		if d.In(15, "by somebody") {
			op.Actor = "somebody"
		}
		op.Idempotent = !op.Kind.Compound() && d.In(25, "idempotent")
		ops = append(ops, op)
	}
	if !d.WellFormed && d.In(2, "misshapen") {
		one(d, "how", misshape)(&ops[d.UpTo(n, "which")])
	}
	for _, op := range ops {
		d.Log(describe(op))
	}
	return ops
}

// leads is where an operation leads as a rule.
var leads = map[state.OpKind]state.State{
	state.Create: state.Created, state.Declare: state.Created, state.Start: state.Running,
	state.Finish: state.Finished, state.Fail: state.Failed, state.Retry: state.Created, state.Skip: state.Finished,
	state.Loop: state.Running, state.Reset: state.Created, state.Reopen: state.Running, state.Suspend: state.Suspended, state.Begin: state.Running, state.Resume: state.Running, state.Revoke: state.Revoked,
}

// op draws an operation on a task that has a root, or will have one after the
// operations before it in the batch.
func (d *Drawer) op(root *Node, before []state.Op) state.Op {
	nodes := flat(root)
	for _, op := range before {
		i := slices.IndexFunc(nodes, func(n Node) bool { return n.ID == op.Node })
		switch {
		case i >= 0 && op.Kind == state.Report:
			nodes[i].State = op.State
		case i >= 0:
			nodes[i].State = leads[op.Kind]
		case op.Kind == state.Create:
			nodes = append(nodes, Node{ID: op.Node, Kind: state.Pipeline})
		case op.Kind == state.Declare || op.Kind == state.Begin:
			nodes = append(nodes, Node{ID: op.Node, Kind: op.NodeKind})
		}
	}
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
	if kind == state.Declare {
		d.declaration(&op, nodes)
		return op
	}
	if d.In(20, "compound") {
		return d.compound(root, &n, nodes)
	}
	if d.In(2, "unknown node") {
		d.unknown(&op.Node)
	}
	if kind == state.Reopen {
		op.Node, op.Task = "", d.keyOf(root)
	}
	if kind == state.Revoke {
		op.Error = one(d, "reason", []string{"", "", "superseded"})
	}
	if kind == state.Finish {
		op.Tolerate = d.In(50, "tolerate") && (n.Kind.Container() || d.In(5, "on a leaf"))
	}
	if kind == state.Fail {
		op.Abandon = d.In(30, "abandon") && (n.Kind.Container() || d.In(5, "on a leaf"))
		op.Error = one(d, "error", []string{"", "no such host", strings.Repeat("no", state.MaxErrorBytes)})
		op.Ignore = d.In(20, "ignore")
		op.RetryAt = one(d, "retry at", retryTimes)
		if op.Ignore && !d.In(5, "both") {
			op.RetryAt = state.Instant{}
		}
		if op.Ignore && !d.In(10, "ignore and abandon") {
			op.Abandon = false
		}
		if n.Kind.Container() && !d.In(5, "on a container") {
			op.RetryAt = state.Instant{}
		}
	}
	if kind.NamesAttempt() {
		op.NewVersion = one(d, "new version", versions)
	}
	if n.Kind == state.Pipeline && d.In(50, "at a loop") || d.In(1, "at a loop anyway") {
		op.Loop = max(1, n.Loop-d.UpTo(3, "loop"))
	}
	switch {
	case kind == state.Reopen:
	case d.In(30, "at the current version"):
		op.Version = n.Version
	case d.In(15, "at the version before"):
		op.Version = n.Supersedes
	case d.In(20, "at any version"):
		op.Version = one(d, "version", versions)
	}
	return op
}

// compound draws a begin or report of a node.
func (d *Drawer) compound(root, n *Node, nodes []Node) state.Op {
	version := one(d, "new version", versions)
	if d.In(50, "report") {
		op := state.Op{Kind: state.Report, Node: n.ID, NewVersion: version}
		op.State = one(d, "state", []state.State{
			state.Created, state.Running, state.Running, state.Finished, state.Finished, state.Failed, state.Suspended, state.Revoked,
		})
		if op.State == state.Failed || op.State == state.Revoked {
			op.Error = one(d, "reason", []string{"", "it broke"})
		}
		switch {
		case n.Kind == state.Pipeline:
			op.Loop = d.UpTo(3, "loop")
		case d.In(30, "at the current version"):
			op.Version = n.Version
		case d.In(30, "at any version"):
			op.Version = one(d, "version", versions)
		}
		return op
	}
	op := state.Op{Kind: state.Begin, Node: n.ID, NodeKind: n.Kind, NodeGiven: true, NewVersion: version}
	if n.Kind == state.Pipeline {
		return op
	}
	op.Parent = d.parentOf(root, n.ID, nodes)
	op.VersionGiven = d.In(60, "version given")
	if d.In(20, "another node") {
		d.unknown(&op.Node)
		op.Name, op.NoRetry, op.MaxLoops = one(d, "name", names), d.In(15, "no retry"), d.UpTo(3, "loops")
	}
	return op
}

// parentOf is the node around another one, now and then any.
func (d *Drawer) parentOf(root *Node, id string, nodes []Node) string {
	if !d.In(5, "another parent") {
		for _, n := range flat(root) {
			for _, c := range n.Children {
				if c.ID == id {
					return n.ID
				}
			}
		}
	}
	return one(d, "parent", nodes).ID
}

// keyOf is the key of the task with this root, or any if there is none.
func (d *Drawer) keyOf(root *Node) state.Key {
	if root != nil && !d.In(3, "another task") {
		if key, ok := d.Model.Owner(root.ID); ok {
			return key
		}
	}
	return d.Key()
}

// declaration completes a Declare that names its parent as node.
func (d *Drawer) declaration(op *state.Op, nodes []Node) {
	op.Parent, op.Node, op.NodeGiven = op.Node, one(d, "id", ids), true
	op.NewVersion = one(d, "new version", versions)
	op.NodeKind = one(d, "kind", []state.Kind{state.Subprocess, state.ServiceActivity, state.ServiceActivity, state.ExclusiveGateway})
	op.Name = one(d, "name", names)
	op.NoRetry, op.NoSkip = d.In(15, "no retry"), d.In(15, "no skip")
	op.MaxLoops = d.UpTo(3, "loops")
	if _, used := d.Model.Owner(op.Node); used && d.In(80, "a free ID") {
		d.unknown(&op.Node)
	}
	if d.In(10, "the same again") {
		same := one(d, "which", nodes)
		if same.Kind != state.Pipeline {
			op.Node, op.NodeKind, op.Name = same.ID, same.Kind, same.Name
		}
	}
	if d.In(2, "unknown parent") {
		d.unknown(&op.Parent)
	}
}

// unknown replaces id by one that no task has, if there is one left.
func (d *Drawer) unknown(id *string) {
	if other := one(d, "other id", ids); other != *id {
		if _, ok := d.Model.Owner(other); !ok {
			*id = other
		}
	}
}

// misshape are ways in which an operation can be misshapen; what is wrong for
// one kind may be right for another.
var misshape = []func(*state.Op){
	func(op *state.Op) { op.Kind = 0 },
	func(op *state.Op) { op.Kind = state.Delete },
	func(op *state.Op) { op.Node = "" },
	func(op *state.Op) { op.Node = strings.Repeat("x", 129) },
	func(op *state.Op) { op.Node = "a\u0085" },
	func(op *state.Op) { op.Task.Task = "\xff" },
	func(op *state.Op) { op.Task = keys[1] },
	func(op *state.Op) { op.Parent = "nowhere" },
	func(op *state.Op) { op.Parent = "" },
	func(op *state.Op) { op.NodeKind = state.Pipeline },
	func(op *state.Op) { op.NodeKind = state.StartEvent },
	func(op *state.Op) { op.NodeKind = 200 },
	func(op *state.Op) { op.Name = "name" },
	func(op *state.Op) { op.Name = strings.Repeat("x", state.MaxNameBytes+1) }, // is cut
	func(op *state.Op) { op.NoRetry = true },
	func(op *state.Op) { op.NoSkip = true },
	func(op *state.Op) { op.MaxLoops = 1 },
	func(op *state.Op) { op.MaxLoops = -1 },
	func(op *state.Op) { op.Error = "error" },
	func(op *state.Op) { op.Ignore = true },
	func(op *state.Op) { op.Abandon = true },
	func(op *state.Op) { op.Tolerate = true },
	func(op *state.Op) { op.Loop = 1 },
	func(op *state.Op) { op.Loop = -1 },
	func(op *state.Op) { op.RetryAt = times[0] },
	func(op *state.Op) { op.RetryAt = state.UnixInstant(1<<40, 0) },
	func(op *state.Op) { op.Version = versions[0] },
	func(op *state.Op) { op.NewVersion = versions[0] },
	func(op *state.Op) { op.NewVersion = state.Version{} },
	func(op *state.Op) { op.Actor = "\n" },
	func(op *state.Op) { op.Actor = strings.Repeat("x", 256) },
	func(op *state.Op) { op.At = state.UnixInstant(0, -1) },
	func(op *state.Op) { op.At = state.UnixInstant(-62135596801, 0) },
	func(op *state.Op) { op.Now = state.Instant{} },
	func(op *state.Op) { op.Now = state.UnixInstant(253402300800, 0) },
}

// flat lists a snapshot's nodes, without the nodes in them.
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

// describe is an operation as a failing test shows it.
func describe(op state.Op) string {
	if op.Kind.Compound() {
		return op.String()
	}
	return fmt.Sprintf("%s %s in %q at %s by %s or loop %d for %s, idempotent %t, ignore %t, abandon %t, tolerate %t, retry at %s",
		op.Kind, op.Node, op.Parent, op.At, op.Version, op.Loop, op.NewVersion, op.Idempotent, op.Ignore, op.Abandon, op.Tolerate, op.RetryAt)
}
