package engine_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

func TestHooksReportTheEnginesActions(t *testing.T) {
	var commits []engine.CommitInfo
	var loaded, evicted []string
	s := store.NewMemory()
	defer s.Close()
	f := onStore(t, s, engine.Options{MaxLiveNodes: 2, Hooks: &engine.Hooks{
		Committed: func(info engine.CommitInfo) { commits = append(commits, info) },
		Loaded:    func(key state.Key, _ int, _ time.Duration) { loaded = append(loaded, key.Task) },
		Evicted:   func(key state.Key, _ int) { evicted = append(evicted, key.Task) },
	}})
	f.task("10", "r1")
	f.activity("r1", "a")
	f.task("11", "r2") // 3 nodes are too many
	f.node("r1")       // and again
	if len(evicted) != 2 || evicted[0] != "10" || evicted[1] != "11" {
		t.Errorf("evicted %v, want 10, then 11", evicted)
	}
	if len(loaded) != 1 || loaded[0] != "10" {
		t.Errorf("loaded %v, want 10", loaded)
	}
	if len(commits) != 3 {
		t.Fatalf("%d commits, want 3", len(commits))
	}
	if c := commits[0]; c.Requests != 1 || c.Tasks != 1 || c.Transitions != 2 || c.Conflicts != 0 || c.Err != nil {
		t.Errorf("told of %+v", c)
	}

	other := engine.Options{}
	g := onStore(t, s, other)
	g.record(engine.Suspend("r1"))
	f.record(engine.Suspend("a"))
	if n := len(commits); n != 5 || commits[3].Conflicts != 1 || commits[3].Transitions != 0 || commits[4].Transitions != 1 {
		t.Errorf("with a conflict told of %+v", commits[3:])
	}
}

// A panic in a hook or logger affects no caller: all get answers, and the
// engine continues and closes.
func TestPanicsOfHooksAndLoggerHaveNoEffect(t *testing.T) {
	for name, o := range map[string]engine.Options{
		"committed": {Hooks: &engine.Hooks{Committed: func(engine.CommitInfo) { blowUp("committed") }}},
		"loaded":    {Hooks: &engine.Hooks{Loaded: func(state.Key, int, time.Duration) { blowUp("loaded") }}},
		"evicted":   {Hooks: &engine.Hooks{Evicted: func(state.Key, int) { blowUp("evicted") }}},
		"logger":    {Logger: slog.New(panicking{})},
		"logger of a hook that panics": {
			Logger: slog.New(panicking{}), Hooks: &engine.Hooks{Committed: func(engine.CommitInfo) { blowUp("committed") }},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o.MaxLiveNodes = 1
			f := onMemory(t, o)
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					root := id(1000 + i)
					for _, op := range []engine.Op{
						engine.Create("2", root, engine.ID(root)), engine.Start(root), engine.Suspend(root), engine.Resume(root),
					} {
						if _, err := f.Submit(op).Wait(f.ctx); err != nil {
							t.Error(err)
						}
						if _, err := f.Load(f.ctx, store.ByNode(root)); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

func blowUp(what string) { panic(what) } //nolint:forbidigo // what these tests are about

type panicking struct{}

func (panicking) Enabled(context.Context, slog.Level) bool  { return true }
func (panicking) Handle(context.Context, slog.Record) error { blowUp("handle"); return nil }
func (h panicking) WithAttrs([]slog.Attr) slog.Handler      { return h }
func (h panicking) WithGroup(string) slog.Handler           { return h }

// The clock and the ID generator run before anything is queued, so their panics
// reach the caller and leave the engine usable.
func TestPanicsOfClockAndIDsReachTheCaller(t *testing.T) {
	now, newID := ticking(), counting()
	var broken bool
	f := onMemory(t, engine.Options{
		Now: func() time.Time {
			if broken {
				blowUp("now")
			}
			return now()
		},
		NewID: func() string {
			if broken {
				blowUp("id")
			}
			return newID()
		},
	})
	f.task("10", "root")
	panics := func(what string, do func()) {
		defer func() {
			if recover() == nil {
				t.Errorf("%s: no panic", what)
			}
		}()
		do()
	}
	broken = true
	panics("start", func() { f.Start(f.ctx, "root") })
	panics("enter", func() { f.Enter(f.ctx, "root", state.ServiceActivity) })
	panics("submit", func() { f.Submit(engine.Retry("root")) })
	broken = false
	if _, err := f.Enter(f.ctx, "root", state.ServiceActivity); err != nil {
		t.Error(err)
	}
}
