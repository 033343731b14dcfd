package statusctl

import (
	"encoding/json"
	"math"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
)

// operation takes the fields of the form's operation. What it does not take
// is refused by form.end.
func (f *form) operation() engine.Op {
	switch f.op {
	case state.Begin.String():
		return f.begin()
	case state.Report.String():
		return f.report()
	}
	kind, err := state.ParseOpKind(f.op)
	if err != nil || kind == state.Delete {
		f.err = invalid("unknown op %q", brief(f.op, 64))
		return engine.Op{}
	}
	opts := f.common()
	switch kind {
	case state.Create:
		opts = append(opts, f.newNode("id")...)
		return engine.Create(f.id("biz"), f.id("task"), opts...)
	case state.Declare:
		opts = append(opts, f.newNode("node")...)
		opts = append(opts, f.declared()...)
		return engine.Declare(f.id("parent"), f.kind(), opts...)
	case state.Reopen:
		return engine.Reopen(f.id("biz"), f.id("task"), append(opts, f.loop()...)...)
	}

	opts = append(opts, engine.IfVersion(f.version("version")))
	if kind.NewAttempt() {
		opts = append(opts, engine.NewVersion(f.version("new_version")))
	} else {
		opts = append(opts, f.loop()...)
	}
	node := f.id("node")
	switch kind {
	case state.Fail:
		return engine.Fail(node, f.message("error"), append(opts, f.failure()...)...)
	case state.Finish:
		if f.flag("tolerate", false) {
			opts = append(opts, engine.Tolerate())
		}
	case state.Revoke:
		opts = append(opts, engine.Reason(f.message("error")))
	}
	return onNode[kind](node, opts...)
}

// begin takes the fields of a begin: of the root if neither parent nor kind are
// given.
func (f *form) begin() engine.Op {
	opts := append(f.unrepeated(), engine.NewVersion(f.version("new_version")))
	_, inside := f.fields["parent"]
	if _, given := f.fields["kind"]; !inside && !given {
		return engine.Begin("", state.Pipeline, append(opts, engine.ID(f.id("node")))...)
	}
	opts = append(opts, f.newNode("node")...)
	return engine.Begin(f.id("parent"), f.kind(), opts...)
}

func (f *form) report() engine.Op {
	opts := append(f.unrepeated(), engine.IfVersion(f.version("version")))
	opts = append(opts, f.loop()...)
	if text := f.message("error"); text != "" {
		opts = append(opts, engine.Reason(text))
	}
	name := f.required("state")
	is, err := state.ParseState(name)
	if err != nil {
		f.fail("unknown state %q", brief(name, 64))
	}
	return engine.Report(f.id("node"), is, opts...)
}

// onNode are the operations that take no more than a node and options.
var onNode = map[state.OpKind]func(string, ...engine.Option) engine.Op{
	state.Start: engine.Start, state.Finish: engine.Finish,
	state.Retry: engine.Retry, state.Skip: engine.Skip, state.Loop: engine.Loop, state.Reset: engine.Reset,
	state.Suspend: engine.Suspend, state.Resume: engine.Resume, state.Revoke: engine.Revoke,
}

// loop takes the loop count of the root's attempt.
func (f *form) loop() []engine.Option {
	if _, given := f.fields["loop"]; !given {
		return nil
	}
	n := f.count("loop")
	if n == 0 {
		f.fail("%q is not a whole number from 1 to %d", "loop", math.MaxInt32)
	}
	return []engine.Option{engine.IfLoop(n)}
}

// common takes the fields that every operation has that is not compound.
func (f *form) common() []engine.Option {
	opts := f.unrepeated()
	if f.flag("idempotent", false) {
		opts = append(opts, engine.Idempotent())
	}
	return opts
}

// unrepeated takes the fields that every operation has.
func (f *form) unrepeated() (opts []engine.Option) {
	if at, given := f.moment("at"); given {
		opts = append(opts, engine.At(at))
	}
	if actor, given := f.checked("actor", state.CheckActor); given {
		if actor == "" {
			f.fail("%q is empty", "actor")
		}
		opts = append(opts, engine.Actor(actor))
	}
	return opts
}

func (f *form) newNode(idField string) (opts []engine.Option) {
	if id, given := f.optionalID(idField); given {
		opts = append(opts, engine.ID(id))
	}
	return append(opts, engine.Name(f.message("name")))
}

func (f *form) declared() (opts []engine.Option) {
	if !f.flag("retryable", true) {
		opts = append(opts, engine.NoRetry())
	}
	if !f.flag("skippable", true) {
		opts = append(opts, engine.NoSkip())
	}
	return append(opts, engine.MaxLoops(f.count("max_loops")), engine.NewVersion(f.version("new_version")))
}

func (f *form) kind() state.Kind {
	name := f.required("kind")
	kind, err := state.ParseKind(name)
	if err != nil {
		f.fail("unknown kind %q", brief(name, 64))
	}
	return kind
}

func (f *form) failure() (opts []engine.Option) {
	if f.flag("ignore", false) {
		opts = append(opts, engine.Ignore())
	}
	if f.flag("abandon", false) {
		opts = append(opts, engine.Abandon())
	}
	if at, given := f.moment("retry_at"); given {
		opts = append(opts, engine.RetryAt(at))
	}
	return opts
}

// batch takes the operations of a batch. Its errors say which one they are
// about, where there is one.
func (f *form) batch() []engine.Op {
	raw, given := f.take("ops")
	var parts []json.RawMessage
	switch {
	case !given:
		f.fail("%q is missing", "ops")
	case raw[0] != '[' || json.Unmarshal(raw, &parts) != nil:
		f.fail("%q is not a list", "ops")
	case len(parts) == 0:
		f.fail("%q is empty", "ops")
	}
	var ops []engine.Op // as long as what makes sense, not as the list
	for i, part := range parts {
		if f.err != nil {
			break
		}
		op, err := parseBatched(part, i)
		if err != nil {
			f.err = &batchError{index: i, err: err}
		}
		ops = append(ops, op)
	}
	return ops
}

func parseBatched(raw []byte, i int) (engine.Op, error) {
	f, err := parseForm(raw)
	if err != nil {
		return engine.Op{}, err
	}
	switch f.op {
	case "batch", "status", "history":
		return engine.Op{}, invalid("no %s in a batch", f.op)
	case state.Create.String():
		if i > 0 {
			return engine.Op{}, invalid("create comes first in a batch")
		}
	}
	op := f.operation()
	return op, f.end()
}
