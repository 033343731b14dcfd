package engine

import (
	"log/slog"
	"time"

	"github.com/pipestatus/pipestatus/state"
)

// observer calls the user's logger and hooks. It recovers from their panics,
// since its goroutine must still answer other requests.
type observer struct {
	logger *slog.Logger
	hooks  Hooks
}

func (o *observer) committed(info CommitInfo) {
	defer o.rescue()
	if info.Err != nil {
		o.logger.Error("commit failed", "tasks", info.Tasks, "error", info.Err)
	}
	if info.Conflicts > 0 {
		o.logger.Warn("conflict", "tasks", info.Conflicts)
	}
	if o.hooks.Committed != nil {
		o.hooks.Committed(info)
	}
}

func (o *observer) loaded(t *state.Tree, took time.Duration) {
	defer o.rescue()
	o.logger.Debug("loaded", "task", t.Key(), "nodes", t.Len(), "took", took)
	if o.hooks.Loaded != nil {
		o.hooks.Loaded(t.Key(), t.Len(), took)
	}
}

func (o *observer) evicted(t *state.Tree) {
	defer o.rescue()
	o.logger.Debug("evicted", "task", t.Key(), "nodes", t.Len())
	if o.hooks.Evicted != nil {
		o.hooks.Evicted(t.Key(), t.Len())
	}
}

// refused reports refused operations whose caller may not wait for the answer.
func (o *observer) refused(ops []state.Op, err error) {
	defer o.rescue()
	given := make([]Op, len(ops))
	for i := range ops {
		given[i].op = ops[i]
	}
	o.logger.Warn("not recorded", "operations", given, "error", err)
	if o.hooks.Refused != nil {
		o.hooks.Refused(given, err)
	}
}

// rescue recovers from a panic of the logger or a hook. It must be deferred.
func (o *observer) rescue() {
	if r := recover(); r != nil {
		defer func() { _ = recover() }() // in case the logger panicked
		o.logger.Error("hook or logger panicked", "panic", r)
	}
}
