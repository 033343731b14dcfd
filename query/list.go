package query

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Task is a task as a list shows it, as Go values. Its JSON has times in
// TimeLayout, "" if unset.
type Task struct {
	Business string
	Task     string
	ID       string // of the root
	Name     string
	State    state.State // as shown, by the default convention
	// Started and Finished are zero until it happened, Recorded is when the
	// task was created, and Updated is the time of its last transition.
	Started, Finished, Recorded, Updated time.Time
	Nodes                                int
	Counts                               state.Counts      // leaves by shown state
	Pending                              int               // of the FAILED ones, those that await an automatic retry
	Labels                               map[string]string // nil without labels
	Revision                             uint64
}

// Stands is the time of the last transition of a task that waits for a person, zero
// for all other tasks, by the rule of [Stands].
func (t *Task) Stands() time.Time {
	if !waits(!t.Started.IsZero(), !t.Finished.IsZero(), t.State, t.Counts[state.Running]+t.Pending) {
		return time.Time{}
	}
	return t.Updated
}

// MarshalJSON writes bk_biz_id, task_id, id, name, state, start_time,
// finish_time, recorded_time, state_refresh_at, nodes, counts (an object of
// the states of which there are any), pending if that is not 0, revision, and labels
// if there are any. For <, > and & see [Status.MarshalJSON].
func (t Task) MarshalJSON() ([]byte, error) {
	dst := appendString([]byte(`{"bk_biz_id":`), t.Business)
	dst = appendString(append(dst, `,"task_id":`...), t.Task)
	dst = appendString(append(dst, `,"id":`...), t.ID)
	dst = appendString(append(dst, `,"name":`...), t.Name)
	dst = append(append(append(dst, `,"state":"`...), stateName(t.State)...), '"')
	dst = append(appendTime(append(dst, `,"start_time":"`...), t.Started), '"')
	dst = append(appendTime(append(dst, `,"finish_time":"`...), t.Finished), '"')
	dst = append(appendTime(append(dst, `,"recorded_time":"`...), t.Recorded), '"')
	dst = append(appendTime(append(dst, `,"state_refresh_at":"`...), t.Updated), '"')
	dst = strconv.AppendInt(append(dst, `,"nodes":`...), int64(t.Nodes), 10)
	dst = appendCounts(dst, &t.Counts)
	if t.Pending > 0 {
		dst = strconv.AppendInt(append(dst, `,"pending":`...), int64(t.Pending), 10)
	}
	dst = appendRevision(dst, t.Revision)
	if len(t.Labels) > 0 {
		dst = appendLabels(dst, t.Labels)
	}
	return append(dst, '}'), nil
}

// Tasks is a page of a list. An empty Cursor says that it is the last; a page
// may be short, even empty, and not be the last.
type Tasks struct {
	Tasks  []Task `json:"tasks"`
	Cursor string `json:"cursor"`
	// Unreadable is how many tasks the page leaves out because their records are
	// damaged.
	Unreadable int `json:"unreadable,omitempty"`
	// Missing has a text for each part of the store that could not be reached, which
	// names it. The page leaves out the tasks of these parts, see
	// [store.ListPage].
	Missing []string `json:"missing,omitempty"`
}

// List returns a page of tasks. Its filter and order are the store's, see [store.ListQuery].
func (q *Query) List(ctx context.Context, filter store.ListQuery) (Tasks, error) {
	page, err := q.reader.List(ctx, filter)
	if err != nil {
		return Tasks{}, wrap(err)
	}
	list := Tasks{Tasks: make([]Task, 0, len(page.Tasks)), Cursor: page.Cursor, Unreadable: len(page.Unreadable)}
	list.Missing = texts(page.Missing)
	for i := range page.Tasks {
		list.Tasks = append(list.Tasks, q.task(&page.Tasks[i]))
	}
	return list, nil
}

func texts(errs []error) (texts []string) {
	for _, err := range errs {
		texts = append(texts, err.Error())
	}
	return texts
}

func (q *Query) task(t *store.Task) Task {
	return Task{
		Business: t.Key.Business, Task: t.Key.Task, ID: t.Root, Name: t.DisplayName(),
		State: t.Shown, Started: q.time(t.Started), Finished: q.time(t.Finished),
		Recorded: q.time(t.Recorded), Updated: q.time(t.Updated),
		Nodes: t.Nodes, Counts: t.Counts, Pending: t.Pending, Revision: t.Revision, Labels: labelsOf(t.Labels),
	}
}

// searchPage is how many tasks Search reads at once at least.
const searchPage = 500

// Search is List of the tasks that mention a text, see [Mentions]; "" is in all of them.
// The name in the filter may be a pattern, see [TakePattern]. Search reads until it has
// as many tasks as the filter's limit or there are no more, so only the last page is
// short. A text or pattern of few tasks makes it read many.
func (q *Query) Search(ctx context.Context, filter store.ListQuery, text string) (Tasks, error) {
	named := TakePattern(&filter)
	matches := func(t *store.Task) bool { return named(t) && Mentions(t, text) }
	limit := filter.Limit
	if limit <= 0 {
		limit = store.DefaultLimit
	}
	found := Tasks{Tasks: []Task{}}
	for {
		filter.Limit = max(limit-len(found.Tasks), searchPage)
		page, err := q.reader.List(ctx, filter)
		if err != nil {
			return Tasks{}, wrap(err)
		}
		if read := until(page.Tasks, matches, limit-len(found.Tasks)); read < len(page.Tasks) {
			filter.Limit = read // so that the cursor is not after more than is wanted
			if page, err = q.reader.List(ctx, filter); err != nil {
				return Tasks{}, wrap(err)
			}
		}
		for i := range page.Tasks {
			if t := &page.Tasks[i]; matches(t) {
				found.Tasks = append(found.Tasks, q.task(t))
			}
		}
		found.Unreadable += len(page.Unreadable)
		found.Missing = texts(page.Missing)
		found.Cursor, filter.Cursor = page.Cursor, page.Cursor
		if found.Cursor == "" || len(found.Tasks) >= limit {
			return found, nil
		}
	}
}

// until returns how many of the first tasks contain so many that match, or all.
func until(tasks []store.Task, matches func(*store.Task) bool, wanted int) (read int) {
	for ; read < len(tasks) && wanted > 0; read++ {
		if matches(&tasks[read]) {
			wanted--
		}
	}
	return read
}

// Mentions reports whether a task mentions a text: in its ID, the ID of its root, the
// name that it shows or a label, as KEY=VALUE. Upper and lower case are the same.
func Mentions(t *store.Task, text string) bool {
	text = strings.ToLower(text)
	has := func(s string) bool { return strings.Contains(strings.ToLower(s), text) }
	for key, value := range t.Labels.All() {
		if has(key + "=" + value) {
			return true
		}
	}
	return has(t.Key.Task) || has(t.DisplayName()) || has(t.Root)
}

// TakePattern removes the name from a filter if it is a pattern, which stores do not
// know, and returns the condition that is left to check. In a pattern each * stands for
// any characters, or none; all other characters stand for themselves, in the same case.
// A name without * is left to the store, and every task meets the condition.
func TakePattern(filter *store.ListQuery) (matches func(*store.Task) bool) {
	parts := strings.Split(filter.Name, "*")
	last := len(parts) - 1
	if last == 0 {
		return func(*store.Task) bool { return true }
	}
	filter.Name = ""
	return func(t *store.Task) bool {
		rest, found := strings.CutPrefix(t.DisplayName(), parts[0])
		for _, part := range parts[1:last] {
			if found {
				_, rest, found = strings.Cut(rest, part)
			}
		}
		return found && strings.HasSuffix(rest, parts[last])
	}
}
