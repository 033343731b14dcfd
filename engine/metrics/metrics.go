// Package metrics exports the activity of an engine and the size of its store as
// Prometheus metrics. [Metrics] is a collector to register, and provides hooks for
// the engine:
//
//	m := metrics.New(s)
//	e, err := engine.Open(ctx, s, &engine.Options{Hooks: m.Hooks(nil)})
//	…
//	registry.MustRegister(m)
//	go m.Follow(ctx, e)
//
// No metric has a label for a business, a task or a node, whose number is not
// bounded. dashboard.json is a Grafana dashboard of these metrics.
package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/feed"
)

// Metrics collects the metrics of one engine and its store. It may be used from many
// goroutines, and by several registries.
type Metrics struct {
	store store.Reader

	commits     *prometheus.CounterVec
	commitTime  prometheus.Histogram
	requests    prometheus.Counter
	transitions prometheus.Counter
	conflicts   prometheus.Counter
	queued      prometheus.Gauge
	refused     prometheus.Counter
	loaded      prometheus.Histogram
	evicted     prometheus.Counter

	operations *prometheus.CounterVec
	tasks      *prometheus.HistogramVec
	attempts   *prometheus.HistogramVec
}

const namespace = "pipestatus"

var (
	// commitBuckets go from a journal on a fast disk to a disk that hangs.
	commitBuckets = prometheus.ExponentialBuckets(0.0001, 2, 16)
	// runBuckets go from a fraction of a second to more than a day.
	runBuckets = []float64{0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600}
)

// New returns the metrics of an engine on a store. If the store is a
// [store.Statter], they include the size of the store; s may be nil.
func New(s store.Reader) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
	}
	counters := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, []string{label})
	}
	histogram := func(name, help string, buckets []float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}
	}
	m := &Metrics{
		store: s,

		commits:     counters("commits_total", "Attempts to commit, by result: ok or error.", "result"),
		commitTime:  prometheus.NewHistogram(histogram("commit_seconds", "Duration of the store's commits.", commitBuckets)),
		requests:    counter("requests_total", "Requests that commits answered."),
		transitions: counter("transitions_total", "Transitions committed by this engine."),
		conflicts:   counter("conflicts_total", "Tasks that another engine had changed, and that were tried again."),
		queued:      prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: "queued_requests", Help: "Requests that waited when the last commit ended."}),
		refused:     counter("refused_operations_total", "Operations that were not recorded and whose caller may not know."),
		loaded:      prometheus.NewHistogram(histogram("tree_load_seconds", "Duration of reading a task's tree from the store.", commitBuckets)),
		evicted:     counter("tree_evictions_total", "Trees that were dropped from memory."),

		operations: counters("operations_total", "Transitions in the feed, by operation.", "op"),
		tasks:      prometheus.NewHistogramVec(histogram("task_seconds", "Duration of tasks that ended, by state.", runBuckets), []string{"state"}),
		attempts:   prometheus.NewHistogramVec(histogram("attempt_seconds", "Duration of attempts of leaves that ended, by kind and state.", runBuckets), []string{"kind", "state"}),
	}
	for _, result := range []string{"ok", "error"} { // present from the beginning
		m.commits.WithLabelValues(result)
	}
	return m
}

// Hooks returns hooks for the engine's options. After counting, they call the hooks
// in next, which may be nil.
func (m *Metrics) Hooks(next *engine.Hooks) *engine.Hooks {
	var then engine.Hooks
	if next != nil {
		then = *next
	}
	return &engine.Hooks{
		Committed: func(info engine.CommitInfo) {
			m.committed(&info)
			if then.Committed != nil {
				then.Committed(info)
			}
		},
		Loaded: func(key state.Key, nodes int, took time.Duration) {
			m.loaded.Observe(took.Seconds())
			if then.Loaded != nil {
				then.Loaded(key, nodes, took)
			}
		},
		Evicted: func(key state.Key, nodes int) {
			m.evicted.Inc()
			if then.Evicted != nil {
				then.Evicted(key, nodes)
			}
		},
		Refused: func(ops []engine.Op, err error) {
			m.refused.Add(float64(len(ops)))
			if then.Refused != nil {
				then.Refused(ops, err)
			}
		},
	}
}

func (m *Metrics) committed(info *engine.CommitInfo) {
	result := "ok"
	if info.Err != nil {
		result = "error"
	}
	m.commits.WithLabelValues(result).Inc()
	m.commitTime.Observe(info.Took.Seconds())
	m.requests.Add(float64(info.Requests))
	m.transitions.Add(float64(info.Transitions))
	m.conflicts.Add(float64(info.Conflicts))
	m.queued.Set(float64(info.Queued))
}

// Follow counts the operations, tasks and attempts that any engine records from now
// on. It returns the context's error or one of the store. Without it these metrics
// stay empty. It ignores a gap in the feed, since counters describe only the
// lifetime of this process.
func (m *Metrics) Follow(ctx context.Context, r store.Reader) error {
	passOver := func(context.Context, store.Position, error) error { return nil }
	for page, err := range feed.Follow(ctx, r, new(feed.Memory), &feed.Options{Start: store.End, Gap: passOver}) {
		if err != nil {
			return err
		}
		for _, tr := range page.Transitions {
			m.count(tr)
		}
	}
	return nil
}

func (m *Metrics) count(tr *state.Transition) {
	m.operations.WithLabelValues(tr.Op.String()).Inc()
	for i := range tr.Changes {
		c := &tr.Changes[i]
		ended := c.State.Ended() && (!c.From.Ended() || c.Superseded != nil)
		if !ended || !c.Started.IsSet() || !c.Finished.IsSet() {
			continue
		}
		took := c.Finished.Time().Sub(c.Started.Time()).Seconds()
		switch {
		case c.Index == 0:
			m.tasks.WithLabelValues(c.State.String()).Observe(took)
		case !c.Kind.Container():
			m.attempts.WithLabelValues(c.Kind.String(), c.State.String()).Observe(took)
		}
	}
}
