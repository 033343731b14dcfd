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
	// Keys shows the key of a node instead of its ID where it has one: in id, in
	// children, in ex_data and in edges. So an answer has the IDs of a runner's
	// definition. A node whose key is the ID of another node of its task keeps
	// its ID. Default: IDs.
	Keys bool
	// Fields are those beyond the documented ones. Default: none.
	Fields Fields
	// Now is the clock for the elapsed time of what is running. Default: time.Now.
	Now func() time.Time
}

// Fields is a set of fields that an answer has beyond the documented ones. Those that
// later versions of get_task_status have too bear the same names.
type Fields uint16

// The fields. Where nothing else is said, every node has them.
const (
	// FieldElapsedTime is elapsed_time: whole seconds from start to finish, or
	// until now while the node has not finished; 0 before it starts.
	FieldElapsedTime Fields = 1 << iota
	// FieldErrorIgnored is error_ignored.
	FieldErrorIgnored
	// FieldErrorIgnorable is error_ignorable, the name of error_ignored in later
	// versions of get_task_status.
	FieldErrorIgnorable
	// FieldStateRefreshAt is state_refresh_at: the time of the node's last
	// transition, in RefreshLayout.
	FieldStateRefreshAt
	// FieldExData is ex_data: on the answered node only, an object from the ID of
	// each failed node in it to its error text.
	FieldExData
	// FieldKind is kind, such as "service_activity".
	FieldKind
	// FieldRevision is revision: on the answered node only, the task's.
	FieldRevision
	// FieldRetryAt is retry_at: when a failed leaf is to be retried, "" if not.
	FieldRetryAt
	// FieldCounts is counts: on containers only, an object from shown state to the
	// number of leaves below.
	FieldCounts
	// FieldKey is key: the runner's name for the node, "" if it has no key.
	FieldKey
	// FieldEdges is after, a list of the IDs of the siblings that lead to the
	// node, and from, the ID of the one that led to its current attempt, "" if
	// none was named. If that node was created later, the edge leads back.
	FieldEdges
	// FieldNote is note: what a suspended node waits for, "" if unknown.
	FieldNote
	// FieldLabels is labels: on the answered node only, an object with the task's.
	FieldLabels

	// AllFields is all of them.
	AllFields Fields = 1<<iota - 1
)

// Query answers requests. It may be used from many goroutines.
type Query struct {
	reader store.Reader
	opts   Options
}

// New makes a Query on a store or an engine; o may be nil.
func New(r store.Reader, o *Options) *Query { return &Query{r, o.withDefaults()} }

func (o *Options) withDefaults() (d Options) {
	if o != nil {
		d = *o
	}
	if d.Location == nil {
		d.Location = time.Local
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	return d
}

// With is q with other options on the same store; o may be nil.
func (q *Query) With(o *Options) *Query { return New(q.reader, o) }

// NotFoundError says that a business has no such task and no such node, or that a
// task has no such node. It matches [state.ErrNotFound].
type NotFoundError struct {
	Business string
	Task     string    // as it was asked for, a task ID or a node ID
	Node     string    // the node of the task, by ID or key, "" if the task is unknown
	At       time.Time // the time that was asked about, zero for the present
}

// Error names what was asked for.
func (e *NotFoundError) Error() string {
	if e.Node != "" {
		return fmt.Sprintf("task %q of business %q has no node %q", e.Task, e.Business, e.Node)
	}
	if e.At.IsZero() {
		return fmt.Sprintf("business %q has no task or node %q", e.Business, e.Task)
	}
	return fmt.Sprintf("business %q had no task or node %q at %s", e.Business, e.Task, e.At.Format(TimeLayout))
}

// Unwrap returns [state.ErrNotFound].
func (*NotFoundError) Unwrap() error { return state.ErrNotFound }

// Snapshot returns the tree that Status and AppendJSON answer from. The error
// is a [*NotFoundError], matches [state.ErrInvalidArgument] for invalid IDs, or
// is the store's.
func (q *Query) Snapshot(ctx context.Context, business, task string) (store.Snapshot, error) {
	if err := (state.Key{Business: business, Task: task}).Validate(); err != nil {
		return store.Snapshot{}, wrap(err)
	}
	snap, err := q.reader.Load(ctx, store.ByKey(business, task))
	if errors.Is(err, state.ErrNotFound) {
		snap, err = q.loadByNode(ctx, business, task)
	}
	if err != nil {
		return store.Snapshot{}, unknown(business, task, err)
	}
	return snap, nil
}

// Locate returns key and revision of the task that [Query.Snapshot] would read,
// without reading it. For errors see there.
func (q *Query) Locate(ctx context.Context, business, task string) (store.Location, error) {
	if err := (state.Key{Business: business, Task: task}).Validate(); err != nil {
		return store.Location{}, wrap(err)
	}
	at, err := q.reader.Locate(ctx, store.ByKey(business, task))
	if errors.Is(err, state.ErrNotFound) {
		at, err = q.locateNode(ctx, business, task)
	}
	if err != nil {
		return store.Location{}, unknown(business, task, err)
	}
	return at, nil
}

// loadByNode locates the node before it loads anything: reading a task of another
// business would take time and could fail.
func (q *Query) loadByNode(ctx context.Context, business, node string) (store.Snapshot, error) {
	if _, err := q.locateNode(ctx, business, node); err != nil {
		return store.Snapshot{}, err
	}
	snap, err := q.reader.Load(ctx, store.ByNode(node))
	if err == nil {
		err = ofBusiness(snap.Tree.Key(), business) // another task may have the ID by now
	}
	return snap, err
}

func (q *Query) locateNode(ctx context.Context, business, node string) (store.Location, error) {
	at, err := q.reader.Locate(ctx, store.ByNode(node))
	if err == nil {
		err = ofBusiness(at.Key, business)
	}
	return at, err
}

// ofBusiness reports tasks of other businesses as unknown.
func ofBusiness(key state.Key, business string) error {
	if key.Business != business {
		return state.ErrNotFound
	}
	return nil
}

// unknown converts an error of the store. Not found becomes a [*NotFoundError]
// that names the request.
func unknown(business, task string, err error) error {
	if errors.Is(err, state.ErrNotFound) {
		return &NotFoundError{Business: business, Task: task}
	}
	return wrap(err)
}

// wrap says whose error it is; nil stays nil.
func wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("query: %w", err)
}
