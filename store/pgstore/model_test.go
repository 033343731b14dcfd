//go:build unix

package pgstore_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/pipestatus/pipestatus/engine/enginetest"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/pgstore"
	"github.com/pipestatus/pipestatus/store/sharded"
)

// Three engines on one database, each with a separate handle as in separate
// processes, against the model of the rules. -rapid.checks and -rapid.steps set
// the length; -v reports the outcomes of the operations.
func TestThreeEnginesOnOneDatabaseAgreeWithTheModel(t *testing.T) {
	t.Parallel()
	agreeWithTheModel(t, newPool(t), pgstore.Options{Partitions: 2})
}

func TestThreeEnginesBehindAPoolerAgreeWithTheModel(t *testing.T) {
	t.Parallel()
	agreeWithTheModel(t, newPoolerPool(t, execMode), pgstore.Options{NoNotify: true})
}

// Each engine has a separate handle of a store that is made of three others. The first
// one has only the records of where the two businesses of the model are, which the
// others have one each of, after a record of itself.
func TestThreeEnginesOnThreeDatabasesAgreeWithTheModel(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	first := func(business string) uint64 {
		if business == "2" {
			return store.LogSize + 4
		}
		return 2*store.LogSize + 4
	}
	var members []sharded.Member
	var schemas []string
	for i := range 3 {
		o := &pgstore.Options{Schema: newSchema(), Lease: hour, NoNotify: true}
		open(t, pool, *o)
		schemas = append(schemas, o.Schema)
		members = append(members, sharded.Member{Name: strconv.Itoa(i), Open: func(ctx context.Context) (store.Store, error) {
			return pgstore.OpenPool(ctx, pool, o)
		}})
	}
	o := &sharded.Options{Place: func(business string) string { return strconv.Itoa(store.LogOf(first(business))) }}
	tellStories(t, pool, schemas, first, func() (store.Store, error) { return sharded.Open(context.Background(), members, o) })
}

func agreeWithTheModel(t *testing.T, pool *pgxpool.Pool, o pgstore.Options) {
	o.Schema, o.Lease = newSchema(), hour
	open(t, pool, o)
	tellStories(t, pool, []string{o.Schema}, nil, func() (store.Store, error) { return pgstore.OpenPool(context.Background(), pool, &o) })
}

// tellStories tells stories of three engines that have a handle each. The schemas are
// emptied before each story.
func tellStories(t *testing.T, pool *pgxpool.Pool, schemas []string, first func(business string) uint64, handle func() (store.Store, error)) {
	tally := map[string]int{}
	number := rapid.Map(rapid.SliceOfN(rapid.Bool(), 8, 8), enginetest.Number)
	byValue := cmpopts.EquateComparable(state.Version{}, state.Instant{})
	rapid.Check(t, func(rt *rapid.T) {
		for _, schema := range schemas {
			empty(t, pool, schema)
		}
		story := enginetest.New(rt, enginetest.Options{
			Open: func() (handles []store.Store, err error) {
				for range 3 {
					s, err := handle()
					if err != nil {
						return nil, err
					}
					handles = append(handles, s)
				}
				return handles, nil
			},
			Chance: func(what string) int { return number.Draw(rt, what) },
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
	if tally[enginetest.Retried] == 0 && !t.Failed() {
		t.Error("no engine ever came upon what another had changed")
	}
}
