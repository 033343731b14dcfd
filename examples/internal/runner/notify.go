package runner

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query/notify"
	storefeed "github.com/pipestatus/pipestatus/store/feed"
)

// patienceForEndpoints is how long the program waits at the end for endpoints that
// have not received everything.
const patienceForEndpoints = 5 * time.Second

// notifications deliver what the engine records to the endpoints that -notify names.
type notifications struct {
	engine    *engine.Engine
	endpoints []notify.Endpoint
	database  string
	stop      context.CancelFunc
	running   sync.WaitGroup
}

// notify begins to deliver. An endpoint without a saved position gets the transitions
// from now on; its position is saved before the first of them is recorded.
func (c *call) notify(ctx context.Context, e *engine.Engine) (*notifications, error) {
	n := &notifications{engine: e, endpoints: c.endpoints, database: c.db}
	for _, to := range n.endpoints {
		_, found, err := n.bookmark(to).Load(ctx)
		if err == nil && !found {
			err = n.bookmark(to).Save(ctx, e.Position())
		}
		if err != nil {
			return nil, err
		}
	}
	ctx, n.stop = context.WithCancel(ctx)
	for _, to := range n.endpoints {
		n.running.Go(func() {
			_ = notify.Deliver(ctx, e, to, n.bookmark(to), nil) // end says what is left, and why
		})
	}
	return n, nil
}

// bookmark is where the position of an endpoint is kept.
func (n *notifications) bookmark(to notify.Endpoint) storefeed.Bookmark {
	return storefeed.File(n.position(to))
}

// position is the name of that file.
func (n *notifications) position(to notify.Endpoint) string {
	digest := sha256.Sum256([]byte(to.URL))
	return fmt.Sprintf("%s.notify-%x", n.database, digest[:6])
}

// end delivers the remaining events for a limited time, and reports those that were
// not delivered. The engine must be open and the pipeline at its end.
func (n *notifications) end(tell func(format string, args ...any)) {
	n.stop()
	n.running.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), patienceForEndpoints)
	defer cancel()
	once := &notify.Options{Once: true}
	errs := make([]error, len(n.endpoints))
	for i, to := range n.endpoints {
		n.running.Go(func() { errs[i] = notify.Deliver(ctx, n.engine, to, n.bookmark(to), once) })
	}
	n.running.Wait()
	for i, err := range errs {
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			tell("endpoint %d of -notify has not received everything; statusctl notify -position %s continues", i+1, n.position(n.endpoints[i]))
		case err != nil:
			tell("endpoint %d of -notify: %v", i+1, err)
		}
	}
}
