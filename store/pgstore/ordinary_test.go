//go:build unix

package pgstore_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store/pgstore"
)

// A process that continues its own tasks commits in one round trip, whether it
// is alone or not: it creates tasks, declares nodes, and changes their states.
func TestAnOrdinaryCommitIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]int{"alone": 0, "among others": math.MaxInt} {
		t.Run(name, func(t *testing.T) { ordinaryCommits(t, after) })
	}
}

func ordinaryCommits(t *testing.T, aloneAfter int) {
	p := newProxy(t, server.Addr())
	b := brokenBehind(t, p, loopback(p.port(), "pool_max_conns=1"), pgstore.Options{NoNotify: true}, false)
	b.store.AloneAfter(aloneAfter)
	commits := func(task string) [][]engine.Op {
		return [][]engine.Op{
			{engine.Create("2", task, engine.ID(task))},
			{engine.Start(task)},
			{engine.Declare(task, state.ServiceActivity, engine.ID(task+".n"))},
			{engine.Start(task + ".n")},
			{engine.Fail(task+".n", "x")},
			{engine.Retry(task + ".n")},
			{engine.Start(task + ".n")},
			{engine.Finish(task + ".n")},
			{engine.Loop(task + ".n")},
		}
	}
	for i := range 2 { // the first time statements are prepared
		for j, ops := range commits(fmt.Sprint("t", i)) {
			before := p.sends()
			if _, err := b.engine.Record(t.Context(), ops...); err != nil {
				t.Fatal(err)
			}
			want := 1
			if j == 0 {
				want += 2 // the engine checks whether the task exists
			}
			if n := p.sends() - before; i > 0 && n != want {
				t.Errorf("commit %d: %d round trips, want %d", j, n, want)
			}
		}
	}
	check(t, b.store)
}

// A handle detects that another one changed a task, or used a name, and the
// correct change is recorded.
func TestChangedTasksAreCommittedInTwoSteps(t *testing.T) {
	t.Parallel()
	pool, schema := newPool(t), newSchema()
	o := pgstore.Options{Schema: schema, Lease: hour}
	a, other := newEngine(t, open(t, pool, o)), newEngine(t, open(t, pool, o))
	begin(t, a, "t")
	for i := range 5 {
		enter(t, a, "t", fmt.Sprint("a", i))
		enter(t, other, "t", fmt.Sprint("o", i))
		if _, err := a.Enter(t.Context(), "t", state.ServiceActivity, engine.ID(fmt.Sprint("o", i))); err == nil {
			t.Error("a name was taken twice")
		}
		begin(t, other, fmt.Sprint("other", i))
		if _, err := a.Create(t.Context(), "2", fmt.Sprint("other", i)); err == nil {
			t.Error("a task was created twice")
		}
		begin(t, a, fmt.Sprint("own", i))
	}
	check(t, open(t, pool, o))
}
