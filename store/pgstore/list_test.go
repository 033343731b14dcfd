//go:build unix

package pgstore_test

import (
	"regexp"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/pgstore"
)

var rejected = regexp.MustCompile(`Rows Removed by Filter: (\d+)`)

// A list of rare tasks takes them from an index, also once the server plans the
// statement for all values at once, as it may.
func TestListsOfRareTasksLookAtNoOthers(t *testing.T) {
	t.Parallel()
	config, err := pgxpool.ParseConfig(server.ConnString() + " pool_max_conns=1")
	if err != nil {
		t.Fatal(err)
	}
	// The server sends the plan of each statement with what its execution did.
	for name, value := range map[string]string{
		"session_preload_libraries": "auto_explain", "auto_explain.log_min_duration": "0",
		"auto_explain.log_analyze": "on", "auto_explain.log_timing": "off", "client_min_messages": "log",
		"plan_cache_mode": "force_generic_plan",
	} {
		config.ConnConfig.RuntimeParams[name] = value
	}
	var plans, others atomic.Int64
	config.ConnConfig.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		plans.Add(1)
		for _, match := range rejected.FindAllStringSubmatch(n.Message, -1) {
			rows, _ := strconv.ParseInt(match[1], 10, 64) // they are digits
			others.Add(rows)
		}
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	schema := newSchema()
	s := open(t, pool, pgstore.Options{Schema: schema, Lease: -1})
	e := newEngine(t, s)
	labels := map[string]string{"env": "production"}
	for _, op := range []engine.Op{
		engine.Create("2", "common", engine.ID("common")),
		engine.Create("2", "rare", engine.ID("rare"), engine.Name("nightly"), engine.Labels(labels)),
		engine.Create("rare", "elsewhere", engine.ID("elsewhere")),
		engine.Create("2", "failed", engine.ID("failed")),
	} {
		if _, err := e.Record(t.Context(), op); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Record(t.Context(), engine.Start("failed"), engine.Fail("failed", "x")); err != nil {
		t.Fatal(err)
	}
	// A hundred thousand copies, of which a thousandth are rare.
	quoted := pgx.Identifier{schema}.Sanitize()
	execSQL(t, pool, `
INSERT INTO `+quoted+`.tasks (id, business, task, number, revision, shown, unfinished, recorded_s, recorded_ns, holder, gone, header, name, failures)
SELECT 1000 + i, p.business, i::text, 1000 + i, 1000 + i, p.shown, p.unfinished, p.recorded_s, p.recorded_ns, 0, false, p.header, p.name, p.failures
FROM generate_series(1, 100000) i JOIN `+quoted+`.tasks p
ON p.task = CASE i % 1000 WHEN 0 THEN 'rare' WHEN 1 THEN 'elsewhere' WHEN 2 THEN 'failed' ELSE 'common' END
ORDER BY i`)
	execSQL(t, pool, `
INSERT INTO `+quoted+`.labels (key, value, number, task)
SELECT l.key, l.value, t.number, t.id FROM `+quoted+`.labels l, `+quoted+`.tasks t WHERE t.name <> '' AND t.id > 1000`)
	execSQL(t, pool, `ANALYZE `+quoted+`.tasks`)
	execSQL(t, pool, `ANALYZE `+quoted+`.labels`)

	for what, q := range map[string]store.ListQuery{
		"name":                 {Name: "nightly"},
		"name, oldest first":   {Name: "nightly", OldestFirst: true},
		"name and business":    {Name: "nightly", Business: "2"},
		"name of none":         {Name: "nobody"},
		"label":                {Labels: state.LabelsOf(labels)},
		"label and business":   {Labels: state.LabelsOf(labels), Business: "2"},
		"business":             {Business: "rare"},
		"business of none":     {Business: "nobody"},
		"failed":               {Shown: []state.State{state.Failed}},
		"failed and business":  {Shown: []state.State{state.Failed}, Business: "2"},
		"failed and suspended": {Shown: []state.State{state.Failed, state.Suspended}},
		"failures":             {HasFailures: true},
	} {
		t.Run(what, func(t *testing.T) {
			want := 100
			q.Limit = want
			if q.Name == "nobody" || q.Business == "nobody" {
				want = 0
			}
			plans.Store(0)
			others.Store(0)
			const times = 3
			for range times {
				page, err := s.List(t.Context(), q)
				if err != nil || len(page.Tasks) != want {
					t.Fatalf("%d tasks, %v, want %d", len(page.Tasks), err, want)
				}
			}
			if plans.Load() < times {
				t.Fatalf("the server sent %d plans", plans.Load())
			}
			if n := others.Load(); n > 50*times {
				t.Errorf("the server looked at %d other tasks in %d lists", n, times)
			}
		})
	}
}
