package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/wire"
)

// storePath is the path of the methods of a [store.Reader], each under its name.
const storePath = "/api/store/"

const linesType = "application/x-ndjson; charset=utf-8"

// storeCalls serve the methods of a [store.Reader].
var storeCalls = map[string]func(*Handler, *exchange) error{
	"load": (*Handler).storeLoad, "locate": (*Handler).storeLocate, "list": (*Handler).storeList,
	"transitions": (*Handler).storeTransitions, "attempts": (*Handler).storeAttempts, "feed": (*Handler).storeFeed,
}

// speaks checks that client and server use the same version of the format.
func (h *Handler) speaks(x *exchange) error {
	x.reading = true
	if h.opts.AuthorizeStore == nil {
		return &requestError{http.StatusForbidden, "this service does not let its store be read"}
	}
	if version := x.params.text("version"); version != strconv.Itoa(wire.Version) {
		x.params.fail(fmt.Errorf("%w: this service speaks version %d of the format %s, the client version %q",
			store.ErrIncompatible, wire.Version, wire.Format, shorten(version)))
	}
	return x.params.err
}

// mayRead checks that the caller may read a business's tasks, or with "" everything.
func (h *Handler) mayRead(x *exchange, business string) error {
	ctx := x.r.Context()
	if business != "" && !h.allowed(ctx, x.who, business) || !h.opts.AuthorizeStore(ctx, x.who, business) {
		return &requestError{http.StatusForbidden, "no permission to read this in the store"}
	}
	return nil
}

// reference is the task or node that the request names, and the key of the task,
// which the caller may read. A node of a task that the caller may not read is
// not found.
func (h *Handler) reference(x *exchange) (ref store.Ref, key state.Key, err error) {
	if ref.Node = x.params.text("node_id"); ref.Node == "" {
		ref.NodeKey = x.params.text("node_key")
		ref.Key, err = h.key(x)
		return ref, ref.Key, err
	}
	at, err := h.reader.Locate(x.r.Context(), ref)
	if errors.Is(err, state.ErrNotFound) || err == nil && h.mayRead(x, at.Key.Business) != nil {
		return ref, key, absent(ref)
	}
	x.business, x.task = at.Key.Business, at.Key.Task
	return ref, at.Key, err
}

// key is the task that the request names by business and task ID. Invalid IDs are not
// looked up.
func (h *Handler) key(x *exchange) (key state.Key, err error) {
	key = state.Key{Business: x.params.text("bk_biz_id"), Task: x.params.text("task_id")}
	switch {
	case x.params.err != nil:
		return key, x.params.err
	case key.Validate() != nil:
		return key, absent(store.Ref{Key: key})
	}
	x.business, x.task = key.Business, key.Task
	return key, h.mayRead(x, key.Business)
}

func absent(ref store.Ref) error { return fmt.Errorf("%w: %s", state.ErrNotFound, ref) }

func (h *Handler) storeLocate(x *exchange) error {
	ref, key, err := h.reference(x)
	if err != nil {
		return err
	}
	at, err := h.located(x, ref, key)
	if err != nil {
		return err
	}
	return x.lines(&wire.Head{Business: key.Business, Task: key.Task, Revision: at.Revision}, nil)
}

// located is the location of a reference, if the task is still one that the caller may
// read: after a delete, a task of another business may have the node ID.
func (h *Handler) located(x *exchange, ref store.Ref, key state.Key) (store.Location, error) {
	at, err := h.reader.Locate(x.r.Context(), ref)
	if err == nil && at.Key != key {
		err = absent(ref)
	}
	return at, err
}

func (h *Handler) storeLoad(x *exchange) error {
	ref, key, err := h.reference(x)
	if err != nil {
		return err
	}
	snap, err := x.load(nil, func(ctx context.Context) (store.Snapshot, error) { return h.reader.Load(ctx, ref) })
	if err != nil {
		return err
	}
	tree := snap.Tree
	if tree.Key() != key {
		return absent(ref)
	}
	head := &wire.Head{
		Items: tree.Len(), Business: key.Business, Task: key.Task, Revision: tree.Revision(), Index: snap.Index,
		Labels: wire.OfLabels(tree.Labels()),
	}
	if h.mayRead(x, "") == nil { // else there is no feed to use it with
		head.Position = snap.Position.String()
	}
	return x.lines(head, func(i int) any {
		n := tree.Node(i)
		return wire.OfNode(&n)
	})
}

const (
	// headerBytes is the approximate memory of a task's header.
	headerBytes = 2 << 10
	// recordBytes is the memory that a transition or an attempt may take.
	recordBytes = state.MaxErrorBytes
)

// limit is how many items are wanted, at most a page, whose bytes it holds. The error
// may be of another parameter that was read before.
func (x *exchange) limit(itemBytes int64) (limit int, err error) {
	if text := x.params.text("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil {
			x.params.fail(fmt.Errorf("%w: limit is no number", state.ErrInvalidArgument))
		}
	}
	if x.params.err != nil {
		return 0, x.params.err
	}
	if limit <= 0 || limit > store.DefaultLimit {
		limit = store.DefaultLimit
	}
	return limit, x.hold(int64(limit) * itemBytes)
}

// hold waits for bytes of memory and holds them instead of those that it holds.
func (x *exchange) hold(bytes int64) (err error) {
	x.claim.end()
	x.claim, err = x.h.memory.take(x.r.Context(), x.client(), bytes, x.h.opts.WriteTimeout)
	return err
}

func (h *Handler) storeList(x *exchange) (err error) {
	var q store.ListQuery
	q.Business = x.params.text("bk_biz_id")
	x.business = q.Business
	if err := cmp.Or(x.params.err, h.mayRead(x, q.Business)); err != nil {
		return err
	}
	x.params.filters(&q)
	var ok bool
	if q.Cursor, ok = h.positions.openCursor(x.params.text("cursor")); !ok {
		x.params.fail(fmt.Errorf("%w: no list returned this cursor", state.ErrInvalidArgument))
	}
	if q.Limit, err = x.limit(headerBytes); err != nil {
		return err
	}
	page, err := h.reader.List(x.r.Context(), q)
	if err != nil {
		return err
	}
	head := &wire.Head{Items: len(page.Tasks), Cursor: h.positions.sealCursor(page.Cursor)}
	for _, err := range page.Missing {
		head.Missing = append(head.Missing, err.Error())
	}
	return x.lines(head, func(i int) any { return wire.OfTask(&page.Tasks[i]) })
}

func (h *Handler) storeTransitions(x *exchange) error {
	key, err := h.key(x)
	if err != nil {
		return err
	}
	after := x.params.sequence("after")
	limit, err := x.limit(recordBytes)
	if err != nil {
		return err
	}
	page, err := h.reader.Transitions(x.r.Context(), key, after, limit)
	if err != nil {
		return err
	}
	return x.transitions(&wire.Head{More: len(page) >= limit}, page)
}

func (x *exchange) transitions(head *wire.Head, page []*state.Transition) error {
	head.Items = len(page)
	return x.lines(head, func(i int) any { return wire.OfTransition(page[i]) })
}

func (h *Handler) storeAttempts(x *exchange) error {
	ref, key, err := h.reference(x)
	if err != nil {
		return err
	}
	skip, data := x.params.sequence("skip"), x.params.flag("data")
	q := store.AttemptQuery{Skip: int(min(skip, 1<<31-1))}
	if q.Limit, err = x.limit(recordBytes); err != nil {
		return err
	}
	page, err := h.reader.Attempts(x.r.Context(), ref, q)
	if err == nil && data {
		var sizes dataSizes
		sizes.add(page)
		if err := x.hold(int64(q.Limit)*recordBytes + sizes.bytes()); err != nil {
			return err
		}
		q.Data = true
		page, err = h.reader.Attempts(x.r.Context(), ref, q)
	}
	if err == nil {
		_, err = h.located(x, ref, key)
	}
	if err != nil {
		return err
	}
	head := &wire.Head{Items: len(page), More: len(page) >= q.Limit || q.Full(page)}
	return x.lines(head, func(i int) any { return wire.OfKeptAttempt(&page[i]) })
}

// storeFeed answers a page of the feed. With the parameter wait, it waits until the
// page is not empty, or for the next heartbeat.
func (h *Handler) storeFeed(x *exchange) error {
	if err := h.mayRead(x, ""); err != nil {
		return err
	}
	after, err := wire.ParsePosition(x.params.text("after"))
	x.params.fail(err)
	ending := false
	if wait := x.params.flag("wait"); wait && x.params.err == nil {
		if ending, err = h.await(x, after); err != nil {
			return err
		}
	}
	limit, err := x.limit(recordBytes)
	if err != nil {
		return err
	}
	page, err := h.reader.Feed(x.r.Context(), after, limit)
	if err != nil {
		return err
	}
	head := &wire.Head{
		Position: page.Last.String(), First: page.First, More: len(page.Transitions) >= limit, Ending: ending,
	}
	if page.Oldest != (store.Position{}) {
		head.Oldest = page.Oldest.String()
	}
	return x.transitions(head, page.Transitions)
}

// await returns when there are transitions after a position, at the next
// heartbeat, or when the service ends. It holds no memory of answers.
func (h *Handler) await(x *exchange, after store.Position) (ending bool, err error) {
	seat := h.streams.now(x.client(), 1)
	if seat == nil {
		return false, errTooMany
	}
	defer seat.end()
	// Listening begins before reading, so that nothing falls between the two.
	l, err := h.hub.listen(everyTask)
	if err != nil {
		return false, err
	}
	defer h.hub.leave(l)
	x.leave() // from here on it counts as a stream
	ctx := x.r.Context()
	heartbeat := time.NewTimer(h.opts.Heartbeat)
	defer heartbeat.Stop()
	for {
		page, err := h.reader.Feed(ctx, after, 1)
		if err != nil || len(page.Transitions) > 0 {
			return false, err
		}
		select {
		case <-l.wake:
		case <-heartbeat.C:
			return false, nil
		case <-h.hub.done:
			return true, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// lines answers with a head and its items, one a line.
func (x *exchange) lines(head *wire.Head, item func(i int) any) error {
	head.Format, head.Version = wire.Format, wire.Version
	return x.deliver(&answer{exchange: x, contentType: linesType}, func(s *sink) error {
		s.value(head)
		s.text("\n")
		for i := range head.Items {
			if s.err != nil {
				return s.err
			}
			s.value(item(i))
			s.text("\n")
		}
		return nil
	})
}

// readingVerdict is the verdict on an error of the store: the client gets the error
// itself.
func (x *exchange) readingVerdict(err error) (status, code int, message string) {
	switch {
	case errors.Is(err, state.ErrNotFound):
		x.failure = nil
		return http.StatusOK, codeNotFound, err.Error()
	case len(wire.ErrorNames(err)) == 0:
		return http.StatusInternalServerError, codeInternal, (&internalError{}).Error()
	case errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrFailed), errors.Is(err, store.ErrUnavailable):
		return http.StatusServiceUnavailable, codeUnavailable, err.Error()
	case errors.Is(err, store.ErrCorrupt):
		return http.StatusInternalServerError, codeInternal, err.Error()
	}
	x.failure = nil
	return http.StatusOK, codeInvalid, err.Error()
}

// errorNames is the field of a refusal that names the errors of the store.
func errorNames(err error) []byte {
	var question *questionError
	switch {
	case errors.Is(err, errEnding):
		err = store.ErrClosed
	case errors.As(err, &question) && question.code == codeInvalid:
		err = state.ErrInvalidArgument
	}
	if names := wire.ErrorNames(err); names != nil {
		return appendJSON([]byte(`,"errors":`), names)
	}
	return nil
}
