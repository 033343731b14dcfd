package httpapi

import (
	"context"
	"slices"
	"strings"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// taskRow is a task as the list shows it.
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
	Revision   uint64         `json:"revision"`
}

// taskList is a page of tasks. A page may be short, even empty, and not be the
// last, which is the one without cursor.
type taskList struct {
	Tasks  []taskRow `json:"tasks"`
	Cursor string    `json:"cursor"`
	Now    string    `json:"now"`
}

const (
	listDefault = 50
	listMax     = 500
	// scanMax bounds how many tasks one list looks at for a text or for the
	// businesses that the caller may see: that there are more than these and
	// none for the caller among them is what a short page tells.
	scanMax = 10_000
)

// listTasks lists the tasks of one business, or of all that the caller may see.
func (h *Handler) listTasks(x *exchange) error {
	f, err := h.filter(x)
	if err != nil {
		return err
	}
	list := taskList{Tasks: []taskRow{}, Now: h.time(h.now())}
	seen := 0
	for wanted := f.Limit; len(list.Tasks) < wanted; {
		// No more than is missing, so that the cursor stands behind the last.
		f.Limit = wanted - len(list.Tasks)
		tasks, last, err := h.listSome(x, &f, &seen)
		if err != nil {
			return err
		}
		for i := range tasks {
			list.Tasks = append(list.Tasks, h.taskRow(&tasks[i]))
		}
		if last {
			break
		}
	}
	list.Cursor = f.Cursor
	if f.hides && f.Cursor != "" {
		// A cursor with nothing behind it that the caller may see would tell
		// of tasks that it may not.
		if list.Cursor, err = h.cursorToMore(x, f, seen); err != nil {
			return err
		}
	}
	return x.respond(0, "", func(dst []byte) ([]byte, error) {
		return envelope(dst, func(dst []byte) []byte { return appendJSON(dst, list) }), nil
	})
}

// listSome reads on, and says whether that was all or all that is looked at.
func (h *Handler) listSome(x *exchange, f *listFilter, seen *int) (tasks []store.Task, last bool, err error) {
	page, err := h.reader.List(x.r.Context(), f.ListQuery)
	if err != nil {
		return nil, true, err
	}
	*seen += len(page.Tasks)
	f.Cursor = page.Cursor
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

// listFilter is what a list is asked for, with what stores do not filter by.
type listFilter struct {
	store.ListQuery
	text    string // in lower case
	hides   bool   // there may be tasks that the caller may not see
	allowed func(ctx context.Context, business string) bool
}

func (h *Handler) filter(x *exchange) (f listFilter, err error) {
	if business, _, err := x.params.given("bk_biz_id"); err != nil || business != "" {
		if err := h.authorise(x); err != nil {
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
	text := func(name string) (value string) {
		if err == nil {
			value, _, err = x.params.given(name)
		}
		return value
	}
	f.text = strings.ToLower(text("text"))
	f.Cursor = text("cursor")
	if err != nil {
		return f, err
	}
	if f.Shown, err = x.params.states("state"); err != nil {
		return f, err
	}
	if f.Unfinished, err = x.params.flag("unfinished"); err != nil {
		return f, err
	}
	if f.Since, err = x.params.moment("since"); err != nil {
		return f, err
	}
	if f.Until, err = x.params.moment("until"); err != nil {
		return f, err
	}
	f.Limit, err = x.params.number("limit", listDefault, listMax)
	return f, err
}

// matches reports whether the caller may see t and it has the text in its IDs
// or name.
func (f *listFilter) matches(ctx context.Context, t *store.Task) bool {
	if f.Business == "" && !f.allowed(ctx, t.Key.Business) {
		return false
	}
	if f.text == "" {
		return true
	}
	for _, s := range []string{t.Key.Task, t.DisplayName(), t.Root} {
		if strings.Contains(strings.ToLower(s), f.text) {
			return true
		}
	}
	return false
}

func (h *Handler) taskRow(t *store.Task) taskRow {
	return taskRow{
		Business: t.Key.Business, Task: t.Key.Task, ID: t.Root, Name: t.Name,
		State: t.Shown.String(), Unfinished: t.Unfinished(),
		Recorded: h.time(t.Recorded), Updated: h.time(t.Updated),
		StartTime: h.time(t.Started), FinishTime: h.time(t.Finished),
		Nodes: t.Nodes, Counts: byName(&t.Counts), Revision: t.Revision,
	}
}

// at is the task as it is, or as it was at the time as_of.
func (h *Handler) at(x *exchange) (snap store.Snapshot, err error) {
	asOf, err := x.params.moment("as_of")
	if err != nil {
		return snap, err
	}
	if !asOf.IsSet() {
		return h.query.Snapshot(x.r.Context(), x.business, x.task)
	}
	done, err := x.turn(largeNodes + 1) // a story may be long
	if err != nil {
		return snap, err
	}
	defer done()
	return h.query.AsOf(x.r.Context(), x.business, x.task, asOf.Time())
}

// task is the tree as a list of nodes.
func (h *Handler) task(x *exchange) error {
	if err := h.target(x); err != nil {
		return err
	}
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
	return x.respond(snap.Tree.Len(), h.tagNow(x, revision), func(dst []byte) ([]byte, error) {
		return envelope(dst, func(dst []byte) []byte { return appendJSON(dst, h.story(snap, last)) }), nil
	})
}

// freshNow is fresh for what can be asked as of a time, which has no tag.
func (h *Handler) freshNow(x *exchange) (bool, error) {
	if x.params.plain("as_of") != "" {
		return false, nil
	}
	return h.fresh(x)
}

func (h *Handler) tagNow(x *exchange, revision uint64) string {
	if x.params.plain("as_of") != "" {
		return ""
	}
	return x.etag(revision)
}

// status is the documented response with all that there is.
func (h *Handler) status(x *exchange) error {
	if err := h.target(x); err != nil {
		return err
	}
	snap, err := h.at(x)
	if err != nil {
		return err
	}
	return x.respond(snap.Tree.Len(), "", func(dst []byte) ([]byte, error) {
		return envelope(dst, func(dst []byte) []byte {
			return h.with(query.AllFields).AppendTree(dst, snap.Tree, snap.Index)
		}), nil
	})
}

// history is every attempt of a node, oldest first.
func (h *Handler) history(x *exchange) error {
	snap, n, attempts, err := h.nodeAttempts(x)
	if err != nil {
		return err
	}
	list := make([]attempt, 0, len(attempts)+1)
	for i := range attempts {
		list = append(list, h.attempt(&attempts[i], attempts[i].State))
	}
	current := h.attempt(&n.Attempt, h.shown(snap.Tree).of(n.Index))
	current.Current = true
	list = append(list, current)
	return x.respond(0, "", func(dst []byte) ([]byte, error) {
		return envelope(dst, func(dst []byte) []byte {
			return appendJSON(dst, struct {
				Node     string    `json:"node_id"`
				Revision uint64    `json:"revision"`
				Attempts []attempt `json:"attempts"`
			}{n.ID, snap.Tree.Revision(), list})
		}), nil
	})
}

// timeline is the superseded attempts of all nodes, by node ID; the current
// ones are in the tree.
func (h *Handler) timeline(x *exchange) error {
	if err := h.target(x); err != nil {
		return err
	}
	snap, err := h.query.Snapshot(x.r.Context(), x.business, x.task)
	if err != nil {
		return err
	}
	return x.respond(largeNodes+1, "", func(dst []byte) ([]byte, error) {
		superseded := make(map[string][]attempt)
		for tr, err := range h.query.Transitions(x.r.Context(), snap.Tree) {
			if err != nil {
				return dst, err
			}
			for i := range tr.Changes {
				if c := &tr.Changes[i]; c.Superseded != nil {
					superseded[c.ID] = append(superseded[c.ID], h.attempt(c.Superseded, c.Superseded.State))
				}
			}
		}
		return envelope(dst, func(dst []byte) []byte {
			return appendJSON(dst, struct {
				Revision   uint64               `json:"revision"`
				Superseded map[string][]attempt `json:"superseded"`
			}{snap.Tree.Revision(), superseded})
		}), nil
	})
}
