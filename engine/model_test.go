package engine_test

import (
	"context"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/engine/enginetest"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
	"github.com/pipestatus/pipestatus/store/sharded"
)

// firstOnMembers are the sequences of the stores of three members in this test: the first
// member has only the records of where businesses are, and the other two begin with a
// record of themselves.
func firstOnMembers(business string) uint64 {
	if business == "2" {
		return store.LogSize + 4
	}
	return 2*store.LogSize + 4
}

// members opens a store of three memories.
func members() func() (store.Store, error) {
	var all []sharded.Member
	for i := range 3 {
		s := &keptOpen{store.NewMemory()}
		all = append(all, sharded.Member{Name: strconv.Itoa(i), Open: func(context.Context) (store.Store, error) { return s, nil }})
	}
	o := &sharded.Options{Place: func(business string) string { return strconv.Itoa(store.LogOf(firstOnMembers(business))) }}
	return func() (store.Store, error) { return sharded.Open(context.Background(), all, o) }
}

// TestEngineAgreesWithTheModel applies random operations to two engines on a
// store and to the model, and compares everything visible. The bolt store keeps
// almost nothing in its journal. -rapid.checks and -rapid.steps set the length;
// -v reports the outcomes of the operations.
func TestEngineAgreesWithTheModel(t *testing.T) {
	for name, open := range map[string]func(dir string, chance func(string) int) func() (store.Store, error){
		"memory": func(string, func(string) int) func() (store.Store, error) {
			s := store.NewMemory()
			return func() (store.Store, error) { return &keptOpen{s}, nil }
		},
		"bolt": func(dir string, chance func(string) int) func() (store.Store, error) {
			o := &boltstore.Options{OverlayTransitions: 1 + chance("overlay")%30}
			if chance("trimmed feed") < 128 {
				o.FeedTransitions = 1 + chance("feed")%100
			}
			return func() (store.Store, error) { return boltstore.Open(filepath.Join(dir, "tasks.db"), o) }
		},
		"sharded": func(string, func(string) int) func() (store.Store, error) { return members() },
	} {
		t.Run(name, func(t *testing.T) {
			tally := map[string]int{}
			var first func(business string) uint64
			if name == "sharded" {
				first = firstOnMembers
			}
			number := rapid.Map(rapid.SliceOfN(rapid.Bool(), 8, 8), enginetest.Number)
			rapid.Check(t, func(rt *rapid.T) {
				chance := func(what string) int { return number.Draw(rt, what) }
				open := open(t.TempDir(), chance)
				story := enginetest.New(rt, enginetest.Options{
					Open: func() ([]store.Store, error) {
						s, err := open()
						return []store.Store{s, s}, err
					},
					Chance: chance,
					Op:     engine.RawOp,
					First:  first,
					Diff:   func(want, got any) string { return cmp.Diff(want, got, byValue) },
					Tally:  tally,
				})
				defer story.Close()
				actions := map[string]func(*rapid.T){}
				for name, step := range story.Steps() {
					actions[name] = func(*rapid.T) { step() }
				}
				rt.Repeat(actions)
			})
			for _, line := range enginetest.Summary(tally) {
				t.Log(line)
			}
		})
	}
}

// keptOpen is a store whose contents survive Close, like a file.
type keptOpen struct{ store.Store }

func (*keptOpen) Close() error { return nil }
