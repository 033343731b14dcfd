package storetest

import (
	"fmt"
	"math/rand/v2"

	"github.com/pipestatus/pipestatus/state"
)

// with is op with a few more fields set.
func with(op state.Op, set func(op *state.Op)) state.Op {
	set(&op)
	return op
}

// tour takes a new task through every operation and every kind of value, in
// changes of several transitions. Its nodes are the root, named like the task,
// and those below it, such as "10.a" in task "10". The root stays SUSPENDED.
func tour(w *writer) {
	w.c.Helper()
	task := w.key().Task
	a, b, sub, inner := task+".a", task+".b", task+".sub", task+".inner"
	x, y, z := task+".x", task+".y", task+".z"

	w.do(with(create(task), func(op *state.Op) {
		op.Name, op.Actor = "nightly <build> & \"deploy\"", "alice"
		op.Labels = state.LabelsOf(map[string]string{"env": "prod", "team": "", "链": "值"})
		op.Input = state.NewData([]byte(`{"definition": "nightly"}`))
	}))
	w.do(
		with(on(state.Revoke, task), func(op *state.Op) { op.Error = "created by mistake" }),
		on(state.Reopen, task),
	)
	w.do(
		with(declare(a, task, state.ServiceActivity), func(op *state.Op) {
			op.Name, op.NoRetry, op.NoSkip, op.MaxLoops = "compile\n", true, true, 3
			op.Key = "compile/linux amd64"
		}),
		with(on(state.Start, a), func(op *state.Op) { op.At = state.UnixInstant(1_600_000_000, 999_999_999) }),
		output(on(state.Finish, a), []byte("null")), input(on(state.Loop, a), []byte{}),
		with(on(state.Fail, a), func(op *state.Op) {
			op.Error, op.Actor, op.Output = "exit status 1", "worker 7", state.NewData([]byte("\x00\xff"))
		}),
	)

	awaited := func(node string) state.Op {
		return with(on(state.Fail, node), func(op *state.Op) {
			op.Error, op.RetryAt = "try again", state.UnixInstant(1_600_000_060, 5)
		})
	}
	w.do(with(declare(b, task, state.ServiceActivity), func(op *state.Op) { op.Key, op.After = "b's key", []string{a} }), on(state.Start, b), awaited(b))
	w.do(
		on(state.Retry, b), with(on(state.Suspend, b), func(op *state.Op) { op.Note = "waits for\na person" }), on(state.Resume, b),
		with(on(state.Start, b), func(op *state.Op) { op.From = "compile/linux amd64" }),
	)
	w.do(state.Op{Kind: state.Label, Task: w.key(), Labels: state.LabelsOf(map[string]string{"env": "test"}), Unlabel: []string{"team"}})
	w.do(on(state.Suspend, b), on(state.Resume, b), on(state.Fail, b), on(state.Skip, b), on(state.Loop, b))
	w.do(with(on(state.Fail, b), func(op *state.Op) { op.Error, op.Ignore = "no matter", true }), on(state.Loop, b))

	// A revoke also changes every node below except the running leaf.
	w.do(declare(sub, task, state.Subprocess), on(state.Start, sub), on(state.Fail, sub), on(state.Retry, sub), on(state.Start, sub))
	w.do(
		declare(inner, sub, state.Subprocess), on(state.Start, inner),
		declare(x, inner, state.ServiceActivity), on(state.Start, x),
		declare(y, inner, state.ServiceActivity), on(state.Suspend, y),
		declare(z, inner, state.ServiceActivity), on(state.Start, z), awaited(z),
	)
	w.do(on(state.Revoke, sub))
	w.do(on(state.Finish, x), on(state.Finish, b))
	tourBack(w)

	for k := state.StartEvent; k.Valid(); k++ {
		id := task + "." + k.String()
		w.do(declare(id, task, k), on(state.Start, id), on(state.Finish, id))
	}
	w.do(with(declare(task+".join", task, state.ConvergeGateway), func(op *state.Op) { op.After = []string{sub, "b's key", a} }))
	w.do(with(on(state.Suspend, task), func(op *state.Op) { op.Note = "maintenance" }))
}

// tourBack goes back to earlier steps and ends containers despite failed children.
func tourBack(w *writer) {
	w.c.Helper()
	task := w.key().Task
	stage, inner := task+".stage", task+".stage.inner"
	p, q, r := task+".p", task+".q", task+".r"
	w.do(
		declare(stage, task, state.Subprocess), on(state.Start, stage),
		declare(p, stage, state.ServiceActivity), on(state.Skip, p),
		declare(q, stage, state.ServiceActivity), on(state.Start, q), on(state.Suspend, q), on(state.Finish, q),
		declare(inner, stage, state.Subprocess), on(state.Start, inner),
		declare(r, inner, state.ServiceActivity), on(state.Start, r),
	)
	announce := func(sec int64) state.Op {
		return with(on(state.Fail, r), func(op *state.Op) { op.Error, op.RetryAt = "503", state.UnixInstant(sec, 0) })
	}
	w.do(announce(1_600_000_120), announce(1_600_000_180))
	w.do(
		with(on(state.Fail, inner), func(op *state.Op) { op.Error = "r failed" }),
		with(on(state.Finish, stage), func(op *state.Op) { op.Tolerate = true }),
	)
	// A begin can give a version to an attempt that has not started.
	s := task + ".s"
	begin := state.Op{
		Kind: state.Begin, Node: s, NodeGiven: true, Parent: task, NodeKind: state.ServiceActivity,
		NewVersion: state.VersionOf([16]byte{0: 0xfe, 15: byte(len(task))}), VersionGiven: true,
	}
	w.do(declare(s, task, state.ServiceActivity), begin)
	begin.NewVersion, begin.VersionGiven = state.Version{}, false
	w.do(begin, state.Op{Kind: state.Report, Node: s, State: state.Finished})
	w.do(on(state.Reset, stage)) // also changes every node below except the CREATED one
	w.do(
		on(state.Start, stage), on(state.Start, q), on(state.Finish, q), on(state.Reset, q), on(state.Start, q),
		with(on(state.Fail, stage), func(op *state.Op) { op.Error, op.Abandon = "deadline", true }),
		on(state.Finish, q), on(state.Skip, stage), on(state.Reset, stage),
	)
	w.do(
		on(state.Start, stage),
		with(on(state.Fail, stage), func(op *state.Op) { op.Error, op.Ignore = "optional", true }),
	)
}

// wander drafts one or two operations that the rules allow, chosen at random.
// It does not end the root, so that there is always something left to do.
func (w *writer) wander(r *rand.Rand) *draft {
	w.c.Helper()
	if w.tree.Len() == 0 {
		return w.draft(create(w.key().Task), on(state.Start, w.key().Task))
	}
	for range 50 {
		ops := []state.Op{w.step(r)}
		if r.IntN(2) == 0 {
			ops = append(ops, w.step(r))
		}
		if d, err := w.tryDraft(ops...); err == nil {
			return d
		}
	}
	return w.draft(declare(w.nextID(), w.root(), state.ServiceActivity))
}

func (w *writer) nextID() string { return fmt.Sprintf("%s.%d", w.key().Task, w.tree.Len()) }

// step is any operation on any node, allowed or not.
func (w *writer) step(r *rand.Rand) state.Op {
	kinds := []state.OpKind{
		state.Declare, state.Declare, state.Start, state.Start, state.Start, state.Finish, state.Finish,
		state.Fail, state.Fail, state.Retry, state.Skip, state.Loop, state.Reset, state.Suspend, state.Resume, state.Revoke,
	}
	kind := kinds[r.IntN(len(kinds))]
	i := r.IntN(w.tree.Len())
	if i == 0 && (kind == state.Finish || kind == state.Fail || kind == state.Revoke) {
		kind = state.Suspend
	}
	id := w.tree.ID(i)
	op := on(kind, id)
	switch kind {
	case state.Declare:
		nodeKinds := []state.Kind{state.Subprocess, state.ServiceActivity, state.ServiceActivity, state.ParallelGateway}
		op = declare(w.nextID(), id, nodeKinds[r.IntN(len(nodeKinds))])
		op.MaxLoops, op.NoRetry, op.NoSkip = r.IntN(3)*2, r.IntN(8) == 0, r.IntN(8) == 0
	case state.Finish:
		op.Tolerate = r.IntN(2) == 0 && w.tree.Kind(i).Container()
	case state.Fail:
		op.Abandon = r.IntN(3) == 0 && w.tree.Kind(i).Container()
		op.Error = fmt.Sprintf("failure of %s", id)
		switch r.IntN(4) {
		case 0:
			op.Ignore = !op.Abandon
		case 1:
			op.RetryAt = moment(w.c.ticks.Load() + 60)
		}
	}
	if r.IntN(5) == 0 {
		op.Actor = "somebody"
	}
	return op
}
