package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pipestatus/pipestatus/store"
)

// statsTimeout bounds how long a scrape waits for the store.
const statsTimeout = 5 * time.Second

func describe(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "store", name), help, nil, nil)
}

var (
	bytesDesc   = describe("bytes", "Size of the store.")
	freeDesc    = describe("free_bytes", "What later commits can use again of that.")
	firstDesc   = describe("feed_first_sequence", "First transition that the feed keeps.")
	lastDesc    = describe("feed_last_sequence", "Last transition of the feed.")
	pendingDesc = describe("to_write_back", "Committed transitions that are not in their place yet.")
	upDesc      = describe("up", "1 if the store reported its figures, 0 if it failed.")
)

// figures are the values that a scrape reads from the store.
var figures = []struct {
	desc *prometheus.Desc
	of   func(*store.Stats) float64
}{
	{bytesDesc, func(s *store.Stats) float64 { return float64(s.Bytes) }},
	{freeDesc, func(s *store.Stats) float64 { return float64(s.Free) }},
	{firstDesc, func(s *store.Stats) float64 { return float64(s.First) }},
	{lastDesc, func(s *store.Stats) float64 { return float64(s.Last) }},
	{pendingDesc, func(s *store.Stats) float64 { return float64(s.Pending) }},
}

func (m *Metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		m.commits, m.commitTime, m.requests, m.transitions, m.conflicts, m.queued, m.refused, m.loaded, m.evicted,
		m.operations, m.tasks, m.attempts,
	}
}

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.collectors() {
		c.Describe(ch)
	}
	if _, ok := m.store.(store.Statter); !ok {
		return
	}
	ch <- upDesc
	for _, f := range figures {
		ch <- f.desc
	}
}

// Collect implements [prometheus.Collector].
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.collectors() {
		c.Collect(ch)
	}
	statter, ok := m.store.(store.Statter)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), statsTimeout)
	defer cancel()
	stats, err := statter.Stats(ctx)
	if err != nil {
		ch <- prometheus.MustNewConstMetric(upDesc, prometheus.GaugeValue, 0)
		return
	}
	ch <- prometheus.MustNewConstMetric(upDesc, prometheus.GaugeValue, 1)
	for _, f := range figures {
		ch <- prometheus.MustNewConstMetric(f.desc, prometheus.GaugeValue, f.of(&stats))
	}
}
