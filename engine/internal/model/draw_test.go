package model_test

import (
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/pipestatus/pipestatus/engine/internal/model"
	"github.com/pipestatus/pipestatus/state"
)

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
		state.Created:   {state.Start, state.Start, state.Start, state.Start, state.Start, state.Suspend},
		state.Running:   {state.Finish, state.Finish, state.Fail, state.Fail, state.Fail, state.Fail, state.Suspend, state.Revoke},
		state.Failed:    {state.Retry, state.Retry, state.Retry, state.Skip, state.Skip, state.Skip, state.Revoke},
		state.Suspended: {state.Resume},
		state.Finished:  {state.Loop, state.Loop, state.Loop, state.Finish, state.Fail},
		state.Revoked:   {state.Revoke},
	},
	"subprocess": {
		state.Created: {state.Start, state.Start, state.Start, state.Start, state.Declare, state.Suspend},
		state.Running: {
			state.Declare, state.Declare, state.Declare, state.Declare, state.Declare,
			state.Suspend, state.Finish, state.Fail, state.Fail, state.Revoke,
		},
		state.Failed:    {state.Retry, state.Retry, state.Retry, state.Skip, state.Revoke},
		state.Suspended: {state.Resume, state.Resume, state.Resume, state.Declare, state.Revoke},
		state.Finished:  {state.Loop, state.Loop, state.Declare},
		state.Revoked:   {state.Revoke},
	},
	"root": {
		state.Created: {state.Start},
		state.Running: {
			state.Declare, state.Declare, state.Declare, state.Declare, state.Declare, state.Declare,
			state.Declare, state.Declare, state.Declare, state.Declare, state.Suspend, state.Suspend,
			state.Declare, state.Finish, state.Fail, state.Revoke,
		},
		state.Failed:    {state.Retry, state.Revoke},
		state.Suspended: {state.Resume, state.Resume, state.Resume, state.Declare},
		state.Finished:  {state.Loop},
		state.Revoked:   {state.Revoke},
	},
}

func likelyFor(n *model.Node) []state.OpKind {
	class := "leaf"
	switch n.Kind {
	case state.Pipeline:
		class = "root"
	case state.Subprocess:
		class = "subprocess"
	}
	return likely[class][n.State]
}

// upTo draws a number from 0 to n-1, all about equally likely; rapid's own
// generators prefer small numbers and ends of ranges.
func upTo(t *rapid.T, n int, what string) int {
	return number.Draw(t, what) % n
}

var number = rapid.Custom(func(t *rapid.T) (n int) {
	for range 8 {
		n <<= 1
		if bit.Draw(t, "bit") {
			n |= 1
		}
	}
	return n
})

var bit = rapid.Bool()

// one draws an element.
func one[T any](t *rapid.T, what string, from []T) T {
	return from[upTo(t, len(from), what)]
}

// in reports whether something of probability percent/100 happens.
func in(t *rapid.T, percent int, what string) bool {
	return number.Draw(t, what) >= 256-percent*256/100
}

// drawOps draws operations on one task. They are chosen one by one from what
// the model knows now, so later ones of a batch may well be refused.
func (p *pair) drawOps(t *rapid.T, n int) (ops []state.Op) {
	key := one(t, "task", keys)
	root := p.model.Tree(key)
	for i := range n {
		var op state.Op
		if root == nil && i == 0 || i == 0 && in(t, 3, "create again") {
			op = state.Op{Kind: state.Create, Task: key, Node: one(t, "id", ids), NodeGiven: !in(t, 20, "ID left open")}
			if root != nil && in(t, 50, "same root") {
				op.Node = root.ID
			}
			op.Name = one(t, "name", names)
		} else {
			op = p.drawOp(t, key, root, ops)
		}
		op.At, op.Now = one(t, "at", givenTimes), one(t, "now", times)
		if in(t, 15, "by somebody") {
			op.Actor = "somebody"
		}
		op.Idempotent = in(t, 25, "idempotent")
		ops = append(ops, op)
	}
	if in(t, 2, "misshapen") {
		one(t, "how", misshape)(&ops[upTo(t, n, "which")])
	}
	for _, op := range ops {
		t.Log(describe(op))
	}
	return ops
}

// leads is where an operation leads as a rule.
var leads = map[state.OpKind]state.State{
	state.Create: state.Created, state.Declare: state.Created, state.Start: state.Running,
	state.Finish: state.Finished, state.Fail: state.Failed, state.Retry: state.Created, state.Skip: state.Finished,
	state.Loop: state.Running, state.Suspend: state.Suspended, state.Resume: state.Running, state.Revoke: state.Revoked,
}

// drawOp draws an operation on a task that has a root, or will have one after
// the operations before it in the batch.
func (p *pair) drawOp(t *rapid.T, key state.Key, root *model.Node, before []state.Op) state.Op {
	nodes := flat(root)
	for _, op := range before {
		i := slices.IndexFunc(nodes, func(n model.Node) bool { return n.ID == op.Node })
		switch {
		case i >= 0:
			nodes[i].State = leads[op.Kind]
		case op.Kind == state.Create:
			nodes = append(nodes, model.Node{ID: op.Node, Kind: state.Pipeline})
		case op.Kind == state.Declare:
			nodes = append(nodes, model.Node{ID: op.Node, Kind: op.NodeKind})
		}
	}
	n := one(t, "node", nodes)
	if n.State == 0 {
		n.State = state.Created
	}
	kind := one(t, "likely", likelyFor(&n))
	if in(t, 15, "unlikely") {
		kind = one(t, "kind", []state.OpKind{
			state.Declare, state.Start, state.Finish, state.Fail, state.Retry,
			state.Skip, state.Loop, state.Suspend, state.Resume, state.Revoke,
		})
	}
	op := state.Op{Kind: kind, Node: n.ID}
	if kind == state.Declare {
		p.drawDeclaration(t, &op, nodes)
		return op
	}
	if in(t, 2, "unknown node") {
		p.drawUnknown(t, &op.Node)
	}
	if kind == state.Fail {
		op.Error = one(t, "error", []string{"", "no such host", strings.Repeat("no", state.MaxErrorBytes)})
		op.Ignore = in(t, 20, "ignore")
		op.RetryAt = one(t, "retry at", retryTimes)
		if op.Ignore && !in(t, 5, "both") {
			op.RetryAt = state.Instant{}
		}
		if n.Kind.Container() && !in(t, 20, "on a container") {
			op.Ignore, op.RetryAt = false, state.Instant{}
		}
	}
	if kind.NewAttempt() {
		op.NewVersion = one(t, "new version", versions)
	}
	switch {
	case in(t, 30, "at the current version"):
		op.Version = n.Version
	case in(t, 15, "at the version before"):
		op.Version = n.Supersedes
	case in(t, 10, "at any version"):
		op.Version = one(t, "version", versions)
	}
	return op
}

// drawDeclaration completes a Declare that names its parent as node.
func (p *pair) drawDeclaration(t *rapid.T, op *state.Op, nodes []model.Node) {
	op.Parent, op.Node, op.NodeGiven = op.Node, one(t, "id", ids), true
	op.NewVersion = one(t, "new version", versions)
	op.NodeKind = one(t, "kind", []state.Kind{state.Subprocess, state.ServiceActivity, state.ServiceActivity, state.ExclusiveGateway})
	op.Name = one(t, "name", names)
	op.NoRetry, op.NoSkip = in(t, 15, "no retry"), in(t, 15, "no skip")
	op.MaxLoops = upTo(t, 3, "loops")
	if _, used := p.model.Owner(op.Node); used && in(t, 80, "a free ID") {
		p.drawUnknown(t, &op.Node)
	}
	if in(t, 10, "the same again") {
		same := one(t, "which", nodes)
		if same.Kind != state.Pipeline {
			op.Node, op.NodeKind, op.Name = same.ID, same.Kind, same.Name
		}
	}
	if in(t, 2, "unknown parent") {
		p.drawUnknown(t, &op.Parent)
	}
}

// drawUnknown replaces id by one that no task has, if there is one left.
func (p *pair) drawUnknown(t *rapid.T, id *string) {
	if other := one(t, "other id", ids); other != *id {
		if _, ok := p.model.Owner(other); !ok {
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
	func(op *state.Op) { op.Node = strings.Repeat("x", 65) },
	func(op *state.Op) { op.Node = "a\u0085" },
	func(op *state.Op) { op.Task.Task = "\xff" },
	func(op *state.Op) { op.Task = keys[1] },
	func(op *state.Op) { op.Parent = "nowhere" },
	func(op *state.Op) { op.Parent = "" },
	func(op *state.Op) { op.NodeKind = state.Pipeline },
	func(op *state.Op) { op.NodeKind = state.StartEvent },
	func(op *state.Op) { op.NodeKind = 200 },
	func(op *state.Op) { op.Name = "name" },
	func(op *state.Op) { op.Name = strings.Repeat("x", state.MaxNameBytes+1) },
	func(op *state.Op) { op.NoRetry = true },
	func(op *state.Op) { op.NoSkip = true },
	func(op *state.Op) { op.MaxLoops = 1 },
	func(op *state.Op) { op.MaxLoops = -1 },
	func(op *state.Op) { op.Error = "error" },
	func(op *state.Op) { op.Ignore = true },
	func(op *state.Op) { op.RetryAt = times[0] },
	func(op *state.Op) { op.RetryAt = state.UnixInstant(1<<40, 0) },
	func(op *state.Op) { op.Version = versions[0] },
	func(op *state.Op) { op.NewVersion = versions[0] },
	func(op *state.Op) { op.NewVersion = state.Version{} },
	func(op *state.Op) { op.Actor = "\n" },
	func(op *state.Op) { op.At = state.UnixInstant(0, -1) },
	func(op *state.Op) { op.At = state.UnixInstant(-62135596801, 0) },
	func(op *state.Op) { op.Now = state.Instant{} },
	func(op *state.Op) { op.Now = state.UnixInstant(253402300800, 0) },
}

// flat lists a snapshot's nodes, without the nodes in them.
func flat(root *model.Node) (all []model.Node) {
	if root == nil {
		return nil
	}
	all = []model.Node{*root}
	all[0].Children = nil
	for i := range root.Children {
		all = append(all, flat(&root.Children[i])...)
	}
	return all
}
