package state

import "fmt"

// Kind is the type of a node. The zero Kind is invalid.
type Kind uint8

// The kinds of node. Pipeline and Subprocess are containers, all others leaves.
const (
	Pipeline Kind = iota + 1
	Subprocess
	StartEvent
	EndEvent
	ServiceActivity
	ExclusiveGateway
	ParallelGateway
	ConditionalParallelGateway
	ConvergeGateway

	kindEnd
)

var kindTexts = [kindEnd]struct{ name, class string }{
	Pipeline:                   {"pipeline", "pipeline.Pipeline"},
	Subprocess:                 {"subprocess", "flow.activity.SubProcess"},
	StartEvent:                 {"start_event", "flow.event.EmptyStartEvent"},
	EndEvent:                   {"end_event", "flow.event.EmptyEndEvent"},
	ServiceActivity:            {"service_activity", "flow.activity.ServiceActivity"},
	ExclusiveGateway:           {"exclusive_gateway", "flow.gateway.ExclusiveGateway"},
	ParallelGateway:            {"parallel_gateway", "flow.gateway.ParallelGateway"},
	ConditionalParallelGateway: {"conditional_parallel_gateway", "flow.gateway.ConditionalParallelGateway"},
	ConvergeGateway:            {"converge_gateway", "flow.gateway.ConvergeGateway"},
}

func init() {
	for k := range kindTexts {
		if kindTexts[k].class != "" {
			kindTexts[k].class = "<class 'pipeline.core." + kindTexts[k].class + "'>"
		}
	}
}

// Valid reports whether k is one of the kinds above.
func (k Kind) Valid() bool { return k > 0 && k < kindEnd }

// Container reports whether nodes of this kind hold other nodes.
func (k Kind) Container() bool { return k == Pipeline || k == Subprocess }

// String is the kind's name in lower case with underscores, such as
// "service_activity".
func (k Kind) String() string {
	if !k.Valid() {
		return fmt.Sprintf("kind(%d)", uint8(k))
	}
	return kindTexts[k].name
}

// Class is the name that get_task_status shows for a node of this kind without a given
// name, such as "<class 'pipeline.core.flow.activity.ServiceActivity'>".
func (k Kind) Class() string {
	if !k.Valid() {
		return ""
	}
	return kindTexts[k].class
}

// ParseKind is the inverse of [Kind.String]. An unknown name is an error that
// matches [ErrInvalidArgument].
func ParseKind(s string) (Kind, error) {
	return parse("kind", s, kindEnd)
}

// State is one of the six states of get_task_status. The zero State is the state of a
// node before it exists.
type State uint8

// The states.
const (
	Created State = iota + 1
	Running
	Failed
	Suspended
	Revoked
	Finished

	stateEnd
)

var stateNames = [stateEnd]string{
	Created: "CREATED", Running: "RUNNING", Failed: "FAILED",
	Suspended: "SUSPENDED", Revoked: "REVOKED", Finished: "FINISHED",
}

// Valid reports whether s is one of the six states.
func (s State) Valid() bool { return s > 0 && s < stateEnd }

// Ended reports whether a node or task in this own state has ended: FINISHED, FAILED
// or REVOKED.
func (s State) Ended() bool { return s == Finished || s == Failed || s == Revoked }

// String is the documented value, such as "RUNNING".
func (s State) String() string {
	if !s.Valid() {
		return fmt.Sprintf("state(%d)", uint8(s))
	}
	return stateNames[s]
}

// ParseState is the inverse of [State.String]. An unknown name is an error
// that matches [ErrInvalidArgument].
func ParseState(s string) (State, error) {
	return parse("state", s, stateEnd)
}

// OpKind is the type of an [Op]. The zero OpKind is no operation.
type OpKind uint8

// The operations, see RULES.md, and Delete, which only a store records: it
// removes a whole task and is not applied to trees. The numbers are in stored
// records, some of which have four bits for them: Label is the last that fits.
const (
	Create OpKind = iota + 1
	Declare
	Start
	Finish
	Fail
	Retry
	Skip
	Loop
	Suspend
	Resume
	Revoke
	Delete
	Reset
	Reopen
	Label

	opEnd
)

// The compound operations. Each stands for the operations above that lead a node
// from its state to the wanted state, which are chosen when it is applied: see
// "Begin and report" in RULES.md. Transitions never have them as their
// operation.
const (
	Begin OpKind = iota + 128
	Report
)

var opNames = [opEnd]string{
	Create: "create", Declare: "declare", Start: "start", Finish: "finish",
	Fail: "fail", Retry: "retry", Skip: "skip", Loop: "loop",
	Suspend: "suspend", Resume: "resume", Revoke: "revoke", Delete: "delete",
	Reset: "reset", Reopen: "reopen", Label: "label",
}

// Valid reports whether o is an operation that a transition can have. The compound
// ones are not.
func (o OpKind) Valid() bool { return o > 0 && o < opEnd }

// Compound reports whether o is Begin or Report.
func (o OpKind) Compound() bool { return o == Begin || o == Report }

// NewAttempt reports whether the operation begins another attempt of a node
// that has one already: retry, skip, loop, reset and reopen.
func (o OpKind) NewAttempt() bool {
	return o == Retry || o == Skip || o == Loop || o == Reset || o == Reopen
}

// NamesAttempt reports whether the operation needs a new version for the attempt
// that begins: declare, retry, skip, loop and reset, and the compound ones, since
// they may perform one of these. The attempts of the root, which create and reopen
// begin, have no version.
func (o OpKind) NamesAttempt() bool {
	return o == Declare || o.NewAttempt() && o != Reopen || o.Compound()
}

// String is the operation's name in lower case, such as "start".
func (o OpKind) String() string {
	switch {
	case o == Begin:
		return "begin"
	case o == Report:
		return "report"
	case !o.Valid():
		return fmt.Sprintf("op(%d)", uint8(o))
	}
	return opNames[o]
}

// ParseOpKind is the inverse of [OpKind.String]. An unknown name is an error
// that matches [ErrInvalidArgument].
func ParseOpKind(s string) (OpKind, error) {
	return parse("operation", s, opEnd)
}

// parse is the value before end, from 1, with a name.
func parse[T interface {
	~uint8
	fmt.Stringer
}](what, name string, end T) (T, error) {
	for v := T(1); v < end; v++ {
		if v.String() == name {
			return v, nil
		}
	}
	return 0, fmt.Errorf("%w: unknown %s %q", ErrInvalidArgument, what, name)
}
