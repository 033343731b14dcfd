package engine_test

import (
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// A refusal says what to change, in the same words on every store.
func TestRefusalsNameTheDifferenceAndTheIntendedUse(t *testing.T) {
	in, input := engine.In("2", "10"), engine.Input([]byte(`{}`))
	const leaf = state.ServiceActivity
	cases := []struct {
		want string
		ops  []engine.Op
	}{
		{`create node "root" (RUNNING) of task "2"/"10": already exists: task "2"/"10": its name is "nightly", not "weekly"`, []engine.Op{engine.Create("2", "10", engine.Name("weekly"), engine.Idempotent())}},
		{`create node "root" (RUNNING) of task "2"/"10": already exists: task "2"/"10": its ID is "root", not "other"; its name is "nightly", not ""`, []engine.Op{engine.Create("2", "10", engine.ID("other"), engine.Idempotent())}},
		{`create node "root" (RUNNING) of task "2"/"10": already exists: task "2"/"10"`, []engine.Op{engine.Create("2", "10", engine.Name("weekly"))}},
		{`declare node "a" (its parent is RUNNING) of task "2"/"10": already exists: node "a": its kind is service_activity, not end_event; its parent is node "root", not node "s"; its key is "build", not ""; its name is "build", not "test"`, []engine.Op{engine.Declare("s", state.EndEvent, engine.ID("a"), engine.Name("test"), engine.Idempotent())}},
		{`declare node "b" with key "build" (its parent is RUNNING) of task "2"/"10": already exists: key "build" is that of node "a": its ID is "a", not "b"`, []engine.Op{engine.Declare("", leaf, in, engine.ID("b"), engine.Key("build"), engine.Name("build"), engine.Idempotent())}},
		{`begin node "a" with key "build" (CREATED) of task "2"/"10": already exists: node "a": its kind is service_activity, not subprocess`, []engine.Op{engine.Begin("", state.Subprocess, in, engine.Key("build"))}},
		{`begin node "a" with key "build" (CREATED) of task "2"/"10": already exists: node "a": its parent is node "root", not node "s"`, []engine.Op{engine.Begin("s", leaf, engine.Key("build"))}},
		{`begin node "a" with key "other" (CREATED) of task "2"/"10": already exists: node "a": its key is "build", not "other"`, []engine.Op{engine.Begin("", leaf, in, engine.ID("a"), engine.Key("other"))}},
		{`begin node "root" (RUNNING) of task "2"/"10": invalid argument: a task gets its input when it is created`, []engine.Op{engine.Begin("", state.Pipeline, in, input)}},
		{`start node "root" (RUNNING) of task "2"/"10": invalid argument: a task gets its input when it is created`, []engine.Op{engine.Start("", in, input)}},
		{`operation 1 of the batch: start node "elsewhere" of task "2"/"10": invalid argument: a batch is for one task, and node "elsewhere" is in another one`, []engine.Op{engine.Start("a"), engine.Start("elsewhere")}},
		{`operation 1 of the batch: start node with key "x" of task "2"/"10": invalid argument: a batch is for one task, "2"/"10", and not also for task "2"/"11"`, []engine.Op{engine.Start("a"), engine.Start("x", engine.In("2", "11"))}},
		{`invalid argument: no operation`, []engine.Op{}},
		{`invalid argument: an operation without a kind`, []engine.Op{{}}},
		{`operation 1 of the batch of task "2"/"10": invalid argument: an operation without a kind`, []engine.Op{engine.Start("a"), {}}},
		{`start node "x": not found: node "x"`, []engine.Op{engine.Start("x")}},
		{`start node with key "x" of task "2"/"12": not found: task "2"/"12"`, []engine.Op{engine.Start("x", engine.In("2", "12"))}},
		{`start node with key "x" of task "2"/"10": not found`, []engine.Op{engine.Start("x", in)}},
	}
	forEachStore(t, func(f *fixture) {
		f.record(engine.Create("2", "10", engine.ID("root"), engine.Name("nightly")), engine.Start("root"))
		f.record(engine.Declare("", leaf, in, engine.ID("a"), engine.Key("build"), engine.Name("build")))
		f.record(engine.Declare("", state.Subprocess, in, engine.ID("s")), engine.Start("s"))
		f.record(engine.Create("2", "11", engine.ID("elsewhere")))
		for _, c := range cases {
			if _, err := f.Record(f.ctx, c.ops...); err == nil || err.Error() != c.want {
				f.Errorf("got  %v\nwant %s", err, c.want)
			}
		}
		if _, err := f.Load(f.ctx, store.ByKey("2", "12")); err == nil || err.Error() != `not found: task "2"/"12"` {
			f.Errorf("load: %v", err)
		}
	})
}
