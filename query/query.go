package query

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Options say how answers look. A nil *Options and zero fields stand for the
// defaults.
type Options struct {
	// Location is that of all times. Default: time.Local.
	Location *time.Location
	// FailedFirst shows a container as FAILED as soon as a child is, see
	// [state.Tree.ShownFailedFirst]. Default: the convention of [state.Tree.Shown].
	FailedFirst bool
	// Fields are those beyond the documented ones. Default: none.
	Fields Fields
	// Now is the clock for the elapsed time of what is running. Default: time.Now.
	Now func() time.Time
}

// Fields is a set of fields that an answer has beyond the documented ones,
// under the names that later versions of the documented call use.
type Fields uint16

// The fields. Where nothing else is said, every node has them.
const (
	// ElapsedTime is elapsed_time: whole seconds from start to finish, or
	// until now while the node has not finished; 0 before it starts.
	ElapsedTime Fields = 1 << iota
	// ErrorIgnored is error_ignored.
	ErrorIgnored
	// StateRefreshAt is state_refresh_at: the time of the node's last transition.
	StateRefreshAt
	// ExData is ex_data: on the answered node only, an object from the ID of
	// each failed node in it to its error text.
	ExData
	// Kind is kind, such as "service_activity".
	Kind
	// Revision is revision: on the answered node only, the task's.
	Revision
	// RetryAt is retry_at: when a failed leaf is to be retried, "" if not.
	RetryAt
	// Counts is counts: on containers only, an object from shown state to the
	// number of leaves below.
	Counts

	// AllFields is all of them.
	AllFields Fields = 1<<iota - 1
)

// Query answers requests. It may be used from many goroutines.
type Query struct {
	reader store.Reader
	opts   Options
}

// New makes a Query on a store or an engine; o may be nil.
func New(r store.Reader, o *Options) *Query {
	q := &Query{reader: r}
	if o != nil {
		q.opts = *o
	}
	if q.opts.Location == nil {
		q.opts.Location = time.Local
	}
	if q.opts.Now == nil {
		q.opts.Now = time.Now
	}
	return q
}

// With is q with other options on the same store; o may be nil.
func (q *Query) With(o *Options) *Query { return New(q.reader, o) }

// NotFoundError says that a business has no such task and no such node. It
// matches [state.ErrNotFound].
type NotFoundError struct {
	Business string
	Task     string // as it was asked for, a task ID or a node ID
}

// Error names what was asked for.
func (e *NotFoundError) Error() string {
	return fmt.Sprintf("business %q has no task or node %q", e.Business, e.Task)
}

// Unwrap returns [state.ErrNotFound].
func (*NotFoundError) Unwrap() error { return state.ErrNotFound }

// Snapshot is a task's tree at one moment, and which of its nodes was asked for.
type Snapshot struct {
	Tree *state.Tree
	Node int
	// Sequence is the store's last, read before the tree; see the package
	// documentation. The tree's Revision serves as an entity tag.
	Sequence uint64
}

// Snapshot returns the tree that Status and AppendJSON answer from. The error
// is a [*NotFoundError], matches [state.ErrInvalidArgument] for IDs that
// cannot be, or is the store's.
func (q *Query) Snapshot(ctx context.Context, business, task string) (Snapshot, error) {
	if err := (state.Key{Business: business, Task: task}).Validate(); err != nil {
		return Snapshot{}, fmt.Errorf("query: %w", err)
	}
	snap, err := q.reader.Load(ctx, store.ByKey(business, task))
	if errors.Is(err, state.ErrNotFound) {
		snap, err = q.reader.Load(ctx, store.ByNode(task))
		if err == nil && snap.Tree.Key().Business != business {
			err = state.ErrNotFound
		}
	}
	switch {
	case errors.Is(err, state.ErrNotFound):
		return Snapshot{}, &NotFoundError{business, task}
	case err != nil:
		return Snapshot{}, fmt.Errorf("query: %w", err)
	}
	return Snapshot(snap), nil
}
