package query

import (
	"context"
	"strconv"
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
	Labels                               map[string]string // nil without labels
	Revision                             uint64
}

// Stands is the time of the last transition of a task that waits for a person: it
// has started and not ended, does not show RUNNING, and no leaf in it runs. It is
// zero for all other tasks, whose clocks run or have ended. [Stands] does the same
// for a node.
func (t *Task) Stands() time.Time {
	if t.Started.IsZero() || !t.Finished.IsZero() || t.State == state.Running || t.Counts[state.Running] > 0 {
		return time.Time{}
	}
	return t.Updated
}

// MarshalJSON writes bk_biz_id, task_id, id, name, state, start_time,
// finish_time, recorded_time, state_refresh_at, nodes, counts (an object of
// the states of which there are any), revision, and labels if there are
// any. For <, > and & see [Status.MarshalJSON].
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
}

// List returns a page of tasks. Its filter and order are the store's, see [store.ListQuery].
func (q *Query) List(ctx context.Context, filter store.ListQuery) (Tasks, error) {
	page, err := q.reader.List(ctx, filter)
	if err != nil {
		return Tasks{}, wrap(err)
	}
	list := Tasks{Tasks: make([]Task, 0, len(page.Tasks)), Cursor: page.Cursor, Unreadable: len(page.Unreadable)}
	for i := range page.Tasks {
		t := &page.Tasks[i]
		list.Tasks = append(list.Tasks, Task{
			Business: t.Key.Business, Task: t.Key.Task, ID: t.Root, Name: t.DisplayName(),
			State: t.Shown, Started: q.time(t.Started), Finished: q.time(t.Finished),
			Recorded: q.time(t.Recorded), Updated: q.time(t.Updated),
			Nodes: t.Nodes, Counts: t.Counts, Revision: t.Revision, Labels: labelsOf(t.Labels),
		})
	}
	return list, nil
}
