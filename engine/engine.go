package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Engine records operations and hands out trees. All methods may be called
// from many goroutines. It is a [store.Reader] whose trees come from memory.
type Engine struct {
	store    store.Store
	opts     Options
	observer observer
	cache    *cache
	// opened is the store's last position when the engine was opened, see began.
	opened  atomic.Pointer[store.Position]
	horizon horizon
	feed    bell // rings after each commit and on Close
	// committing is held from before a commit until its trees are visible, which
	// a watch waits for.
	committing sync.Mutex

	// Only the leader uses these.
	spare    *group     // memory for the next group, may be nil
	empty    []*Pending // memory for the queue
	forecast forecast
	most     int // the largest size of a task's requests in one commit

	// pool holds requests for reuse. Each engine has one, since a test in a
	// synctest bubble must not get channels from outside.
	pool sync.Pool

	closed atomic.Bool // set with mu held; read without it, so that readers do not wait for mu

	mu      sync.Mutex    // protects everything below
	queue   []*Pending    // not yet in a group
	queued  int           // operations in queue
	room    chan struct{} // closed when the queue has room again; nil if no caller waits for room
	leading bool          // there is a leader
	idle    sync.Cond     // signaled when leading ends
}

var _ store.Reader = (*Engine)(nil)

// Open makes an engine on a store; o may be nil. It loads no tree. The caller keeps
// ownership of the store and closes it after the engine. A second engine on the
// same store is safe, but its reads may lag until its next commit or until it
// reloads the trees that the first has changed.
func Open(ctx context.Context, s store.Store, o *Options) (*Engine, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, fmt.Errorf("engine: open: %w: no store", state.ErrInvalidArgument)
	}
	last, err := store.Last(ctx, s)
	if part := (*store.UnavailableError)(nil); errors.As(err, &part) {
		last, err = part.Known, nil
	}
	if err != nil {
		return nil, fmt.Errorf("engine: open: %w", err)
	}
	e := &Engine{store: s, opts: opts, most: opts.most(), observer: observer{opts.Logger, *opts.Hooks}}
	e.idle.L = &e.mu
	e.opened.Store(&last)
	e.horizon.at.Store(&last)
	e.cache = newCache(opts.MaxLiveNodes, e.observer.evicted)
	return e, nil
}

// Close commits the queued requests, answers all callers, and ends all watches
// after they have yielded these commits. Later calls of methods that can fail
// return [store.ErrClosed]. A second Close waits for the first and returns nil. The
// store stays open.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed.Store(true)
	e.makeRoomLocked()
	for e.leading {
		e.idle.Wait()
	}
	e.mu.Unlock()
	e.feed.ring()
	return nil
}

// drained reports whether the engine was closed and has committed everything.
func (e *Engine) drained() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed.Load() && !e.leading
}

// Load returns a task's tree, from memory if possible. See [store.Reader].
func (e *Engine) Load(ctx context.Context, ref store.Ref) (store.Snapshot, error) {
	if err := e.ready(ctx); err != nil {
		return store.Snapshot{}, err
	}
	snap := store.Snapshot{Position: e.Position()}
	if snap.Tree = e.cache.get(ref); snap.Tree != nil {
		var err error
		if snap.Index, err = ref.In(snap.Tree); err == nil {
			return snap, nil
		}
		// Another engine may have declared the node since.
	}
	return e.fetch(ctx, ref)
}

// fetch reads a tree from the store and puts it into the cache.
func (e *Engine) fetch(ctx context.Context, ref store.Ref) (store.Snapshot, error) {
	removals := e.cache.removals.Load()
	snap, err := e.read(ctx, ref)
	if err == nil {
		e.cache.offer(snap.Tree, ref, removals)
	}
	return snap, err
}

// read loads a tree from the store.
func (e *Engine) read(ctx context.Context, ref store.Ref) (store.Snapshot, error) {
	begin := time.Now()
	snap, err := e.store.Load(ctx, ref)
	if errors.Is(err, state.ErrNotFound) { // the same text from every store
		err = fmt.Errorf("%w: %s", state.ErrNotFound, ref)
	}
	if err != nil {
		return store.Snapshot{}, err
	}
	e.observer.loaded(snap.Tree, time.Since(begin))
	return snap, nil
}

func (e *Engine) ready(ctx context.Context) error {
	if e.closed.Load() {
		return store.ErrClosed
	}
	return ctx.Err()
}

// Locate returns the location of a task or node. The location of a node comes
// from the store, like its attempts: both are of the same task, unless it is
// deleted in between. See [store.Reader].
func (e *Engine) Locate(ctx context.Context, ref store.Ref) (store.Location, error) {
	if err := e.ready(ctx); err != nil {
		return store.Location{}, err
	}
	if ref.Node == "" && ref.NodeKey == "" {
		e.Position() // drops the trees that other engines have changed
		if tree := e.cache.get(ref); tree != nil {
			return store.Location{Key: tree.Key(), Revision: tree.Revision()}, nil
		}
	}
	return e.store.Locate(ctx, ref)
}

// List returns a page of tasks. See [store.Reader].
func (e *Engine) List(ctx context.Context, q store.ListQuery) (store.ListPage, error) {
	if err := e.ready(ctx); err != nil {
		return store.ListPage{}, err
	}
	return e.store.List(ctx, q)
}

// Transitions returns a page of a task's transitions. See [store.Reader].
func (e *Engine) Transitions(ctx context.Context, key state.Key, after uint64, limit int) ([]*state.Transition, error) {
	if err := e.ready(ctx); err != nil {
		return nil, err
	}
	return e.store.Transitions(ctx, key, after, limit)
}

// Attempts returns a page of a node's attempts. See [store.Reader].
func (e *Engine) Attempts(ctx context.Context, ref store.Ref, q store.AttemptQuery) ([]store.Attempt, error) {
	if err := e.ready(ctx); err != nil {
		return nil, err
	}
	if ref.NodeKey != "" { // cheaper here, since the tree is probably in memory
		tree, err := e.latest(ctx, ref.Task())
		if err != nil {
			return nil, err
		}
		i, err := ref.In(tree)
		if err != nil {
			return nil, err
		}
		ref = store.ByNode(tree.ID(i))
	}
	return e.store.Attempts(ctx, ref, q)
}

// Feed returns a page of the store-wide changes. See [store.Reader], and
// [Engine.Watch] to follow them.
func (e *Engine) Feed(ctx context.Context, after store.Position, limit int) (store.FeedPage, error) {
	if err := e.ready(ctx); err != nil {
		return store.FeedPage{}, err
	}
	return e.store.Feed(ctx, after, limit)
}
