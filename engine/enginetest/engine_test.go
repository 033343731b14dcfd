package enginetest_test

import (
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/engine/enginetest"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// This is an example of a runner's test.
func TestEngineIsDeterministic(t *testing.T) {
	for range 2 {
		e := enginetest.Engine(t)
		pipeline, err := e.Create(t.Context(), "2", "10")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Start(t.Context(), pipeline.Node); err != nil {
			t.Fatal(err)
		}
		step, err := e.Begin(t.Context(), pipeline.Node, state.ServiceActivity, engine.Key("compile"))
		if err != nil {
			t.Fatal(err)
		}
		if pipeline.Node != enginetest.ID(1) || step.Node != enginetest.ID(2) || step.Version != enginetest.ID(3) {
			t.Errorf("generated %s, %s and %s", pipeline.Node, step.Node, step.Version)
		}
		snap, err := e.Load(t.Context(), store.ByKey("2", "10"))
		if err != nil {
			t.Fatal(err)
		}
		if at := snap.Tree.Node(1).Started.Time(); !at.Equal(enginetest.Epoch.Add(2e9)) {
			t.Errorf("the step started at %s", at)
		}
	}
}
