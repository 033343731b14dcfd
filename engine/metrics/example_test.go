package metrics_test

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/engine/metrics"
	"github.com/pipestatus/pipestatus/store"
)

// A program serves the registry with promhttp.HandlerFor.
func Example() {
	ctx := context.Background()
	s := store.NewMemory()
	m := metrics.New(s)
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)

	e, err := engine.Open(ctx, s, &engine.Options{Hooks: m.Hooks(nil)})
	if err != nil {
		panic(err)
	}
	defer e.Close()
	followed := make(chan error)
	ctx, stop := context.WithCancel(ctx)
	go func() { followed <- m.Follow(ctx, e) }()

	if _, err := e.Create(ctx, "2", "10"); err != nil {
		panic(err)
	}
	n, err := testutil.GatherAndCount(registry, "pipestatus_transitions_total")
	fmt.Println(n, err)
	stop()
	fmt.Println(<-followed)
	// Output:
	// 1 <nil>
	// context canceled
}
