package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Action is an action that a caller requests from a runner.
type Action string

// The actions. A task is paused, resumed and revoked; a node is paused, resumed,
// retried, skipped and made to fail.
const (
	Pause     Action = "pause"
	Resume    Action = "resume"
	Revoke    Action = "revoke"
	Retry     Action = "retry"
	Skip      Action = "skip"
	ForceFail Action = "forced_fail"
)

// Operation is an action on a task or on one of its nodes.
type Operation struct {
	Business, Task string
	// Node is the node's ID, "" for the task itself. [Options.AuthorizeOperation]
	// sees the name in the request, which may also be the node's key.
	Node   string
	Action Action
	// Actor is the user, or the application if there is no user; "" with [NoAuth].
	// Record it with the operation.
	Actor string
	// Inputs are new inputs for a retry: a JSON object, nil for the previous ones.
	Inputs json.RawMessage
}

// Operator is implemented by runners that can be operated. Operate returns when
// the operation has been recorded, or will certainly be carried out. It is called
// from many goroutines. The caller has been authorized, and task and node existed when
// Operate was called.
//
// Its error is the answer if it matches one of the sentinels of package state or
// [ErrNotOperable]. [ErrTryLater], [store.ErrConflict], [store.ErrFull],
// [store.ErrFenced], [store.ErrClosed], [store.ErrFailed], [store.ErrUnavailable] and
// [context.DeadlineExceeded] are answered as not available at the moment. Any
// other error is logged and answered as an internal error.
type Operator interface {
	Operate(ctx context.Context, op Operation) error
}

// ErrNotOperable says that the runner does not run the task, or does not support the
// action. Wrap it to add details.
var ErrNotOperable = errors.New("not operable")

// ErrTryLater says that the runner cannot carry out the action now but can soon, for
// example because its queue is full. Wrap it to add details.
var ErrTryLater = errors.New("try again later")

// The names of actions in requests, those of the documented calls included.
var (
	taskActions = map[string]Action{"pause": Pause, "resume": Resume, "revoke": Revoke}
	nodeActions = map[string]Action{
		"retry": Retry, "skip": Skip, "pause": Pause, "resume": Resume,
		"pause_subproc": Pause, "resume_subproc": Resume, "forced_fail": ForceFail, "force_fail": ForceFail,
	}
)

// operateTask is operate_task.
func (h *Handler) operateTask(x *exchange) error { return h.operateOn(x, false) }

// operateNode is operate_node. Clients disagree on the order of the IDs in its
// path: if there is no such task, they count the other way round.
func (h *Handler) operateNode(x *exchange) error {
	task, business := x.params.plain("task_id"), x.params.plain("bk_biz_id")
	if x.inPath && !h.visible(x, business, task) && h.visible(x, task, business) {
		given := x.params.params
		given["task_id"], given["bk_biz_id"] = given["bk_biz_id"], given["task_id"]
	}
	return h.operateOn(x, true)
}

// visible reports whether there is a task that the caller may see.
func (h *Handler) visible(x *exchange, business, task string) bool {
	if !h.allowed(x.r.Context(), x.who, business) {
		return false
	}
	_, err := h.reader.Locate(x.r.Context(), store.ByKey(business, task))
	return err == nil
}

// operate is both, for the page: on a node if the request names one.
func (h *Handler) operate(x *exchange) error {
	_, onNode := x.params.params["node_id"]
	return h.operateOn(x, onNode)
}

func (h *Handler) operateOn(x *exchange, onNode bool) error {
	if err := h.target(x); err != nil {
		return err
	}
	op := Operation{Business: x.business, Task: x.task, Actor: x.who.User}
	if op.Actor == "" {
		op.Actor = x.who.App
	}
	names := taskActions
	if onNode {
		names, op.Node = nodeActions, x.params.nodeID("node_id")
	}
	known := false
	if op.Action, known = names[x.params.id("action")]; !known {
		x.params.fail(malformed("action must be one of %s", listed(names)))
	}
	if op.Inputs = x.params.object("inputs"); x.params.err != nil {
		return x.params.err
	}
	if !h.mayOperate(x, op) {
		return h.forbidden("no permission to operate this task")
	}
	if err := h.exists(x, &op); err != nil {
		return err
	}
	if err := h.opts.Operator.Operate(x.r.Context(), op); err != nil {
		return operationError(err)
	}
	return x.respond("", func(s *sink) error {
		if onNode {
			s.text(`"success"`)
		} else {
			s.text(`{}`)
		}
		return nil
	})
}

func listed(names map[string]Action) string {
	return strings.Join(slices.Sorted(maps.Keys(names)), ", ")
}

func (h *Handler) mayOperate(x *exchange, op Operation) bool {
	return h.opts.Operator != nil && h.opts.AuthorizeOperation != nil && h.opts.AuthorizeOperation(x.r.Context(), x.who, op)
}

// exists checks that the task exists, by its own ID, and the node in it, which the
// operation then names by its ID.
func (h *Handler) exists(x *exchange, op *Operation) error {
	key := state.Key{Business: op.Business, Task: op.Task}
	_, err := h.reader.Locate(x.r.Context(), store.ByKey(op.Business, op.Task))
	if err != nil || op.Node == "" {
		return err
	}
	at, err := h.reader.Locate(x.r.Context(), store.ByNode(op.Node))
	if err == nil && at.Key == key || err != nil && !errors.Is(err, state.ErrNotFound) {
		return err
	}
	snap, err := x.load(nil, func(ctx context.Context) (store.Snapshot, error) {
		return h.reader.Load(ctx, store.ByNodeKey(op.Business, op.Task, op.Node))
	})
	if errors.Is(err, state.ErrNotFound) {
		return x.noNode(op.Node)
	}
	if err == nil {
		op.Node = snap.Tree.ID(snap.Index)
	}
	return err
}

// refusedOperation is an operation that the runner refused.
type refusedOperation struct{ cause error }

func (e *refusedOperation) Error() string { return e.cause.Error() }

func (e *refusedOperation) Unwrap() error { return e.cause }

func operationError(err error) error {
	for _, reason := range []error{
		ErrNotOperable, state.ErrNotFound, state.ErrExists, state.ErrInvalidArgument, state.ErrInvalidTransition,
		state.ErrVersionMismatch, state.ErrNotRetryable, state.ErrNotSkippable, state.ErrLoopLimit,
	} {
		if errors.Is(err, reason) {
			return &refusedOperation{err}
		}
	}
	if errors.Is(err, ErrTryLater) {
		return &unavailableError{message: err.Error()}
	}
	for _, reason := range []error{
		store.ErrConflict, store.ErrFull, store.ErrFenced, store.ErrClosed, store.ErrFailed, store.ErrUnavailable, context.DeadlineExceeded,
	} {
		if errors.Is(err, reason) {
			return &unavailableError{message: "the operation could not be recorded: " + reason.Error(), cause: err}
		}
	}
	return err
}

// code is that of the envelope.
func (e *refusedOperation) code() int {
	switch {
	case errors.Is(e.cause, state.ErrNotFound):
		return codeNotFound
	case errors.Is(e.cause, state.ErrInvalidArgument):
		return codeInvalid
	}
	return codeOperation
}
