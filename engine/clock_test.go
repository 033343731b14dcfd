package engine_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
)

// A time outside the years 1 to 9999 is never recorded: every request is
// refused, and the store stays readable.
func TestWildClockIsRefusedByEveryOperation(t *testing.T) {
	for name, wild := range map[string]time.Time{
		"before the year 1":   time.Date(0, 12, 31, 23, 59, 59, 0, time.UTC),
		"after the year 9999": time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		t.Run(name, func(t *testing.T) {
			forEachStoreReopened(t, func(f *fixture) {
				var isWild atomic.Bool
				now := f.opts.Now
				f.opts.Now = func() time.Time {
					if isWild.Load() {
						return wild
					}
					return now()
				}
				f.reopenEngine()
				f.task("10", "root")
				f.activity("root", "a", engine.Start, engine.Finish)
				f.record(engine.Finish("root"))
				f.expectUnchanged(func() {
					isWild.Store(true)
					defer isWild.Store(false)
					_, purge := f.Purge(f.ctx, engine.Retention{})
					_, create := f.Create(f.ctx, "2", "11")
					for op, err := range map[string]error{"delete": f.Delete(f.ctx, "2", "10"), "purge": purge, "create": create} {
						f.expectRefusal(err, state.ErrInvalidArgument)
						if text := err.Error(); !strings.Contains(text, wild.Format(time.RFC3339)) || strings.Contains(text, state.ErrMalformed.Error()) {
							f.Errorf("%s: %s", op, text)
						}
					}
				})
				f.pause()
				if err := f.Delete(f.ctx, "2", "10"); err != nil {
					f.Error(err)
				}
				if tr := f.watched(6, 7)[0]; tr.Op != state.Delete {
					f.Errorf("the last transition is %+v", tr)
				}
			})
		})
	}
}
