package query

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/state"
)

// Status is the documented answer for one node and all below it. Times are as
// on the wire; [Status.Started] and [Status.Finished] read them. Fields that an
// answer read from JSON does not have are zero.
type Status struct {
	ID         string
	Name       string
	State      state.State // as shown
	Version    string
	Retry      int // retries and skips
	Loop       int // passes, from 1
	Skip       bool
	StartTime  string // in TimeLayout, "" if unset
	FinishTime string
	Children   []*Status // in the order of creation, nil if there are none
	Extra      Extra
}

// Extra holds the fields beyond the documented ones. A nil pointer, map or
// slice and an empty Kind say that the answer does not have the field.
type Extra struct {
	ElapsedTime    *int64
	ErrorIgnored   *bool
	StateRefreshAt *string
	ExData         []NodeError
	Kind           string
	Revision       *uint64
	RetryAt        *string
	Counts         *state.Counts
}

// NodeError is the error text of a failed node.
type NodeError struct{ ID, Error string }

// Child returns the child with the given node ID, nil if there is none.
func (s *Status) Child(id string) *Status {
	for _, c := range s.Children {
		if c.ID == id {
			return c
		}
	}
	return nil
}

// Started reads StartTime; ok is false if it is unset or malformed.
func (s *Status) Started() (t time.Time, ok bool) { return readTime(s.StartTime) }

// Finished reads FinishTime; ok is false if it is unset or malformed.
func (s *Status) Finished() (t time.Time, ok bool) { return readTime(s.FinishTime) }

func readTime(text string) (time.Time, bool) {
	t, err := time.Parse(TimeLayout, text)
	return t, err == nil
}

// MarshalJSON writes the documented shape, fields in the order of the
// specification's example, extra ones behind them. It writes <, > and & as
// they are; json.Marshal escapes them in what it returns, a [json.Encoder]
// does not after SetEscapeHTML(false).
func (s Status) MarshalJSON() ([]byte, error) { return s.append(nil), nil }

func (s *Status) append(dst []byte) []byte {
	dst = appendHead(dst, s.Retry, s.Name)
	dst = appendInside(dst, s.FinishTime)
	dst = appendMiddle(dst, s.Skip)
	dst = append(appendInside(dst, s.StartTime), `","children":{`...)
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
	return append(s.Extra.append(dst), '}')
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
	return r.status(node)
}

func (r *renderer) status(i int) *Status {
	n := r.tree.Node(i)
	s := &Status{
		ID: n.ID, Name: n.DisplayName(), State: r.shown(i), Version: n.Version.String(),
		Retry: n.Retry(), Loop: n.Loop, Skip: n.Skipped,
		StartTime: r.face.format(n.Started), FinishTime: r.face.format(n.Finished),
	}
	if r.fields != 0 {
		s.Extra = r.extra(i, &n)
	}
	for c := range r.tree.Children(i) {
		s.Children = append(s.Children, r.status(c))
	}
	return s
}
