package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// furnish makes the tasks that bad input is tried on: "10" with a running
// activity "a", a finished "done", a failed "broken", a suspended and a revoked
// subprocess with an activity each, a "fragile" one that may be neither
// retried nor skipped, and one that has looped as often as it may; and "11".
func furnish(f *fixture) {
	f.Helper()
	sub := func(id string) engine.Op { return engine.Declare("root", state.Subprocess, engine.ID(id)) }
	f.task("10", "root")
	f.activity("root", "a", engine.Start)
	f.activity("root", "done", engine.Start, engine.Finish)
	f.activity("root", "broken", engine.Start, fails)
	f.record(sub("paused"), engine.Start("paused"))
	f.activity("paused", "below paused")
	f.record(engine.Suspend("paused"))
	f.record(sub("revoked"), engine.Start("revoked"))
	f.activity("revoked", "below revoked")
	f.record(engine.Revoke("revoked"))
	f.record(
		engine.Declare("root", state.ServiceActivity, engine.ID("fragile"), engine.NoRetry(), engine.NoSkip()),
		engine.Start("fragile"), engine.Fail("fragile", "no"),
		engine.Declare("root", state.ExclusiveGateway, engine.ID("gate"), engine.MaxLoops(2)),
		engine.Start("gate"), engine.Finish("gate"), engine.Loop("gate"), engine.Finish("gate"),
	)
	f.task("11", "other")
}

func TestBadInputIsRefusedAndChangesNothing(t *testing.T) {
	declare := func(parent string, opts ...engine.Option) engine.Op {
		return engine.Declare(parent, state.ServiceActivity, opts...)
	}
	long := strings.Repeat("x", 129)
	cases := []struct {
		what string
		want error
		ops  []engine.Op
	}{
		{"unknown node", state.ErrNotFound, []engine.Op{engine.Start("nowhere")}},
		{"unknown parent", state.ErrNotFound, []engine.Op{declare("nowhere")}},
		{"second task with the same key", state.ErrExists, []engine.Op{engine.Create("2", "10")}},
		{"node ID used in the same task", state.ErrExists, []engine.Op{declare("root", engine.ID("a"))}},
		{"node ID used in another task", state.ErrExists, []engine.Op{declare("other", engine.ID("a"))}},
		{"root's ID used in another task", state.ErrExists, []engine.Op{engine.Create("2", "12", engine.ID("a"))}},
		{"declare under a leaf", state.ErrInvalidArgument, []engine.Op{declare("a")}},
		{"declare of a pipeline", state.ErrInvalidArgument, []engine.Op{engine.Declare("root", state.Pipeline)}},
		{"declare of no kind", state.ErrInvalidArgument, []engine.Op{engine.Declare("root", 0)}},
		{"declare under a revoked parent", state.ErrInvalidTransition, []engine.Op{declare("revoked")}},
		{"start under a suspended parent", state.ErrInvalidTransition, []engine.Op{engine.Start("below paused")}},
		{"start under a revoked parent", state.ErrInvalidTransition, []engine.Op{engine.Start("below revoked")}},
		{"start of what runs", state.ErrInvalidTransition, []engine.Op{engine.Start("a")}},
		{"finish with open children", state.ErrInvalidTransition, []engine.Op{engine.Finish("root")}},
		{"fail with running children", state.ErrInvalidTransition, []engine.Op{engine.Fail("root", "")}},
		{"retry of a finished node", state.ErrInvalidTransition, []engine.Op{engine.Retry("done")}},
		{"retry of the root", state.ErrInvalidTransition, []engine.Op{engine.Retry("root")}},
		{"skip of a container", state.ErrInvalidTransition, []engine.Op{engine.Skip("paused")}},
		{"loop of a running node", state.ErrInvalidTransition, []engine.Op{engine.Loop("a")}},
		{"resume of a running node", state.ErrInvalidTransition, []engine.Op{engine.Resume("a")}},
		{"suspend of a finished node", state.ErrInvalidTransition, []engine.Op{engine.Suspend("done")}},
		{"revoke of a finished node", state.ErrInvalidTransition, []engine.Op{engine.Revoke("done")}},
		{"not retryable", state.ErrNotRetryable, []engine.Op{engine.Retry("fragile")}},
		{"not skippable", state.ErrNotSkippable, []engine.Op{engine.Skip("fragile")}},
		{"loop limit", state.ErrLoopLimit, []engine.Op{engine.Loop("gate")}},
		{"stale version", state.ErrVersionMismatch, []engine.Op{engine.Finish("a", engine.IfVersion(id(999)))}},
		{"an invalid version", state.ErrInvalidArgument, []engine.Op{engine.Finish("a", engine.IfVersion("1"))}},
		{"an invalid new version", state.ErrInvalidArgument, []engine.Op{engine.Retry("broken", engine.NewVersion("1"))}},
		{"version in capitals", state.ErrInvalidArgument, []engine.Op{engine.Finish("a", engine.IfVersion(strings.Repeat("AB", 16)))}},
		{"business ID empty", state.ErrInvalidArgument, []engine.Op{engine.Create("", "12")}},
		{"task ID empty", state.ErrInvalidArgument, []engine.Op{engine.Create("2", "")}},
		{"node ID empty", state.ErrInvalidArgument, []engine.Op{engine.Start("")}},
		{"given node ID empty", state.ErrInvalidArgument, []engine.Op{declare("root", engine.ID(""))}},
		{"begin with neither ID nor key", state.ErrInvalidArgument, []engine.Op{engine.Begin("root", state.ServiceActivity)}},
		{"begin with an empty key", state.ErrInvalidArgument, []engine.Op{engine.Begin("root", state.ServiceActivity, engine.Key(""), engine.NewVersion(id(1)))}},
		{"parent ID empty", state.ErrInvalidArgument, []engine.Op{declare("")}},
		{"business ID too long", state.ErrInvalidArgument, []engine.Op{engine.Create(long, "12")}},
		{"task ID too long", state.ErrInvalidArgument, []engine.Op{engine.Create("2", long)}},
		{"node ID too long", state.ErrInvalidArgument, []engine.Op{declare("root", engine.ID(long))}},
		{"node ID with a control character", state.ErrInvalidArgument, []engine.Op{declare("root", engine.ID("a\tb"))}},
		{"node ID with a C1 control character", state.ErrInvalidArgument, []engine.Op{declare("root", engine.ID("a\u0085"))}},
		{"node ID not UTF-8", state.ErrInvalidArgument, []engine.Op{engine.Start("\xff")}},
		{"actor too long", state.ErrInvalidArgument, []engine.Op{engine.Suspend("a", engine.Actor(long+long))}},
		{"negative loop limit", state.ErrInvalidArgument, []engine.Op{declare("root", engine.MaxLoops(-1))}},
		{"time before year 1", state.ErrInvalidArgument, []engine.Op{engine.Finish("a", engine.At(time.Unix(-1<<40, 0)))}},
		{"time after year 9999", state.ErrInvalidArgument, []engine.Op{engine.Fail("a", "", engine.RetryAt(time.Unix(1<<40, 0)))}},
		{"retry on a container", state.ErrInvalidArgument, []engine.Op{engine.Fail("root", "", engine.RetryAt(epoch))}},
		{"abandon on a leaf", state.ErrInvalidArgument, []engine.Op{engine.Fail("a", "", engine.Abandon())}},
		{"tolerate on a leaf", state.ErrInvalidArgument, []engine.Op{engine.Finish("a", engine.Tolerate())}},
		{"loop of a leaf", state.ErrInvalidArgument, []engine.Op{engine.Finish("a", engine.IfLoop(1))}},
		{"stale loop", state.ErrVersionMismatch, []engine.Op{engine.Suspend("root", engine.IfLoop(2))}},
		{"reset of the root", state.ErrInvalidTransition, []engine.Op{engine.Reset("root")}},
		{"reset of a failed node that is not retryable", state.ErrNotRetryable, []engine.Op{engine.Reset("fragile")}},
		{"reset beyond the loop limit", state.ErrLoopLimit, []engine.Op{engine.Reset("gate")}},
		{"reopen of what runs", state.ErrInvalidTransition, []engine.Op{engine.Reopen("2", "10")}},
		{"reopen of no task", state.ErrNotFound, []engine.Op{engine.Reopen("2", "12")}},
		{"reopen of another task in a batch", state.ErrInvalidArgument, []engine.Op{engine.Suspend("root"), engine.Reopen("2", "11")}},
		{"reason of a failure", state.ErrInvalidArgument, []engine.Op{engine.Suspend("a", engine.Reason("x"))}},
		{"ignore and retry together", state.ErrInvalidArgument, []engine.Op{engine.Fail("a", "", engine.Ignore(), engine.RetryAt(epoch))}},
		{"option of another operation: ID", state.ErrInvalidArgument, []engine.Op{engine.Start("below paused", engine.ID("x"))}},
		{"option of another operation: name", state.ErrInvalidArgument, []engine.Op{engine.Finish("a", engine.Name("x"))}},
		{"option of another operation: no retry", state.ErrInvalidArgument, []engine.Op{engine.Create("2", "12", engine.NoRetry())}},
		{"option of another operation: no skip", state.ErrInvalidArgument, []engine.Op{engine.Finish("a", engine.NoSkip())}},
		{"option of another operation: max loops", state.ErrInvalidArgument, []engine.Op{engine.Finish("a", engine.MaxLoops(1))}},
		{"option of another operation: version", state.ErrInvalidArgument, []engine.Op{declare("root", engine.IfVersion(id(1)))}},
		{"option of another operation: new version", state.ErrInvalidArgument, []engine.Op{engine.Finish("a", engine.NewVersion(id(1)))}},
		{"option of another operation: ignore", state.ErrInvalidArgument, []engine.Op{engine.Finish("a", engine.Ignore())}},
		{"option of another operation: retry at", state.ErrInvalidArgument, []engine.Op{engine.Finish("a", engine.RetryAt(epoch))}},
		{"no operation", state.ErrInvalidArgument, nil},
		{"zero operation", state.ErrInvalidArgument, []engine.Op{{}}},
		{"create in the middle", state.ErrInvalidArgument, []engine.Op{engine.Finish("a"), engine.Create("2", "12")}},
		{"two tasks in a batch", state.ErrInvalidArgument, []engine.Op{engine.Finish("a"), engine.Suspend("other")}},
		{"batch whose last is refused", state.ErrInvalidTransition, []engine.Op{
			engine.Create("2", "12", engine.ID("r")), engine.Start("r"), declare("r", engine.ID("x")), engine.Finish("x"),
		}},
	}
	forEachStoreReopened(t, func(f *fixture) {
		furnish(f)
		for _, tc := range cases {
			f.pause()
			f.expectUnchanged(func() {
				_, err := f.Record(f.ctx, tc.ops...)
				if !errors.Is(err, tc.want) {
					f.Errorf("%s: record: got %v, want %v", tc.what, err, tc.want)
				}
				if _, err := f.Submit(tc.ops...).Wait(f.ctx); !errors.Is(err, tc.want) {
					f.Errorf("%s: submit: got %v, want %v", tc.what, err, tc.want)
				}
				var refused *state.Error
				if len(tc.ops) > 0 && !errors.As(err, &refused) {
					f.Errorf("%s: refused with a %T", tc.what, err)
				}
			})
		}
	})
}

func TestUnknownTasksAndNodesAreNotFound(t *testing.T) {
	forEachStore(t, func(f *fixture) {
		furnish(f)
		f.expectUnchanged(func() {
			for _, ref := range []store.Ref{store.ByKey("2", "12"), store.ByKey("3", "10"), store.ByNode("nowhere"), {}} {
				if _, err := f.Load(f.ctx, ref); !errors.Is(err, state.ErrNotFound) {
					f.Errorf("load %s: %v", ref, err)
				}
				if _, err := f.Locate(f.ctx, ref); !errors.Is(err, state.ErrNotFound) {
					f.Errorf("locate %s: %v", ref, err)
				}
				if _, err := f.Transitions(f.ctx, ref.Key, 0, 0); !errors.Is(err, state.ErrNotFound) {
					f.Errorf("transitions of %s: %v", ref, err)
				}
				if _, err := f.Attempts(f.ctx, ref, store.AttemptQuery{}); !errors.Is(err, state.ErrNotFound) {
					f.Errorf("attempts of %s: %v", ref, err)
				}
			}
			if _, err := f.List(f.ctx, store.ListQuery{Cursor: "x"}); !errors.Is(err, state.ErrInvalidArgument) {
				f.Errorf("list with an invalid cursor: %v", err)
			}
		})
	})
}

// The report of a failure is never refused because of its text.
func TestErrorTextOfAMegabyteIsCutAndMarked(t *testing.T) {
	forEachStoreReopened(t, func(f *fixture) {
		f.task("10", "root")
		f.activity("root", "a", engine.Start)
		if _, err := f.Fail(f.ctx, "a", "x"+strings.Repeat("é", 1<<19)+"the cause"); err != nil {
			f.Fatal(err)
		}
		f.pause()
		text := f.node("a").Error
		if len(text) > state.MaxErrorBytes || len(text) < state.MaxErrorBytes-utf8.UTFMax {
			f.Errorf("kept %d bytes, want up to %d", len(text), state.MaxErrorBytes)
		}
		if !utf8.ValidString(text) || !strings.HasPrefix(text, "xéé") || !strings.Contains(text, "é… [cut] …é") || !strings.HasSuffix(text, "ééthe cause") {
			f.Errorf("kept %q … %q", text[:10], text[len(text)-20:])
		}
	})
}

func TestDepthAndSizeOfATaskAreLimited(t *testing.T) {
	forEachStoreReopened(t, func(f *fixture) {
		f.task("10", "level 1")
		var ops []engine.Op
		for level := 2; level <= 100; level++ {
			ops = append(ops, engine.Declare(fmt.Sprint("level ", level-1), state.Subprocess, engine.ID(fmt.Sprint("level ", level))))
		}
		f.record(ops...)
		f.pause()
		f.expectUnchanged(func() {
			_, err := f.Declare(f.ctx, "level 100", state.EndEvent)
			f.expectRefusal(err, state.ErrInvalidArgument)
			f.opts.Limits = state.Limits{Nodes: 100}
			f.reopenEngine()
			_, err = f.Declare(f.ctx, "level 1", state.EndEvent)
			f.expectRefusal(err, state.ErrInvalidArgument)
			f.opts.Limits = state.Limits{Levels: 2, Nodes: 101}
			f.reopenEngine()
			_, err = f.Declare(f.ctx, "level 2", state.EndEvent)
			f.expectRefusal(err, state.ErrInvalidArgument)
		})
		if _, err := f.Declare(f.ctx, "level 1", state.EndEvent); err != nil {
			f.Error(err)
		}
	})
}

func TestCanceledContextRecordsNothing(t *testing.T) {
	forEachStore(t, func(f *fixture) {
		furnish(f)
		ctx, cancel := context.WithCancel(f.ctx)
		cancel()
		f.expectUnchanged(func() {
			for what, err := range everyCall(ctx, f) {
				if !errors.Is(err, context.Canceled) {
					f.Errorf("%s: %v", what, err)
				}
			}
		})
	})
}

func TestClosedEngineAnswersErrClosed(t *testing.T) {
	forEachStore(t, func(f *fixture) {
		furnish(f)
		if err := f.Close(); err != nil {
			f.Fatal(err)
		}
		f.expectUnchanged(func() {
			canceled, cancel := context.WithCancel(f.ctx)
			cancel()
			for _, ctx := range []context.Context{f.ctx, canceled} {
				for what, err := range everyCall(ctx, f) {
					var refused *state.Error
					if what == "watch" && ctx == canceled {
						continue // it also reads after Close
					}
					if !errors.Is(err, store.ErrClosed) || errors.As(err, &refused) {
						f.Errorf("%s: %T %v", what, err, err)
					}
				}
			}
			if _, err := f.Submit(engine.Finish("a")).Wait(f.ctx); !errors.Is(err, store.ErrClosed) {
				f.Errorf("submit: %v", err)
			}
			if _, err := f.Record(f.ctx, engine.Start("")); !errors.Is(err, store.ErrClosed) {
				f.Errorf("misshapen operation: %v", err)
			}
		})
		if err := f.Close(); err != nil {
			f.Errorf("closed again: %v", err)
		}
	})
}

// everyCall calls every method that takes a context and yields its error. The
// operations are legal on the furniture.
func everyCall(ctx context.Context, f *fixture) map[string]error {
	key := state.Key{Business: "2", Task: "10"}
	errs := map[string]error{}
	record := func(what string) func(engine.Result, error) {
		return func(_ engine.Result, err error) { errs[what] = err }
	}
	record("create")(f.Create(ctx, "2", "12"))
	record("declare")(f.Declare(ctx, "root", state.EndEvent))
	record("enter")(f.Enter(ctx, "root", state.EndEvent))
	record("start")(f.Start(ctx, "below paused"))
	record("finish")(f.Finish(ctx, "a"))
	record("fail")(f.Fail(ctx, "a", "no"))
	record("retry")(f.Retry(ctx, "broken"))
	record("skip")(f.Skip(ctx, "broken"))
	record("loop")(f.Loop(ctx, "done"))
	record("suspend")(f.Suspend(ctx, "a"))
	record("resume")(f.Resume(ctx, "paused"))
	record("revoke")(f.Revoke(ctx, "root"))
	_, errs["record"] = f.Record(ctx, engine.Finish("a"))
	errs["delete"] = f.Delete(ctx, "2", "10")
	_, errs["purge"] = f.Purge(ctx, engine.Retention{})
	_, errs["load"] = f.Load(ctx, store.Ref{Key: key})
	_, errs["locate"] = f.Locate(ctx, store.Ref{Key: key})
	_, errs["list"] = f.List(ctx, store.ListQuery{})
	_, errs["transitions"] = f.Transitions(ctx, key, 0, 0)
	_, errs["attempts"] = f.Attempts(ctx, store.ByNode("a"), store.AttemptQuery{})
	_, errs["changes"] = f.Feed(ctx, store.Position{}, 0)
	for _, err := range f.Interrupted(ctx) {
		errs["interrupted"] = err
	}
	for _, err := range f.Watch(ctx, store.Position{}) {
		errs["watch"] = err
	}
	return errs
}
