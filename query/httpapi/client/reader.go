package client

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/wire"
)

func ofRef(ref store.Ref) url.Values {
	if ref.Node != "" {
		return url.Values{"node_id": {ref.Node}}
	}
	asked := ofKey(ref.Key)
	if ref.NodeKey != "" {
		asked.Set("node_key", ref.NodeKey)
	}
	return asked
}

func ofKey(key state.Key) url.Values {
	return url.Values{"bk_biz_id": {key.Business}, "task_id": {key.Task}}
}

// Load implements [store.Reader]. The snapshot's position is zero for callers without
// permission to read the feed.
func (c *Client) Load(ctx context.Context, ref store.Ref) (snap store.Snapshot, err error) {
	err = c.ask(ctx, "load", ofRef(ref), func(head *wire.Head, next func(any) error) error {
		if snap.Position, err = positionOf(head.Position); err != nil {
			return err
		}
		snap.Index = head.Index
		snap.Tree, err = tree(head, next)
		if err == nil && (snap.Index < 0 || snap.Index >= snap.Tree.Len()) {
			err = fmt.Errorf("%w: node %d of %d", ErrAnswer, snap.Index, snap.Tree.Len())
		}
		return err
	})
	if err != nil {
		return store.Snapshot{}, err
	}
	return snap, nil
}

// roomFor bounds the allocation for the number of items that a head announces.
const roomFor = 10_000

func tree(head *wire.Head, next func(any) error) (*state.Tree, error) {
	b := state.NewBuilder(state.Key{Business: head.Business, Task: head.Task}, min(head.Items, roomFor))
	var ids []string
	for range head.Items {
		var c wire.Change
		if err := next(&c); err != nil {
			return nil, err
		}
		n, err := c.Node()
		if err == nil {
			err = n.Validate()
		}
		if err == nil {
			err = b.Add(&n)
		}
		if err == nil && n.ParentIndex >= 0 && ids[n.ParentIndex] != n.Parent {
			err = fmt.Errorf("node %q is in %q, which is not at %d", n.ID, n.Parent, n.ParentIndex)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
		}
		ids = append(ids, n.ID)
	}
	labels, err := head.Labels.Value()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	b.Label(labels)
	t, err := b.Tree(head.Revision)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	return t, err
}

func positionOf(text string) (store.Position, error) {
	if text == "" {
		return store.Position{}, nil
	}
	at, err := wire.ParsePosition(text)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	return at, err
}

// Locate implements [store.Reader].
func (c *Client) Locate(ctx context.Context, ref store.Ref) (at store.Location, err error) {
	err = c.ask(ctx, "locate", ofRef(ref), func(head *wire.Head, _ func(any) error) error {
		at = store.Location{Key: state.Key{Business: head.Business, Task: head.Task}, Revision: head.Revision}
		return nil
	})
	return at, err
}

// List implements [store.Reader].
func (c *Client) List(ctx context.Context, q store.ListQuery) (page store.ListPage, err error) {
	asked := url.Values{"limit": {strconv.Itoa(q.Limit)}}
	for name, value := range map[string]string{
		"bk_biz_id": q.Business, "cursor": q.Cursor, "name": q.Name, "labels": labels(q.Labels),
		"since": text(q.Recorded.Since), "until": text(q.Recorded.Until),
		"started_since": text(q.Started.Since), "started_until": text(q.Started.Until),
		"finished_since": text(q.Finished.Since), "finished_until": text(q.Finished.Until),
		"unfinished": flag(q.Unfinished), "has_failures": flag(q.HasFailures), "oldest_first": flag(q.OldestFirst),
	} {
		if value != "" {
			asked.Set(name, value)
		}
	}
	for _, s := range q.Shown {
		asked.Add("state", s.String())
	}
	err = c.ask(ctx, "list", asked, func(head *wire.Head, next func(any) error) error {
		page.Cursor = head.Cursor
		for _, message := range head.Missing {
			page.Missing = append(page.Missing, &Error{Status: http.StatusOK, Message: message, matches: []error{store.ErrUnavailable}})
		}
		page.Tasks, err = collect(head, next, (*wire.Task).Value)
		return err
	})
	if err != nil {
		return store.ListPage{}, err
	}
	return page, nil
}

// labels, flag and text are the texts of parameters, "" for omitted ones.

func labels(l state.Labels) string {
	if l == (state.Labels{}) {
		return ""
	}
	form, _ := json.Marshal(wire.OfLabels(l)) // never fails
	return string(form)
}

func flag(set bool) string {
	if !set {
		return ""
	}
	return "true"
}

func text(i state.Instant) string {
	if !i.IsSet() {
		return ""
	}
	return i.Time().UTC().Format(time.RFC3339Nano)
}

// collect reads the items of an answer.
func collect[R, V any](head *wire.Head, next func(any) error, value func(*R) (V, error)) (all []V, err error) {
	for range head.Items {
		var r R
		if err := next(&r); err != nil {
			return nil, err
		}
		v, err := value(&r)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
		}
		all = append(all, v)
	}
	return all, nil
}

// transition is the transition that a form stands for, if it is well-formed.
func transition(r *wire.Transition) (*state.Transition, error) {
	tr, err := r.Value()
	if err == nil {
		err = tr.Validate()
	}
	return tr, err
}

// Transitions implements [store.Reader].
func (c *Client) Transitions(ctx context.Context, key state.Key, after uint64, limit int) ([]*state.Transition, error) {
	limit = orDefault(limit)
	var all []*state.Transition
	for at, more := after, true; more && len(all) < limit; {
		asked := ofKey(key)
		asked.Set("after", strconv.FormatUint(at, 10))
		asked.Set("limit", strconv.Itoa(limit-len(all)))
		var page []*state.Transition
		err := c.ask(ctx, "transitions", asked, func(head *wire.Head, next func(any) error) (err error) {
			page, err = collect(head, next, transition)
			more = head.More && len(page) > 0
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(all) > 0 && len(page) > 0 && page[0].Op == state.Create {
			all, at, more = nil, after, true // another task has the key now
			continue
		}
		if all = append(all, page...); len(page) > 0 {
			at = page[len(page)-1].Sequence
		}
	}
	return all, nil
}

func orDefault(limit int) int {
	if limit <= 0 {
		return store.DefaultLimit
	}
	return limit
}

// Attempts implements [store.Reader].
func (c *Client) Attempts(ctx context.Context, ref store.Ref, q store.AttemptQuery) ([]store.Attempt, error) {
	skip, limit := q.Bounds()
	var all []store.Attempt
	for more := true; more && !q.Full(all); {
		// A later page begins with the last attempt of the one before: if it is
		// another one, another node has the ID since.
		overlap := min(len(all), 1)
		asked := ofRef(ref)
		asked.Set("skip", strconv.Itoa(skip+len(all)-overlap))
		asked.Set("limit", strconv.Itoa(limit-len(all)+overlap))
		if q.Data {
			asked.Set("data", "true")
		}
		var page []store.Attempt
		err := c.ask(ctx, "attempts", asked, func(head *wire.Head, next func(any) error) (err error) {
			page, err = collect(head, next, (*wire.KeptAttempt).Value)
			more = head.More && len(page) > overlap
			return err
		})
		switch {
		case err != nil:
			return nil, err
		case overlap > 0 && (len(page) == 0 || !same(&page[0].Attempt, &all[len(all)-1].Attempt)):
			all, more = nil, true
		default:
			all = append(all, page[overlap:]...)
		}
	}
	return all, nil
}

// same reports whether two attempts of nodes with one ID are of one node.
func same(a, b *state.Attempt) bool {
	return a.Version == b.Version && a.Number() == b.Number() && a.Started == b.Started
}

// Feed implements [store.Reader].
func (c *Client) Feed(ctx context.Context, after store.Position, limit int) (store.FeedPage, error) {
	limit = orDefault(limit)
	all := store.FeedPage{From: after}
	for more := true; more; {
		page, head, err := c.feed(ctx, after, limit-len(all.Transitions), false)
		if err != nil {
			return store.FeedPage{}, err
		}
		all.First, all.Last, all.Oldest = page.First, page.Last, page.Oldest
		all.Transitions = append(all.Transitions, page.Transitions...)
		after = page.After()
		more = head.More && len(page.Transitions) > 0 && len(all.Transitions) < limit
	}
	return all, nil
}

// feed asks for one page, with wait for one that is not empty.
func (c *Client) feed(ctx context.Context, after store.Position, limit int, wait bool) (page store.FeedPage, of wire.Head, err error) {
	asked := url.Values{"after": {after.String()}, "limit": {strconv.Itoa(limit)}}
	if wait {
		asked.Set("wait", "true")
	}
	err = c.ask(ctx, "feed", asked, func(head *wire.Head, next func(any) error) error {
		of, page.First = *head, head.First
		page.From = after
		if page.Last, err = positionOf(head.Position); err != nil {
			return err
		}
		if page.Oldest, err = positionOf(head.Oldest); err != nil {
			return err
		}
		page.Transitions, err = collect(head, next, transition)
		return err
	})
	return page, of, err
}

// Watch implements [store.Watcher]. It yields every transition after a position, in
// order, without gap or duplicate, as soon as it is committed: the server answers
// each request when there is a new transition. It ends with an error: the context's,
// [store.ErrClosed] after the last transition if the server shuts down,
// [store.ErrTrimmed] and [store.ErrHistory] as [store.Reader] says, or the error of a
// failed request. To continue, watch again after the position of the last event.
func (c *Client) Watch(ctx context.Context, after store.Position) iter.Seq2[store.Event, error] {
	return func(yield func(store.Event, error) bool) {
		for {
			page, head, err := c.feed(ctx, after, store.DefaultLimit, true)
			if err == nil && head.Ending && len(page.Transitions) == 0 {
				err = store.ErrClosed
			}
			if err != nil {
				yield(store.Event{}, err)
				return
			}
			for event := range page.Events() {
				if err := ctx.Err(); err != nil {
					yield(store.Event{}, err)
					return
				}
				if !yield(event, nil) {
					return
				}
			}
			after = page.After()
		}
	}
}
