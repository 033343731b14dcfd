package engine

import (
	"log/slog"
	"time"

	"github.com/pipestatus/pipestatus/state"
)

// observer tells the user's logger and hooks what the engine did. What panics
// in them ends there, since the goroutine may have others to answer.
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

// refused is told of operations whose caller may not have heard of their refusal.
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

// rescue is deferred around what the user plugged in.
func (o *observer) rescue() {
	if r := recover(); r != nil {
		defer func() { _ = recover() }() // if it was the logger
		o.logger.Error("hook or logger panicked", "panic", r)
	}
}
