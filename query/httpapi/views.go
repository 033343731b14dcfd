package httpapi

import (
	"context"
	"errors"
	"slices"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// taskRow is a task in the list.
type taskRow struct {
	Business   string         `json:"bk_biz_id"`
	Task       string         `json:"task_id"`
	ID         string         `json:"id"` // of the root
	Name       string         `json:"name,omitempty"`
	State      string         `json:"state"` // by the default convention
	Unfinished bool           `json:"unfinished"`
	Recorded   string         `json:"recorded_time"`
	Updated    string         `json:"updated_time"`
	StartTime  string         `json:"start_time,omitempty"`
	FinishTime string         `json:"finish_time,omitempty"`
	Nodes      int            `json:"nodes"`
	Counts     map[string]int `json:"counts"`
	Pending    int            `json:"pending,omitempty"` // of the failed ones, those that await an automatic retry
	Labels     labels         `json:"labels,omitempty"`
}

const (
	listDefault = 50
	listMax     = 500
	// scanMax bounds the tasks that one list reads in search of a text or of the
	// businesses that the caller may see. A short page that is not the last one
	// reveals only that there are more tasks than that.
	scanMax = 10_000
)

// listPage is a page of a list.
type listPage struct {
	rows   []store.Task
	cursor string // "" for the last page
	more   bool   // some tasks are on no page, because only so many are sorted
}

// listTasks lists the tasks of one business, or of all that the caller may see.
func (h *Handler) listTasks(x *exchange) error {
	f, err := h.filter(x)
	if err != nil {
		return err
	}
	var page listPage
	if f.by.value != "" {
		page, err = h.sortedPage(x, &f)
	} else {
		page, err = h.recordedPage(x, &f)
	}
	if err != nil {
		return err
	}
	// A page may be short, even empty, and not be the last, which is the one
	// without cursor.
	return x.respond("", func(s *sink) error {
		s.text(`{"tasks":[`)
		for i := range page.rows {
			s.element(h.taskRow(&page.rows[i]))
		}
		s.field(`],"cursor":`, h.positions.sealCursor(page.cursor))
		s.field(`,"now":`, h.time(h.now()))
		if page.more {
			s.field(`,"more":`, true)
		}
		if f.passed > 0 && !f.hides {
			s.field(`,"unreadable":`, f.passed) // damaged, of no business that is known
		}
		if f.missing > 0 {
			s.field(`,"missing":`, f.missing)
		}
		s.text("}")
		return nil
	})
}

// recordedPage reads a page in the order of recording.
func (h *Handler) recordedPage(x *exchange, f *listFilter) (page listPage, err error) {
	seen := 0
	for wanted := f.Limit; len(page.rows) < wanted; {
		// Read only the missing ones, so that the cursor is after the last.
		f.Limit = wanted - len(page.rows)
		tasks, last, err := h.listSome(x, f, &seen)
		if err != nil {
			return page, err
		}
		page.rows = append(page.rows, tasks...)
		if last {
			break
		}
	}
	page.cursor = f.Cursor
	if f.hides && f.Cursor != "" {
		// A cursor without visible tasks after it would reveal tasks that the
		// caller may not see.
		page.cursor, err = h.cursorToMore(x, *f, seen)
	}
	return page, err
}

// listSome continues reading, and reports whether it reached the end or the limit.
func (h *Handler) listSome(x *exchange, f *listFilter, seen *int) (tasks []store.Task, last bool, err error) {
	page, err := h.reader.List(x.r.Context(), f.ListQuery)
	if err != nil {
		return nil, true, err
	}
	*seen += len(page.Tasks)
	f.Cursor = page.Cursor
	f.passed += len(page.Unreadable)
	if f.missing = len(page.Missing); f.missing > 0 {
		x.failure = errors.Join(page.Missing...)
	}
	last = f.Cursor == "" || *seen >= scanMax || len(page.Tasks) == 0
	return slices.DeleteFunc(page.Tasks, func(t store.Task) bool { return !f.matches(x.r.Context(), &t) }), last, nil
}

// cursorToMore is the cursor of f, or "" if nothing is behind it.
func (h *Handler) cursorToMore(x *exchange, f listFilter, seen int) (string, error) {
	cursor := f.Cursor
	f.Limit = listMax
	for {
		tasks, last, err := h.listSome(x, &f, &seen)
		switch {
		case err != nil:
			return "", err
		case len(tasks) > 0 || last && f.Cursor != "":
			return cursor, nil
		case last:
			return "", nil
		}
	}
}

// listFilter holds the conditions of a list, including those that stores do not have.
type listFilter struct {
	store.ListQuery
	text    string
	by      sorting
	named   func(*store.Task) bool // reports whether the name matches the pattern
	hides   bool                   // there may be tasks that the caller may not see
	allowed func(ctx context.Context, business string) bool
	passed  int // tasks that cannot be read
	missing int // parts of the store that cannot be reached
}

func (h *Handler) filter(x *exchange) (f listFilter, err error) {
	if x.params.text("bk_biz_id") != "" {
		if err := h.authorize(x); err != nil {
			return f, err
		}
		f.Business = x.business
	}
	f.hides = f.Business == "" && h.opts.Authorize != nil
	verdicts := make(map[string]bool)
	f.allowed = func(ctx context.Context, business string) bool {
		verdict, known := verdicts[business]
		if !known {
			verdict = h.allowed(ctx, x.who, business)
			verdicts[business] = verdict
		}
		return verdict
	}
	f.text = x.params.text("text")
	var ok bool
	if f.Cursor, ok = h.positions.openCursor(x.params.text("cursor")); !ok {
		x.params.fail(malformed("cursor is malformed"))
	}
	x.params.filters(&f.ListQuery)
	f.named = query.TakePattern(&f.ListQuery)
	f.Limit = x.params.number("limit", listDefault, listMax)
	f.by = x.params.sorting()
	return f, x.params.err
}

// matches reports whether the caller may see t, its name matches and it mentions the text.
func (f *listFilter) matches(ctx context.Context, t *store.Task) bool {
	return (f.Business != "" || f.allowed(ctx, t.Key.Business)) && f.named(t) && query.Mentions(t, f.text)
}

func (h *Handler) taskRow(t *store.Task) taskRow {
	return taskRow{
		Business: t.Key.Business, Task: t.Key.Task, ID: t.Root, Name: t.Name,
		State: t.Shown.String(), Unfinished: t.Unfinished(),
		Recorded: h.time(t.Recorded), Updated: h.time(t.Updated),
		StartTime: h.time(t.Started), FinishTime: h.time(t.Finished),
		Nodes: t.Nodes, Counts: byName(&t.Counts), Pending: t.Pending, Labels: labelsOf(t.Labels),
	}
}

// at is the task now, or at the time as_of.
func (h *Handler) at(x *exchange) (snap store.Snapshot, err error) {
	asOf := x.params.moment("as_of")
	if !asOf.IsSet() {
		return x.now(nil)
	}
	return x.load(nil, func(ctx context.Context) (store.Snapshot, error) {
		return h.query.AsOf(ctx, x.business, x.task, asOf.Time())
	})
}

// task is the tree as a list of nodes.
func (h *Handler) task(x *exchange) error {
	if fresh, err := h.freshNow(x); fresh || err != nil {
		return err
	}
	snap, err := h.at(x)
	if err != nil {
		return err
	}
	revision := snap.Tree.Revision()
	steps, err := h.reader.Transitions(x.r.Context(), snap.Tree.Key(), revision-1, 1)
	if err != nil {
		return err
	}
	var last *state.Transition
	if len(steps) > 0 && steps[0].Sequence == revision {
		last = steps[0]
	}
	return x.respond(h.tagNow(x, snap.Tree), func(s *sink) error {
		x.story(s, snap, last)
		return nil
	})
}

// freshNow is fresh for calls with as_of, which have no tag.
func (h *Handler) freshNow(x *exchange) (bool, error) {
	if x.params.plain("as_of") != "" {
		return false, nil
	}
	return h.fresh(x)
}

func (h *Handler) tagNow(x *exchange, tree *state.Tree) string {
	if x.params.plain("as_of") != "" {
		return ""
	}
	return x.etag(tree.Key(), tree.Revision())
}

// status is the documented response with all fields.
func (h *Handler) status(x *exchange) error {
	snap, err := h.at(x)
	if err != nil {
		return err
	}
	return x.respond("", func(s *sink) error {
		s.tree(h.with(query.AllFields&^query.FieldRevision), snap.Tree, snap.Index)
		return nil
	})
}

// history is every attempt of a node, and every operation whose actor is known,
// oldest first.
func (h *Handler) history(x *exchange) error {
	snap, n, err := x.node()
	if err != nil {
		return err
	}
	in, out, err := x.data(snap.Tree, &n, &n.Attempt)
	if err != nil {
		return err
	}
	return x.respond("", func(s *sink) error {
		s.field(`{"node_id":`, n.ID)
		s.field(`,"position":`, h.position(snap))
		s.text(`,"attempts":[`)
		err := x.attempts(snap.Tree, &n, true, func(a *store.Attempt) {
			row := h.attempt(&a.Attempt, a.State)
			row.recorded = recordedOf(a.Input, a.Output)
			s.element(row)
		})
		current := h.attempt(&n.Attempt, h.shown(snap.Tree)(n.Index))
		current.Current, current.recorded = true, recordedOf(in, out)
		s.element(current)
		if err == nil {
			s.text(`],"operations":[`)
			err = x.operations(s, snap.Tree, n.ID)
		}
		s.text("]}")
		return err
	})
}

// operations adds the operations on a node whose actor is known.
func (x *exchange) operations(s *sink, tree *state.Tree, node string) error {
	for tr, err := range x.h.query.Transitions(x.r.Context(), tree) {
		switch {
		case err != nil:
			return err
		case tr.Actor != "" && tr.Node() == node:
			s.element(x.h.step(tr))
		}
	}
	return s.err
}

// timeline is the superseded attempts of all nodes, in the order in which they
// were superseded; the current ones are in the tree.
func (h *Handler) timeline(x *exchange) error {
	snap, err := x.now(inPieces)
	if err != nil {
		return err
	}
	return x.respond("", func(s *sink) error {
		s.field(`{"position":`, h.position(snap))
		s.text(`,"superseded":[`)
		for tr, err := range h.query.Transitions(x.r.Context(), snap.Tree) {
			if err != nil {
				return err
			}
			for i := range tr.Changes {
				if c := &tr.Changes[i]; c.Superseded != nil {
					s.element(superseded{c.ID, h.attempt(c.Superseded, c.Superseded.State)})
				}
			}
			if s.err != nil {
				return s.err
			}
		}
		s.text("]}")
		return nil
	})
}
