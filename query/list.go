package query

import (
	"context"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Task is a task as a list shows it. Times are in TimeLayout, "" if unset.
type Task struct {
	Business   string         `json:"bk_biz_id"`
	Task       string         `json:"task_id"`
	ID         string         `json:"id"`
	Name       string         `json:"name"`
	State      string         `json:"state"` // as shown, by the default convention
	StartTime  string         `json:"start_time"`
	FinishTime string         `json:"finish_time"`
	Recorded   string         `json:"recorded_time"`
	Updated    string         `json:"state_refresh_at"`
	Nodes      int            `json:"nodes"`
	Counts     map[string]int `json:"counts"` // leaves by state, those of which there are any
	Revision   uint64         `json:"revision"`
}

// Tasks is a page of a list. An empty Cursor says that it is the last; a page
// may be short, even empty, and not be the last.
type Tasks struct {
	Tasks  []Task `json:"tasks"`
	Cursor string `json:"cursor"`
}

// List returns a page of tasks, newest recorded first. Its filter is the
// store's, see [store.ListQuery].
func (q *Query) List(ctx context.Context, filter store.ListQuery) (Tasks, error) {
	page, err := q.reader.List(ctx, filter)
	if err != nil {
		return Tasks{}, wrap(err)
	}
	face := clockFace{loc: q.opts.Location}
	list := Tasks{Tasks: make([]Task, 0, len(page.Tasks)), Cursor: page.Cursor}
	for i := range page.Tasks {
		t := &page.Tasks[i]
		list.Tasks = append(list.Tasks, Task{
			Business: t.Key.Business, Task: t.Key.Task, ID: t.Root, Name: t.DisplayName(),
			State:     t.Shown.String(),
			StartTime: face.format(t.Started), FinishTime: face.format(t.Finished),
			Recorded: face.format(t.Recorded), Updated: face.format(t.Updated),
			Nodes: t.Nodes, Counts: countsByName(&t.Counts), Revision: t.Revision,
		})
	}
	return list, nil
}

func countsByName(c *state.Counts) map[string]int {
	m := make(map[string]int)
	for s := state.Created; s <= state.Finished; s++ {
		if c[s] > 0 {
			m[s.String()] = c[s]
		}
	}
	return m
}
