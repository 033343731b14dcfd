package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/feed"
)

// hub follows the changes of all tasks while it has listeners, with one goroutine,
// and wakes the listeners of a changed task. It carries no data: listeners read the
// task's transitions themselves, so that a lost or needless wake does no harm and a
// slow listener delays nobody.
type hub struct {
	reader store.Reader
	poll   time.Duration
	logger *slog.Logger
	done   chan struct{} // closed by shutdown

	mu        sync.Mutex // protects everything below
	ended     bool
	listeners map[state.Key]map[*listener]struct{}
	count     int
	stop      context.CancelFunc // of the follower, nil without one
}

// listener is woken through its channel, which remembers one wake.
type listener struct {
	key  state.Key
	wake chan struct{}
}

func newHub(r store.Reader, poll time.Duration, logger *slog.Logger) *hub {
	return &hub{
		reader: r, poll: poll, logger: logger, done: make(chan struct{}),
		listeners: make(map[state.Key]map[*listener]struct{}),
	}
}

// everyTask is the key for listeners to all tasks.
var everyTask state.Key

// listen begins to listen to a task; leave ends it.
func (b *hub) listen(key state.Key) (*listener, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return nil, errEnding
	}
	l := &listener{key: key, wake: make(chan struct{}, 1)}
	if b.listeners[key] == nil {
		b.listeners[key] = make(map[*listener]struct{})
	}
	b.listeners[key][l] = struct{}{}
	if b.count++; b.stop == nil {
		var ctx context.Context
		ctx, b.stop = context.WithCancel(context.Background())
		go b.follow(ctx)
	}
	return l, nil
}

func (b *hub) leave(l *listener) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.listeners[l.key], l)
	if len(b.listeners[l.key]) == 0 {
		delete(b.listeners, l.key)
	}
	if b.count--; b.count == 0 {
		b.stop()
		b.stop = nil
	}
}

func (b *hub) shutdown() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ended {
		b.ended = true
		close(b.done)
	}
}

// follow wakes until ctx ends.
func (b *hub) follow(ctx context.Context) {
	for ctx.Err() == nil {
		err := b.watch(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, store.ErrTrimmed) || errors.Is(err, store.ErrHistory):
			continue
		case errors.Is(err, store.ErrClosed):
			b.shutdown()
			return
		}
		b.logger.Error("changes cannot be followed", "error", err)
		b.wakeAll()                 // the listeners meet the error themselves
		_ = feed.Sleep(ctx, b.poll) // the loop looks at ctx
	}
}

// watch wakes for every change from now on, until an error.
func (b *hub) watch(ctx context.Context) error {
	wake := b.wakeAll // changes before the first page did not wake anyone
	for page, err := range feed.Follow(ctx, b.reader, new(feed.Memory), &feed.Options{Start: store.End, Poll: b.poll}) {
		if err != nil {
			return err
		}
		wake()
		wake = func() {}
		for _, tr := range page.Transitions {
			b.wake(tr.Task)
		}
	}
	return ctx.Err()
}

func (b *hub) wake(key state.Key) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, k := range [...]state.Key{key, everyTask} {
		for l := range b.listeners[k] {
			l.ring()
		}
	}
}

func (b *hub) wakeAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, ls := range b.listeners {
		for l := range ls {
			l.ring()
		}
	}
}

func (l *listener) ring() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}
