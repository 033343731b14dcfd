package engine_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

// BenchmarkOutputs measures durable finishes and loops of many writers, each on
// a separate task, with and without an output of each finish in alternating
// slices of time. with/without is the ratio of the rates.
func BenchmarkOutputs(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10} {
		b.Run(fmt.Sprintf("writers=256/bytes=%d", size), func(b *testing.B) {
			var took [2]time.Duration
			var sides [2]*outputs
			for i := range sides {
				sides[i] = newOutputs(b, 256, i*size)
			}
			for b.Loop() {
				for i, side := range sides {
					began := time.Now()
					side.round()
					took[i] += time.Since(began)
				}
			}
			b.ReportMetric(took[0].Seconds()/took[1].Seconds(), "with/without")
			b.ReportMetric(float64(b.N*256*2)/took[1].Seconds(), "transitions/s")
		})
	}
}

// outputs are nodes that finish with an output of so many bytes, or without
// one.
type outputs struct {
	b      *testing.B
	engine *engine.Engine
	nodes  []string
	output []byte
}

func newOutputs(b *testing.B, writers, bytes int) *outputs {
	b.Helper()
	s, err := boltstore.Open(filepath.Join(b.TempDir(), "tasks.db"), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	w := newWriters(b, s, writers)
	b.Cleanup(w.close)
	o := &outputs{b: b, engine: w.engine, nodes: w.nodes}
	if bytes > 0 {
		o.output = make([]byte, bytes)
	}
	return o
}

func (o *outputs) round() {
	ctx := context.Background()
	var wg sync.WaitGroup
	for _, node := range o.nodes {
		wg.Go(func() {
			_, err := o.engine.Finish(ctx, node, engine.Output(o.output))
			if err == nil {
				_, err = o.engine.Loop(ctx, node)
			}
			if err != nil {
				o.b.Error(err)
			}
		})
	}
	wg.Wait()
}
