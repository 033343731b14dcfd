//go:build unix

package runner

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// People pause, resume, retry, skip and force whatever they like, at any moment;
// no action ends the run, and when all nodes may continue it finishes.
func TestThePipelineContinuesAfterRandomOperations(t *testing.T) {
	t.Parallel()
	done := 0
	for seed := range uint64(8) {
		tree := everythingTree(filepath.Join(t.TempDir(), "flag"))
		slowDown(tree)
		def, err := parseDefinition(encode(t, tree), false)
		if err != nil {
			t.Fatal(err)
		}
		r := inMemory(t, def)
		key := state.Key{Business: "1", Task: "1"}
		r.operator = newOperator(key)
		signals, finished := make(chan os.Signal), make(chan error, 1)
		go func() {
			_, err := r.do(signals, proceed)
			close(r.operator.closed)
			finished <- err
		}()
		random := rand.New(rand.NewPCG(seed, 0))
		actions := []httpapi.Action{httpapi.Pause, httpapi.Resume, httpapi.Retry, httpapi.Skip, httpapi.ForceFail}
		eventually(t, "it begins", func() bool { return r.tree(key) != nil })
		for range 200 {
			time.Sleep(time.Duration(random.IntN(1000)) * time.Microsecond) // something happens
			tree := r.tree(key)
			if r.act(key, tree.ID(random.IntN(tree.Len())), actions[random.IntN(len(actions))]) {
				done++
			}
		}
		eventually(t, "it ends", func() bool {
			tree := r.tree(key)
			for i := range tree.Len() {
				switch tree.State(i) {
				case state.Suspended:
					r.act(key, tree.ID(i), httpapi.Resume)
				case state.Failed:
					// A skipped node may have set variables that others need.
					if n := tree.Node(i); n.Retry() > 5 || !r.act(key, tree.ID(i), httpapi.Retry) {
						r.act(key, tree.ID(i), httpapi.Skip)
					}
				}
			}
			return tree.Ended()
		})
		if err := <-finished; err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if shown := r.shape(); shown[0] != pipelineName+" FINISHED" || !slices.Contains(shown, "  end FINISHED") {
			t.Errorf("seed %d: it ends as %q", seed, shown)
		}
	}
	if done < 10 {
		t.Errorf("only %d actions were done", done)
	}
}

// slowDown gives people a chance to do something while commands run.
func slowDown(tree object) {
	for _, a := range tree["activities"].(object) {
		if inside, ok := a.(object)["pipeline"]; ok {
			slowDown(inside.(object))
			continue
		}
		command := a.(object)["component"].(object)["inputs"].(object)["command"].(object)
		command["value"] = "sleep 0.02; " + command["value"].(string)
	}
}

// tree is the recorded task, nil before there is one.
func (r *localRun) tree(key state.Key) *state.Tree {
	r.t.Helper()
	snap, err := r.store.Load(r.t.Context(), store.Ref{Key: key})
	if errors.Is(err, state.ErrNotFound) {
		return nil
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return snap.Tree
}

// act asks for an action on a node, or on the task by its root, and reports
// whether it was done.
func (r *localRun) act(key state.Key, node string, action httpapi.Action) bool {
	r.t.Helper()
	err := r.operator.Operate(r.t.Context(), httpapi.Operation{Business: key.Business, Task: key.Task, Node: node, Action: action, Actor: "ann"})
	var refused *state.Error
	if err != nil && !errors.Is(err, httpapi.ErrNotOperable) && !errors.As(err, &refused) {
		r.t.Errorf("%s of %s: %v", action, node, err)
	}
	return err == nil
}
