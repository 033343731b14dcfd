//go:build unix

package pgstore_test

import (
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/store/pgstore"
)

func TestOtherHandlesCommitsAreToldOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		options pgstore.Options
	}{
		{"by notifications", pgstore.Options{Poll: hour}},
		{"by polling", pgstore.Options{Poll: 20 * time.Millisecond, NoNotify: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			pool := newPool(t)
			c.options.Schema = newSchema()
			e := newEngine(t, open(t, pool, pgstore.Options{Schema: c.options.Schema}))
			begin(t, e, "a")
			s := open(t, pool, c.options)
			seen := len(feed(t, s, 0))
			for range 3 {
				for _, op := range []engine.Op{engine.Suspend("a"), engine.Resume("a")} {
					changed := s.Changed()
					if _, err := e.Record(t.Context(), op); err != nil {
						t.Fatal(err)
					}
					<-changed
					for len(feed(t, s, 0)) == seen { // it was a false alarm
						changed := s.Changed()
						if len(feed(t, s, 0)) > seen {
							break
						}
						<-changed
					}
					seen++
				}
			}
			last := s.Changed()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			<-last
			<-s.Changed()
		})
	}
}
