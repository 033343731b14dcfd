package httpapi

import (
	"strings"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// project is the project of a task, which here is the business.
type project struct {
	ProjectID    any    `json:"project_id"`
	ProjectName  string `json:"project_name"`
	BusinessID   any    `json:"bk_biz_id"`
	BusinessName string `json:"bk_biz_name"`
}

// unrecorded holds fields that clients expect and pipestatus does not record.
type unrecorded struct {
	Category       string `json:"category"`
	CreateMethod   string `json:"create_method"`
	Creator        string `json:"creator"`
	Executor       string `json:"executor"`
	TemplateID     string `json:"template_id"`
	TemplateSource string `json:"template_source"`
}

// listedTask is a task of get_task_list, and the beginning of get_task_detail.
type listedTask struct {
	ID         any      `json:"id"`
	Name       string   `json:"name"`
	CreateTime string   `json:"create_time"`
	StartTime  *string  `json:"start_time"` // null before
	FinishTime *string  `json:"finish_time"`
	IsStarted  bool     `json:"is_started"`
	IsFinished bool     `json:"is_finished"`
	Flow       string   `json:"current_flow"`
	FlowType   string   `json:"flow_type"`
	URL        string   `json:"url"`
	Actions    []string `json:"auth_actions"`
	project
	unrecorded
}

func projectOf(key state.Key) project {
	id := wireID(key.Business)
	return project{id, key.Business, id, key.Business}
}

// orNull is a time, null if it is unset.
func (h *Handler) orNull(i state.Instant) *string {
	if !i.IsSet() {
		return nil
	}
	text := h.wire(i)
	return &text
}

// mayDo are the actions that a caller may do to a task, as clients know them.
func (h *Handler) mayDo(x *exchange, key state.Key) []string {
	actions := []string{"task_view"}
	if h.mayOperate(x, Operation{Business: key.Business, Task: key.Task, Actor: x.who.User, Action: Pause}) {
		actions = append(actions, "task_operate")
	}
	return actions
}

const (
	pageDefault = 100
	pageMost    = 200
	// countMost bounds how many tasks of a business are counted for one answer. With
	// more there is no count.
	countMost = 100_000
)

// listAsked holds the parameters of get_task_list.
type listAsked struct {
	keyword           string
	started, finished *bool
	limit, offset     int
	uncounted         bool
}

func (q *question) listAsked() (a listAsked, err error) {
	q.scope()
	a.keyword, a.started, a.finished = q.text("keyword"), q.optionalFlag("is_started"), q.optionalFlag("is_finished")
	a.uncounted, a.limit = q.flag("without_count"), q.number("limit", pageDefault, pageMost)
	if q.plain("offset") != "0" {
		a.offset = q.number("offset", 0, countMost)
	}
	return a, q.err
}

func (a *listAsked) matches(t *store.Task) bool {
	return strings.Contains(t.DisplayName(), a.keyword) &&
		(a.started == nil || *a.started == t.Started.IsSet()) &&
		(a.finished == nil || *a.finished == (t.State == state.Finished))
}

// taskList is get_task_list, newest first.
func (h *Handler) taskList(x *exchange) error {
	asked, err := x.params.listAsked()
	if err != nil {
		return err
	}
	var page []store.Task
	count, all := 0, false
	q := store.ListQuery{Business: x.business, Limit: listMax}
	for seen := 0; !all && seen < countMost && (!asked.uncounted || len(page) < asked.limit); {
		next, err := h.reader.List(x.r.Context(), q)
		if err != nil {
			return err
		}
		for i := range next.Tasks {
			if seen++; !asked.matches(&next.Tasks[i]) {
				continue
			}
			if count++; count > asked.offset && len(page) < asked.limit {
				page = append(page, next.Tasks[i])
			}
		}
		q.Cursor = next.Cursor
		all = q.Cursor == ""
	}
	if all && !asked.uncounted {
		x.extra = appendJSON([]byte(`,"count":`), count)
	}
	return x.respond("", func(s *sink) error {
		s.text("[")
		for i := range page {
			s.element(h.listedTask(x, &page[i]))
		}
		s.text("]")
		return nil
	})
}

func (h *Handler) listedTask(x *exchange, t *store.Task) listedTask {
	return listedTask{
		ID: wireID(t.Key.Task), Name: t.DisplayName(), CreateTime: h.wire(t.Recorded),
		StartTime: h.orNull(t.Started), FinishTime: h.orNull(t.Finished),
		IsStarted: t.Started.IsSet(), IsFinished: t.State == state.Finished,
		Flow: flow(t.State), FlowType: flowType, URL: x.pageOf(t.Key), Actions: h.mayDo(x, t.Key), project: projectOf(t.Key),
	}
}

// taskDetail is get_task_detail.
func (h *Handler) taskDetail(x *exchange) error {
	x.params.scope()
	snap, err := x.now(x.inputBytes)
	if err != nil {
		return err
	}
	key, root := snap.Tree.Key(), snap.Tree.Node(0)
	created, err := h.created(x, snap.Tree)
	if err != nil {
		return err
	}
	x.task = key.Task // task_id may have named a node
	definition, err := h.taskInput(x)
	if err != nil {
		return err
	}
	return x.respond("", func(s *sink) error {
		head := appendJSON(nil, struct {
			listedTask
			ElapsedTime int64  `json:"elapsed_time"`
			State       string `json:"state"`
		}{
			h.listedTask(x, &store.Task{
				Key: key, Name: root.Name, State: root.State, Recorded: created, Started: root.Started, Finished: root.Finished,
			}),
			h.elapsed(&root.Attempt), h.shown(snap.Tree)(0).String(),
		})
		s.text(string(head[:len(head)-1]))
		if definition != nil {
			s.field(`,"pipeline_tree":`, definition)
		}
		s.text("}")
		return nil
	})
}
