package metrics_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/engine/metrics"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

// fixture is an engine on a file whose metrics are followed.
type fixture struct {
	*engine.Engine
	store    *boltstore.Store
	metrics  *metrics.Metrics
	registry *prometheus.Registry
}

func newFixture(t *testing.T, next *engine.Hooks) *fixture {
	t.Helper()
	s, err := boltstore.Open(filepath.Join(t.TempDir(), "a.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{store: s, metrics: metrics.New(s), registry: prometheus.NewPedanticRegistry()}
	f.registry.MustRegister(f.metrics)
	now := time.Unix(1524730000, 0)
	f.Engine, err = engine.Open(t.Context(), s, &engine.Options{Hooks: f.metrics.Hooks(next), Now: func() time.Time { now = now.Add(time.Second); return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close(); s.Close() })
	return f
}

func (f *fixture) expect(t *testing.T, want string, names ...string) {
	t.Helper()
	if err := testutil.GatherAndCompare(f.registry, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

func TestTheEnginesActionsAreCounted(t *testing.T) {
	var called int
	f := newFixture(t, &engine.Hooks{
		Committed: func(engine.CommitInfo) { called++ },
		Refused:   func([]engine.Op, error) { called++ },
	})
	if _, err := f.Record(t.Context(), engine.Create("2", "10", engine.ID("root")), engine.Start("root")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Submit(engine.Finish("nothing")).Wait(t.Context()); !errors.Is(err, state.ErrNotFound) {
		t.Fatal(err)
	}
	f.expect(t, `
# HELP pipestatus_commits_total Attempts to commit, by result: ok or error.
# TYPE pipestatus_commits_total counter
pipestatus_commits_total{result="error"} 0
pipestatus_commits_total{result="ok"} 1
# HELP pipestatus_refused_operations_total Operations that were not recorded and whose caller may not know.
# TYPE pipestatus_refused_operations_total counter
pipestatus_refused_operations_total 1
# HELP pipestatus_transitions_total Transitions committed by this engine.
# TYPE pipestatus_transitions_total counter
pipestatus_transitions_total 2
`, "pipestatus_commits_total", "pipestatus_refused_operations_total", "pipestatus_transitions_total")
	if called != 2 {
		t.Errorf("the hooks after it were called %d times", called)
	}
}

func TestTasksAndAttemptsAreCountedFromTheFeed(t *testing.T) {
	f := newFixture(t, nil)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- f.metrics.Follow(ctx, f.Engine) }()
	create := func(task string) {
		t.Helper()
		if _, err := f.Record(t.Context(),
			engine.Create("2", task, engine.ID("root"+task)), engine.Start("root"+task),
			engine.Declare("root"+task, state.ServiceActivity, engine.ID("a"+task)), engine.Start("a"+task), engine.Fail("a"+task, "broken"),
			engine.Skip("a"+task), engine.Finish("root"+task)); err != nil {
			t.Fatal(err)
		}
	}
	// Follow begins with what is recorded once it runs.
	for n := 0; testutil.CollectAndCount(f.metrics, "pipestatus_task_seconds") == 0; n++ {
		create(string(rune('A' + n)))
		time.Sleep(10 * time.Millisecond)
	}
	for _, name := range []string{"pipestatus_attempt_seconds", "pipestatus_operations_total"} {
		if testutil.CollectAndCount(f.metrics, name) == 0 {
			t.Errorf("no %s", name)
		}
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestTheStoresFiguresAreExported(t *testing.T) {
	f := newFixture(t, nil)
	if _, err := f.Create(t.Context(), "2", "10"); err != nil {
		t.Fatal(err)
	}
	const up = `
# HELP pipestatus_store_up 1 if the store reported its figures, 0 if it failed.
# TYPE pipestatus_store_up gauge
pipestatus_store_up `
	f.expect(t, up+`1
# HELP pipestatus_store_feed_last_sequence Last transition of the feed.
# TYPE pipestatus_store_feed_last_sequence gauge
pipestatus_store_feed_last_sequence 1
`, "pipestatus_store_up", "pipestatus_store_feed_last_sequence")
	f.Close()
	f.store.Close()
	f.expect(t, up+"0\n", "pipestatus_store_up", "pipestatus_store_feed_last_sequence")
	if n := testutil.CollectAndCount(metrics.New(store.NewMemory()), "pipestatus_store_up"); n != 0 {
		t.Errorf("a store without figures has %d", n)
	}
}

func TestMetricNamesFollowTheConventions(t *testing.T) {
	f := newFixture(t, nil)
	problems, err := testutil.CollectAndLint(f.metrics)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestTheDashboardShowsExistingMetrics(t *testing.T) {
	text, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Title  string
		Panels []struct {
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	descriptions := make(chan *prometheus.Desc, 100)
	newFixture(t, nil).metrics.Describe(descriptions)
	close(descriptions)
	for d := range descriptions {
		name := regexp.MustCompile(`fqName: "([a-z_]+)"`).FindStringSubmatch(d.String())[1]
		known[name] = false
	}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			for _, name := range regexp.MustCompile(`pipestatus_[a-z_]+`).FindAllString(target.Expr, -1) {
				name = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
				if _, there := known[name]; !there {
					t.Errorf("panel %q shows %s, which there is not", panel.Title, name)
				}
				known[name] = true
			}
		}
	}
	for name, shown := range known {
		if !shown {
			t.Errorf("no panel shows %s", name)
		}
	}
}
