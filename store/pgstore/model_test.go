//go:build unix

package pgstore_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/pipestatus/pipestatus/engine/enginetest"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/pgstore"
)

// Three engines on one database, each with a handle of its own as in a process
// of its own, against the model of the rules. -rapid.checks and -rapid.steps
// make it as long as one likes; -v says what the operations came to.
func TestThreeEnginesOnOneDatabaseAgreeWithTheModel(t *testing.T) {
	t.Parallel()
	agreeWithTheModel(t, newPool(t), pgstore.Options{Partitions: 2})
}

func TestThreeEnginesBehindAPoolerAgreeWithTheModel(t *testing.T) {
	t.Parallel()
	agreeWithTheModel(t, newPoolerPool(t, execMode), pgstore.Options{NoNotify: true})
}

func agreeWithTheModel(t *testing.T, pool *pgxpool.Pool, o pgstore.Options) {
	o.Schema, o.Lease = newSchema(), hour
	open(t, pool, o)
	tally := map[string]int{}
	number := rapid.Map(rapid.SliceOfN(rapid.Bool(), 8, 8), enginetest.Number)
	byValue := cmpopts.EquateComparable(state.Version{}, state.Instant{})
	rapid.Check(t, func(rt *rapid.T) {
		empty(t, pool, o.Schema)
		story := enginetest.New(rt, enginetest.Options{
			Open: func() (handles []store.Store, err error) {
				for range 3 {
					s, err := pgstore.OpenPool(context.Background(), pool, &o)
					if err != nil {
						return nil, err
					}
					handles = append(handles, s)
				}
				return handles, nil
			},
			Chance: func(what string) int { return number.Draw(rt, what) },
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
	if tally[enginetest.Retried] == 0 && !t.Failed() {
		t.Error("no engine ever came upon what another had changed")
	}
}
