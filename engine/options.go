package engine

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/pipestatus/pipestatus/state"
)

// Options configure an engine. A nil *Options and zero fields stand for the
// defaults. A negative limit is refused.
type Options struct {
	// Limits bound the depth and size of a task, and of inputs and outputs.
	// Default: 100 levels, 100,000 nodes, 64 KiB.
	Limits state.Limits
	// MaxLiveNodes bounds the nodes of the trees of unfinished tasks kept in
	// memory; a live node takes about 220 bytes. Trees of other tasks have a bound of
	// their own, a 256th of this one. The least recently used trees are dropped first.
	// At least one tree of each sort is kept, regardless of its size. Default:
	// 1,000,000.
	MaxLiveNodes int
	// MaxQueued bounds the operations that wait for a commit, for example while
	// the disk hangs. Each takes about 600 bytes. When there are as many,
	// [Engine.Record] waits for room as long as its context allows, and
	// [Engine.Submit] fails at once with [ErrQueueFull]. A request of more
	// operations than that is queued alone. Every KiB of data counts as another
	// operation. Default: 65,536.
	MaxQueued int
	// InOrder gives transitions their sequences in the order in which the requests
	// were queued, across all tasks. Commits then hold fewer requests, because the
	// requests of one task in a commit must follow each other in the queue. It is for
	// tools whose users compare the order of requests with the feed. Default: in the
	// order of requests within each task only.
	InOrder bool
	// Now is the recording clock. It is called from many goroutines.
	// Default: time.Now.
	Now func() time.Time
	// NewID generates node IDs and versions: 32 lower-case hexadecimal digits,
	// never the same twice. The engine refuses an ID that is in use, and the
	// version of the node's current attempt or of the one before. It does not
	// detect an older version: callbacks that name it could then be applied to
	// the wrong attempt. IDs that ascend with time make the store's indexes
	// cheaper. NewID is called from many goroutines. Default: UUIDs of version 7.
	NewID func() string
	// Logger gets conflicts, failures, and at debug level loads and evictions.
	// Default: no log.
	Logger *slog.Logger
	// Hooks are called with the engine's actions, for metrics. Default: none.
	Hooks *Hooks

	newVersion func() (state.Version, error) // NewID as a version
}

// Hooks are functions that the engine calls after its actions. Each may be nil.
// They run on the engine's goroutine, and no further commit begins until Committed
// returns. They must therefore be quick and must not call the engine. A panic in
// one is logged and has no other effect.
type Hooks struct {
	// Committed is called after each attempt to commit.
	Committed func(CommitInfo)
	// Loaded is called after a tree was read from the store. A tree that was
	// loaded by its task's key is loaded again when a node of it is first asked
	// for by ID.
	Loaded func(key state.Key, nodes int, took time.Duration)
	// Evicted is called after a tree was dropped from memory.
	Evicted func(key state.Key, nodes int)
	// Refused is called when operations were not recorded and the caller may not
	// wait for the answer: operations given to [Engine.Submit], or to another
	// method whose context ended before the answer. The error is the answer. The
	// logger gets the same as a warning.
	Refused func(ops []Op, err error)
}

// CommitInfo describes one attempt to commit.
type CommitInfo struct {
	Requests    int           // Record and Submit calls in the group
	Tasks       int           // tasks they changed
	Transitions int           // transitions committed
	Conflicts   int           // tasks whose write the store refused, except as too large; only after ErrConflict the engine tries again
	Queued      int           // other requests, most of which came during the commit
	Took        time.Duration // of the store's Commit
	Err         error         // of the store's Commit as a whole
}

const (
	defaultLiveNodes = 1_000_000
	defaultQueued    = 1 << 16
)

func (o *Options) withDefaults() (Options, error) {
	var d Options
	if o != nil {
		d = *o
	}
	for _, limit := range []struct {
		name  string
		value int
	}{
		{"MaxLiveNodes", d.MaxLiveNodes},
		{"MaxQueued", d.MaxQueued},
		{"Limits.Levels", d.Limits.Levels},
		{"Limits.Nodes", d.Limits.Nodes},
		{"Limits.DataBytes", d.Limits.DataBytes},
	} {
		if limit.value < 0 {
			return d, fmt.Errorf("engine: open: %w: %s is %d", state.ErrInvalidArgument, limit.name, limit.value)
		}
	}
	if most := state.MaxDataBytes; d.Limits.DataBytes > most {
		return d, fmt.Errorf("engine: open: %w: Limits.DataBytes is %d, at most %d", state.ErrInvalidArgument, d.Limits.DataBytes, most)
	}
	if d.MaxLiveNodes == 0 {
		d.MaxLiveNodes = defaultLiveNodes
	}
	if d.MaxQueued == 0 {
		d.MaxQueued = defaultQueued
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if generate := d.NewID; generate != nil {
		d.newVersion = func() (state.Version, error) { return state.ParseVersion(generate()) }
	} else {
		d.NewID = newID
		d.newVersion = func() (state.Version, error) { return state.VersionOf(newUUID()), nil }
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.Hooks == nil {
		d.Hooks = &Hooks{}
	}
	return d, nil
}
