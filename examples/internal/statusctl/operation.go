package statusctl

import (
	"bytes"
	"encoding/json"
	"math"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query/strictjson"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// operation takes the fields of the form's operation. form.end refuses the remaining
// fields.
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
		opts = append(append(opts, f.newNode("id")...), engine.Labels(f.labels("labels")), f.input())
		return engine.Create(f.id("biz"), f.id("task"), opts...)
	case state.Declare:
		opts = append(opts, f.newNode("node")...)
		opts = append(opts, f.declared()...)
		parent, in := f.target("parent", "parent_key")
		return engine.Declare(parent, f.kind(), append(opts, in...)...)
	case state.Reopen:
		return engine.Reopen(f.id("biz"), f.id("task"), append(opts, f.loop()...)...)
	case state.Label:
		opts = append(opts, engine.Labels(f.labels("set")), engine.Unlabel(f.texts("remove")...))
		return engine.Label(f.id("biz"), f.id("task"), opts...)
	}

	opts = append(opts, engine.IfVersion(f.version("version")))
	if kind.NewAttempt() {
		opts = append(opts, engine.NewVersion(f.version("new_version")))
	} else {
		opts = append(opts, f.loop()...)
	}
	node, in := f.target("node", "key")
	opts = append(opts, in...)
	switch kind {
	case state.Start:
		opts = append(opts, f.input())
	case state.Loop:
		opts = append(append(opts, f.from()...), f.input())
	case state.Skip:
		opts = append(opts, f.output())
	case state.Suspend:
		opts = append(opts, engine.Note(f.message("note")))
	case state.Fail:
		return engine.Fail(node, f.message("error"), append(append(opts, f.failure()...), f.output())...)
	case state.Finish:
		opts = append(opts, f.output())
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
	_, byParent := f.fields["parent"]
	_, byParentKey := f.fields["parent_key"]
	_, byTask := f.fields["task"]
	if _, given := f.fields["kind"]; !byParent && !byParentKey && !given {
		if byTask {
			return engine.Begin("", state.Pipeline, append(opts, engine.In(f.id("biz"), f.id("task")))...)
		}
		return engine.Begin("", state.Pipeline, append(opts, engine.ID(f.id("node")))...)
	}
	opts = append(append(append(append(opts, f.newNode("node")...), f.placed()...), f.from()...), f.input())
	parent, in := f.target("parent", "parent_key")
	return engine.Begin(parent, f.kind(), append(opts, in...)...)
}

func (f *form) report() engine.Op {
	opts := append(f.unrepeated(), engine.IfVersion(f.version("version")), f.output())
	opts = append(opts, f.loop()...)
	if text := f.message("error"); text != "" {
		opts = append(opts, engine.Reason(text))
	}
	name := f.required("state")
	is, err := state.ParseState(name)
	if err != nil {
		f.fail("unknown state %q", brief(name, 64))
	}
	node, in := f.target("node", "key")
	return engine.Report(node, is, append(opts, in...)...)
}

// onNode are the operations that take only a node and options.
var onNode = map[state.OpKind]func(string, ...engine.Option) engine.Op{
	state.Start: engine.Start, state.Finish: engine.Finish,
	state.Retry: engine.Retry, state.Skip: engine.Skip, state.Loop: engine.Loop, state.Reset: engine.Reset,
	state.Suspend: engine.Suspend, state.Resume: engine.Resume, state.Revoke: engine.Revoke,
}

// target takes the fields that name a node, as ref does, for an operation.
func (f *form) target(idField, keyField string) (node string, in []engine.Option) {
	ref := f.ref(idField, keyField)
	if ref.Key == (state.Key{}) {
		return ref.Node, nil
	}
	return ref.NodeKey, []engine.Option{engine.In(ref.Key.Business, ref.Key.Task)}
}

// ref takes the fields that name a node: its ID, or a task and a key in it; a task
// without a key names the root.
func (f *form) ref(idField, keyField string) store.Ref {
	_, byID := f.fields[idField]
	_, byTask := f.fields["task"]
	if byID || !byTask {
		return store.ByNode(f.id(idField))
	}
	business, task := f.id("biz"), f.id("task")
	key, given := f.checked(keyField, state.CheckNodeKey)
	if given && key == "" {
		f.fail("%q is empty", keyField)
	}
	return store.ByNodeKey(business, task, key)
}

// labels takes an object of texts.
func (f *form) labels(name string) (labels map[string]string) {
	raw, given := f.take(name)
	if !given {
		return nil
	}
	fields, err := strictjson.Fields(raw, state.MaxLabels)
	if err != nil {
		f.fail("%q is not an object of at most %d texts, each name once", name, state.MaxLabels)
		return nil
	}
	labels = make(map[string]string, len(fields))
	for key, value := range fields {
		var text string
		if value[0] != '"' || json.Unmarshal(value, &text) != nil {
			f.fail("%q has a value that is not a text", name)
		}
		labels[key] = text
	}
	return labels
}

// texts takes a list of texts.
func (f *form) texts(name string) (list []string) {
	raw, given := f.take(name)
	if !given {
		return nil
	}
	var values []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &values) != nil || len(values) > state.MaxAfter {
		f.fail("%q is not a list of at most %d texts", name, state.MaxAfter)
		return nil
	}
	for _, value := range values {
		var text string
		if value[0] != '"' || json.Unmarshal(value, &text) != nil {
			f.fail("%q has something that is not a text", name)
		}
		list = append(list, text)
	}
	return list
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

// common takes the fields that every operation has except compound ones.
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
	return append(append(opts, f.placed()...), engine.MaxLoops(f.count("max_loops")), engine.NewVersion(f.version("new_version")))
}

// placed takes the fields for the place of a new node in the pipeline.
func (f *form) placed() (opts []engine.Option) {
	if key, given := f.checked("key", state.CheckNodeKey); given {
		opts = append(opts, engine.Key(key))
	}
	return append(opts, engine.After(f.texts("after")...))
}

// input and output take any JSON value and keep its compact text.

func (f *form) input() engine.Option { return engine.Input(f.data("input")) }

func (f *form) output() engine.Option { return engine.Output(f.data("output")) }

func (f *form) data(name string) []byte {
	raw, given := f.take(name)
	if !given {
		return nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		f.fail("%q is no JSON", name)
		return nil
	}
	return compact.Bytes()
}

func (f *form) from() []engine.Option {
	from, given := f.checked("from", state.CheckNodeKey)
	if !given {
		return nil
	}
	return []engine.Option{engine.From(from)}
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

// batch takes the operations of a batch. Its errors name the operation, if they are
// about one.
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
