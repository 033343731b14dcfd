package engine

import (
	"sync"
	"time"

	"github.com/pipestatus/pipestatus/state"
)

// Op is one operation to record. The zero Op is refused; make one with
// [Create], [Declare], [Start] and the others. An Op is a value and can be
// used again.
type Op struct {
	op  state.Op
	err error // error of an option, reported when the op is submitted

	force bool // of a delete
}

// Create makes a new task (business ID, task ID) and its root pipeline, in
// state CREATED. Options: ID, Name, Labels, Input, At, Actor, Idempotent.
func Create(business, task string, opts ...Option) Op {
	return newOp(state.Op{Kind: state.Create, Task: state.Key{Business: business, Task: task}}, opts)
}

// Declare makes a new node in a container, in state CREATED; it shows in the
// snapshot at once. Options: ID, Name, Key, After, NoRetry, NoSkip, MaxLoops,
// NewVersion, In, At, Actor, Idempotent.
func Declare(parent string, kind state.Kind, opts ...Option) Op {
	return newOp(state.Op{Kind: state.Declare, Parent: parent, NodeKind: kind}, opts)
}

// Start takes a node from CREATED to RUNNING; every container above must be
// RUNNING. Options: From, Input, and those of every operation on a node, which
// are In, IfVersion (for the root, IfLoop), At, Actor and Idempotent.
func Start(node string, opts ...Option) Op { return onNode(state.Start, node, opts) }

// Finish takes a node from RUNNING to FINISHED. A leaf that has started may finish
// in any state of its containers, even while it is suspended. A container may
// finish if nothing above it has ended, no child is RUNNING or SUSPENDED or waits
// to run again, and no child is FAILED, unless Tolerate is given. Also: Tolerate,
// Output.
func Finish(node string, opts ...Option) Op { return onNode(state.Finish, node, opts) }

// Fail takes a node from RUNNING to FAILED, or with Ignore to FINISHED, and keeps
// the message, cut as [state.CutError] says. A leaf that has started may fail in
// any state of its containers. A container may fail if nothing above it has ended
// and, unless Abandon is given, no child is RUNNING or SUSPENDED. On a FAILED leaf
// whose automatic retry is pending, Fail replaces that retry, or without RetryAt
// cancels it. Also: Ignore, RetryAt, Abandon, Output.
func Fail(node, message string, opts ...Option) Op {
	return newOp(state.Op{Kind: state.Fail, Node: node, Error: message}, opts)
}

// Retry takes a FAILED node, not the root, back to CREATED with a new attempt.
// Also: NewVersion.
func Retry(node string, opts ...Option) Op { return onNode(state.Retry, node, opts) }

// Skip makes a FAILED or CREATED node, not the root, FINISHED with a new attempt
// marked as skip. Also: NewVersion, Output.
func Skip(node string, opts ...Option) Op { return onNode(state.Skip, node, opts) }

// Loop makes a FINISHED node, not the root, RUNNING again with a new attempt.
// Also: NewVersion, From, Input.
func Loop(node string, opts ...Option) Op { return onNode(state.Loop, node, opts) }

// Reset takes a node that has ended, not the root, back to CREATED with a new
// attempt, and with it every node below that is not CREATED: the way back to an
// earlier step. Also: NewVersion; the nodes below get versions derived from it,
// see [state.Version.Below].
func Reset(node string, opts ...Option) Op { return onNode(state.Reset, node, opts) }

// Reopen makes the root of a task that has ended RUNNING again with a new attempt
// and the next loop count. The nodes below stay unchanged. Options: IfLoop, At,
// Actor, Idempotent.
func Reopen(business, task string, opts ...Option) Op {
	return newOp(state.Op{Kind: state.Reopen, Task: state.Key{Business: business, Task: task}}, opts)
}

// Label changes the labels of a task, also of one that has ended, and no node.
// Options: Labels to set, Unlabel to remove, At, Actor, Idempotent.
func Label(business, task string, opts ...Option) Op {
	return newOp(state.Op{Kind: state.Label, Task: state.Key{Business: business, Task: task}}, opts)
}

// Suspend takes a CREATED or RUNNING node to SUSPENDED. Also: Note.
func Suspend(node string, opts ...Option) Op { return onNode(state.Suspend, node, opts) }

// Resume takes a SUSPENDED node back to RUNNING, or to CREATED if its attempt
// had not started.
func Resume(node string, opts ...Option) Op { return onNode(state.Resume, node, opts) }

// Revoke takes a node that has not finished to REVOKED, and with it every
// container below that has not and every suspended leaf. Leaves that are
// RUNNING continue until they report. Also: Reason.
func Revoke(node string, opts ...Option) Op { return onNode(state.Revoke, node, opts) }

// Begin says that a step begins. It records the operations that lead the node
// there, chosen when it is applied. An unknown node is declared first. Begin needs
// the [ID] or [Key] of the node, because repeating it without one would make another
// node. A leaf then runs in a new attempt; if it was running already, that attempt
// was interrupted and fails. A running subprocess stays unchanged. A parent of ""
// and the kind [state.Pipeline] begin the root that ID names, or the root of the
// task of [In]. See RULES.md in package state.
//
// An Input is refused where no attempt begins: on a subprocess that is RUNNING, or
// SUSPENDED after it started, and always on the root, which gets its input from
// [Create]. A runner that begins its steps again after a crash gives leaves their
// Input again, and begins the root, and each subprocess that it finds RUNNING or
// SUSPENDED, without one: the attempt keeps the input that it has. With the
// NewVersion of before the crash, a Begin that was recorded is a repeat, also with
// its Input.
//
// Options: In; ID or Key; Name, After, NoRetry, NoSkip and MaxLoops, which reach
// the declaration only; From, Input; NewVersion, after which the same Begin can be
// delivered twice; At, Actor.
func Begin(parent string, kind state.Kind, opts ...Option) Op {
	return newOp(state.Op{Kind: state.Begin, Parent: parent, NodeKind: kind}, opts)
}

// Report says which state a step is in. It records the operations that lead the
// node there, and nothing if the node is in that state. If events were lost, the
// next report corrects the record. Report leaves a pending automatic retry of a
// FAILED node unchanged; [Fail] cancels it.
//
// Options: Reason (with FAILED and REVOKED), Output (with FINISHED and FAILED, ignored
// if the step is in that state already), In, At, Actor, and IfVersion or, for the
// root, IfLoop. The last two name an attempt: the report then begins no other one, and
// records nothing if that attempt was superseded.
func Report(node string, is state.State, opts ...Option) Op {
	return newOp(state.Op{Kind: state.Report, Node: node, State: is}, opts)
}

func onNode(kind state.OpKind, node string, opts []Option) Op {
	return newOp(state.Op{Kind: kind, Node: node}, opts)
}

func newOp(op state.Op, opts []Option) Op {
	if len(opts) == 0 {
		return Op{op: op}
	}
	return withOptions(op, opts)
}

// optioned has operations for options to set. A variable would move to the heap
// for each operation: an operation with an option then took 6 % longer.
var optioned = sync.Pool{New: func() any { return new(Op) }}

func withOptions(op state.Op, opts []Option) Op {
	o := optioned.Get().(*Op)
	*o = Op{op: op}
	for _, opt := range opts {
		if opt == nil {
			o.fail("nil option")
			continue
		}
		opt(o)
	}
	made := *o
	*o = Op{}
	optioned.Put(o)
	return made
}

// Option sets an optional part of an operation. A nil option, or one that does
// not apply to the operation, makes the operation an invalid argument.
type Option func(*Op)

// ID names the new node of Create or Declare, or the node of Begin, new or not.
// Without it the engine generates one, except that a Begin then needs a [Key]. ""
// is refused: it is not the same as no ID.
func ID(id string) Option {
	return func(o *Op) {
		if o.op.Kind != state.Create && o.op.Kind != state.Declare && o.op.Kind != state.Begin {
			o.fail("ID")
			return
		}
		o.op.Node, o.op.NodeGiven = id, true
	}
}

// In makes the operation name its node by key instead of by ID: the node (of
// Declare and Begin, the parent) is then a key in the task with these IDs, and ""
// is its root. With In, a runner needs only its own names for nodes.
func In(business, task string) Option {
	return func(o *Op) {
		op := &o.op
		switch op.Kind {
		case state.Create, state.Reopen, state.Label:
			o.fail("task to look for a key in")
			return
		case state.Declare, state.Begin:
			op.Parent, op.ParentKey = "", op.Parent
		default:
			op.Node, op.NodeKey = "", op.Node
		}
		op.Task = state.Key{Business: business, Task: task}
	}
}

// Key is the runner's name for the new node: 1 to 255 bytes of UTF-8 without
// control characters, unique in its task. "" is the same as no Key. [Begin] without
// [ID], and a repeated [Declare], find the node by it. Declare and Begin only.
func Key(key string) Option { return func(o *Op) { o.op.Key = key } }

// After names the nodes of the same container that lead to the new one, by ID or
// else by key: the edges of the pipeline. Nodes that are not known are refused.
// Declare and Begin only.
func After(nodes ...string) Option { return func(o *Op) { o.op.After = nodes } }

// From names the node of the same container that led to the attempt which
// begins, by ID or else by key. It may have been created later: then it is an
// edge that leads back. Start, Loop and Begin only.
func From(node string) Option { return func(o *Op) { o.op.From = node } }

// Input is the input of the attempt that begins, or of the new task: bytes that the
// engine does not interpret, by convention JSON. At most [state.DefaultDataBytes],
// unless [Options.Limits] says otherwise. They are recorded with the operation and
// must not be modified before its answer. nil is no input, which differs from an
// empty one. Create, Start, Loop and Begin; the only input of a root is that of
// Create.
func Input(data []byte) Option {
	d := state.NewData(data)
	return func(o *Op) { o.op.Input = d }
}

// Output is the output of the attempt that ends, with the same rules as [Input].
// Finish, Fail and Skip, and Report of FINISHED or FAILED.
func Output(data []byte) Option {
	d := state.NewData(data)
	return func(o *Op) { o.op.Output = d }
}

// Note says what a suspended node waits for; cut as [state.CutError] says and
// kept until the node is no longer SUSPENDED. Suspend only.
func Note(text string) Option { return func(o *Op) { o.op.Note = text } }

// Labels are the labels of the new task, or labels to set: at most
// [state.MaxLabels], with keys of 1 to 63 bytes and values of 0 to 255. Create and
// Label only.
func Labels(labels map[string]string) Option {
	return func(o *Op) { o.op.Labels = state.LabelsOf(labels) }
}

// Unlabel removes labels and ignores unknown ones. Label only.
func Unlabel(keys ...string) Option { return func(o *Op) { o.op.Unlabel = keys } }

// Name is the display name of the new node, cut as [state.CutName] says. Without
// it, or if it is "", the node shows the class string of its kind.
func Name(name string) Option { return func(o *Op) { o.op.Name = name } }

// NoRetry forbids [Retry] of the new node, and [Reset] once it has failed.
func NoRetry() Option { return func(o *Op) { o.op.NoRetry = true } }

// NoSkip forbids [Skip] of the new node once it has failed.
func NoSkip() Option { return func(o *Op) { o.op.NoSkip = true } }

// MaxLoops bounds the loop count of the new node; 0 does not.
func MaxLoops(n int) Option { return func(o *Op) { o.op.MaxLoops = n } }

// IfVersion has the operation refused with [state.ErrVersionMismatch] unless
// version is the node's current attempt. "" checks nothing.
func IfVersion(version string) Option {
	return func(o *Op) { o.op.Version = o.version(version) }
}

// IfLoop has an operation on the root refused with [state.ErrVersionMismatch]
// unless loop is the loop count of its current attempt: the root has no version.
// 0 checks nothing.
func IfLoop(loop int) Option { return func(o *Op) { o.op.Loop = loop } }

// NewVersion is the version of the attempt that begins, for imports and tests.
// Without it, or if it is "", the engine generates one. A version that an attempt
// of the node has or had is refused with [state.ErrExists], and a [Begin] with it
// records nothing. For this, the engine reads the earlier attempts of a node that
// has had more than two.
func NewVersion(version string) Option {
	return func(o *Op) {
		o.op.NewVersion = o.version(version)
		switch o.op.Kind {
		case state.Retry, state.Skip, state.Loop, state.Reset, state.Begin:
			o.op.VersionGiven = version != ""
		}
	}
}

func (o *Op) version(s string) state.Version {
	v, err := state.ParseVersion(s)
	if err != nil && o.err == nil {
		o.err = err
	}
	return v
}

// At gives the operation a time, for imports. The later of it and the node's
// last transition is used. Any time in the years 1 to 9999 counts, also the
// zero time.Time.
func At(t time.Time) Option { return func(o *Op) { o.op.At = state.InstantOf(t) } }

// Actor is the person or program behind the operation; kept in the transition.
func Actor(id string) Option { return func(o *Op) { o.op.Actor = id } }

// Idempotent lets a repeat of the operation succeed without a transition; RULES.md
// in package state says what a repeat is. It needs IfVersion to recognize a
// repeated Retry, Skip, Loop or Reset, and IfLoop to recognize a repeated Reopen.
func Idempotent() Option { return func(o *Op) { o.op.Idempotent = true } }

// Ignore makes the node end FINISHED, with its error kept and marked ignored. Fail
// only, without RetryAt and Abandon.
func Ignore() Option { return func(o *Op) { o.op.Ignore = true } }

// RetryAt announces that the runner will retry the failed leaf at t: until the
// next operation on it the failure counts as running for the containers above,
// also after t. The engine itself does nothing at t; the runner sends the Retry.
// If the leaf cannot be retried, because it is not retryable or something above
// has ended, the failure is recorded without the announcement. Fail only.
func RetryAt(t time.Time) Option { return func(o *Op) { o.op.RetryAt = state.InstantOf(t) } }

// Abandon lets a container fail in any state of its children, which change as by
// [Revoke]. Fail of a container only.
func Abandon() Option { return func(o *Op) { o.op.Abandon = true } }

// Tolerate lets a container finish although children FAILED: each of those
// becomes FINISHED with its error ignored. Finish of a container only.
func Tolerate() Option { return func(o *Op) { o.op.Tolerate = true } }

// Reason is the reason for a revoke, or for a reported failure or revoke; kept as
// the node's error text. Revoke and Report only.
func Reason(text string) Option {
	return func(o *Op) {
		if o.op.Kind != state.Revoke && o.op.Kind != state.Report {
			o.fail("reason")
			return
		}
		o.op.Error = text
	}
}

// Force makes [Engine.Delete] remove a task that is unfinished but settled. Delete
// only.
func Force() Option {
	return func(o *Op) {
		if o.op.Kind != state.Delete {
			o.fail("force")
			return
		}
		o.force = true
	}
}

func (o *Op) fail(option string) {
	if o.err == nil {
		o.err = &misplacedOption{option, o.op.Kind}
	}
}

type misplacedOption struct {
	option string
	kind   state.OpKind
}

func (e *misplacedOption) Error() string {
	return state.ErrInvalidArgument.Error() + ": " + e.kind.String() + " takes no " + e.option
}

func (e *misplacedOption) Unwrap() error { return state.ErrInvalidArgument }

// String is the operation in one line for people. Long texts are cut. Its form
// may change.
func (o Op) String() string { return o.op.String() }
