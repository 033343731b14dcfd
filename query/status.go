package query

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/state"
)

// Status is the answer for one node and all below it, as Go values. Its JSON is
// the documented answer. A Status that was read from JSON has times to the
// second, and zero values for whatever the JSON did not have.
type Status struct {
	ID   string
	Name string
	Kind state.Kind
	// State is as shown. OwnState leaves out what is rolled up from below; it
	// differs for containers only.
	State, OwnState state.State
	Version         string
	Retry           int // retries and skips
	Loop            int // passes, from 1
	Skip            bool
	// Started and Finished are zero until it happened, Updated is the time of
	// the node's last transition, and RetryAt is when a failed leaf is to be
	// retried, zero if it is not. They are in Options.Location.
	Started, Finished, Updated, RetryAt time.Time
	// Elapsed is from Started to Finished, or until Options.Now while the node
	// has not finished; 0 before it starts, and 292 years at most.
	Elapsed time.Duration
	// Error is the text of the current attempt's failure, also of one that
	// was ignored; "" without one.
	Error        string
	ErrorIgnored bool
	// Counts is the number of leaves below a container, by shown state.
	Counts state.Counts
	// Key is the runner's name for the node, "" if it has no key. With
	// [Options].Keys, ID is the same.
	Key string
	// After are the IDs of the siblings that lead to the node, nil without any,
	// and From is the ID of the sibling that led to the current attempt, "" if the
	// runner named none.
	After []string
	From  string
	// Note says what a suspended node waits for.
	Note string
	// Revision and Labels are the task's, on the answered node only. Labels is nil
	// if the task has none.
	Revision uint64
	Labels   map[string]string
	Children []*Status // in the order of creation, nil without any
	// Fields are those that the JSON has beyond the documented ones.
	Fields Fields
}

// Child returns the child with the given node ID, or nil.
func (s *Status) Child(id string) *Status {
	for _, c := range s.Children {
		if c.ID == id {
			return c
		}
	}
	return nil
}

// MarshalJSON writes the documented fields in the order of get_task_status and then
// the extra ones. It does not escape <, > and &.
// json.Marshal escapes them in its result; a [json.Encoder] does not after
// SetEscapeHTML(false).
func (s Status) MarshalJSON() ([]byte, error) { return s.append(nil), nil }

func (s *Status) append(dst []byte) []byte {
	dst = appendHead(dst, s.Retry, s.Name)
	dst = appendTime(dst, s.Finished)
	dst = appendMiddle(dst, s.Skip)
	dst = append(appendTime(dst, s.Started), `","children":{`...)
	first := true
	for _, c := range s.Children {
		if c == nil {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = c.append(appendKey(dst, c.ID))
	}
	dst = appendTail(dst, s.State)
	dst = appendInside(dst, s.Version)
	dst = appendEnd(dst, s.ID, s.Loop)
	dst = s.appendFields(dst, func(dst []byte) []byte { return s.appendErrors(dst, make(map[string]bool)) })
	return append(dst, '}')
}

// Response is the documented envelope: Data if Result, else Message. A Response
// with Result and no Data is written as a refusal.
type Response struct {
	Result  bool
	Data    *Status
	Message string
}

// MarshalJSON writes {"result":true,"data":{…}} or
// {"result":false,"message":"…"}. For <, > and & see [Status.MarshalJSON].
func (r Response) MarshalJSON() ([]byte, error) {
	if r.Result && r.Data != nil {
		return append(r.Data.append([]byte(beforeData)), '}'), nil
	}
	return appendRefusal(nil, r.Message), nil
}

// Status returns what a task or node shows now. For errors see [Query.Snapshot].
func (q *Query) Status(ctx context.Context, business, task string) (*Status, error) {
	snap, err := q.Snapshot(ctx, business, task)
	if err != nil {
		return nil, err
	}
	return q.StatusOf(snap.Tree, snap.Index), nil
}

// Response is [Query.Status] in the documented envelope. Not found and
// malformed requests are answers, with a message that names what was asked;
// an error is the store's.
func (q *Query) Response(ctx context.Context, business, task string) (*Response, error) {
	status, err := q.Status(ctx, business, task)
	if message, ok := refusal(err); ok {
		return &Response{Message: message}, nil
	}
	if err != nil {
		return nil, err
	}
	return &Response{Result: true, Data: status}, nil
}

// refusal is the message for an error that is an answer.
func refusal(err error) (message string, ok bool) {
	if errors.Is(err, state.ErrNotFound) || errors.Is(err, state.ErrInvalidArgument) {
		return strings.TrimPrefix(err.Error(), "query: "), true
	}
	return "", false
}

// StatusOf is the status of a node of a tree, by index, and all below it.
func (q *Query) StatusOf(tree *state.Tree, node int) *Status {
	r := q.renderer(tree, node)
	defer r.release()
	r.now = state.InstantOf(q.opts.Now())
	return r.status(node)
}

func (r *renderer) status(i int) *Status {
	s := r.describe(i, nil)
	s.Version = r.tree.View(i).Version().String()
	for c := range r.tree.Children(i) {
		s.Children = append(s.Children, r.status(c))
	}
	return &s
}

// describe is the status of node i without its version and children. It appends to
// after, which becomes After.
func (r *renderer) describe(i int, after []string) Status {
	n := r.tree.Node(i)
	s := Status{
		ID: r.id(i), Name: n.DisplayName(), Kind: n.Kind, State: r.shown(i), OwnState: n.State,
		Retry: n.Retry(), Loop: n.Loop, Skip: n.Skipped,
		Started: r.time(n.Started), Finished: r.time(n.Finished), Updated: r.time(n.Updated), RetryAt: r.time(n.RetryAt),
		Elapsed: n.Elapsed(r.now), Error: n.Error, ErrorIgnored: n.ErrorIgnored,
		Key: n.Key, After: after, Note: n.Note, Fields: r.fieldsOf(i, &n),
	}
	for from := range n.After.All() {
		s.After = append(s.After, r.id(from))
	}
	if n.CameFrom > 0 {
		s.From = r.id(n.CameFrom)
	}
	if i == r.root {
		s.Revision = r.tree.Revision()
		s.Labels = labelsOf(r.tree.Labels())
	}
	if n.Kind.Container() {
		s.Counts = r.tree.Counts(i)
	}
	return s
}
