package tracing_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/engine/tracing"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/feed"
)

// A program exports to a collector, with otlptracehttp.New for example, and lets
// Follow run until it ends.
func ExampleFollow() {
	ctx := context.Background()
	e, err := engine.Open(ctx, store.NewMemory(), nil)
	check(err)
	defer e.Close()
	_, err = e.Record(ctx,
		engine.Create("2", "10", engine.ID("p"), engine.Name("nightly build")), engine.Start("p"),
		engine.Declare("p", state.ServiceActivity, engine.ID("c"), engine.Name("compile")), engine.Start("c"),
		engine.Fail("c", "no space left on device"), engine.Retry("c"), engine.Start("c"), engine.Finish("c"), engine.Finish("p"))
	check(err)

	dir, err := os.MkdirTemp("", "")
	check(err)
	defer os.RemoveAll(dir)
	exporter := tracetest.NewInMemoryExporter()
	at := feed.File(filepath.Join(dir, "traces.position"))
	check(tracing.Follow(ctx, e, at, exporter, &tracing.Options{Once: true}))
	for _, span := range exporter.GetSpans() {
		fmt.Printf("%s: %s %q\n", span.Name, span.Status.Code, span.Status.Description)
	}
	// Output:
	// compile: Error "no space left on device"
	// compile: Ok ""
	// nightly build: Ok ""
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
