package httpapi

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// tasksMax is the documented limit of get_tasks_status.
const tasksMax = 50

// listed are the tasks that a request lists.
func (q *question) listed() []string {
	q.scope()
	return q.ids("task_id_list", tasksMax)
}

// tasksStatus is get_tasks_status.
func (h *Handler) tasksStatus(x *exchange) error {
	ids, children := x.params.listed(), x.params.flag("include_children_status")
	return x.respond("", func(s *sink) error {
		return x.each(s, ids, func(tree *state.Tree) error { return h.summary(x, s, tree, children) })
	})
}

// each loads the existing tasks of a list and calls value with each. It loads one at
// a time, so that only one is in memory.
func (x *exchange) each(s *sink, ids []string, value func(*state.Tree) error) error {
	s.text("[")
	more := false
	for _, id := range ids {
		snap, err := x.load(nil, func(ctx context.Context) (store.Snapshot, error) {
			return x.h.reader.Load(ctx, store.ByKey(x.business, id))
		})
		if errors.Is(err, state.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if more {
			s.text(",")
		}
		more = true
		if err := value(snap.Tree); err != nil {
			return err
		}
	}
	s.text("]")
	return s.err
}

// summary is one task of get_tasks_status.
func (h *Handler) summary(x *exchange, s *sink, tree *state.Tree, children bool) error {
	root := tree.Node(0)
	created, err := h.created(x, tree)
	if err != nil {
		return err
	}
	s.field(`{"id":`, wireID(tree.Key().Task))
	s.field(`,"name":`, root.DisplayName())
	if s.text(`,"status":`); children {
		s.tree(h.with(h.opts.Query.Fields|detailFields), tree, 0)
	} else {
		s.value(h.head(tree, &root))
	}
	s.field(`,"flow_type":`, flowType)
	s.field(`,"current_flow":`, flow(root.State))
	s.field(`,"is_deleted":`, false)
	s.field(`,"create_time":`, h.wire(created))
	s.field(`,"start_time":`, h.wire(root.Started))
	s.field(`,"finish_time":`, h.wire(root.Finished))
	s.field(`,"url":`, x.pageOf(tree.Key()))
	s.text("}")
	return nil
}

// flowType is the flow_type of all tasks.
const flowType = "common"

// created is when a task was created.
func (h *Handler) created(x *exchange, tree *state.Tree) (state.Instant, error) {
	story, err := h.reader.Transitions(x.r.Context(), tree.Key(), 0, 1)
	if err != nil || len(story) == 0 {
		return state.Instant{}, err
	}
	return story[0].At, nil
}

// pageOf is the address of a task on the status page, as the client that asks
// reaches it.
func (x *exchange) pageOf(key state.Key) string {
	u := url.URL{Scheme: "http", Host: x.r.Host, Path: "/"}
	if x.r.TLS != nil {
		u.Scheme = "https"
	}
	// The prefix that a mux removed is the mount point of the handler.
	if asked, err := url.ParseRequestURI(x.r.RequestURI); err == nil {
		if mount, ok := strings.CutSuffix(asked.Path, x.r.URL.Path); ok {
			u.Path = mount + "/"
		}
	}
	return u.String() + "#/task?" + url.Values{"bk_biz_id": {key.Business}, "task_id": {key.Task}}.Encode()
}

// interventions is get_tasks_manual_intervention_state.
func (h *Handler) interventions(x *exchange) error {
	ids := x.params.listed()
	return x.respond("", func(s *sink) error {
		return x.each(s, ids, func(tree *state.Tree) error {
			s.field(`{"id":`, wireID(tree.Key().Task))
			s.field(`,"manual_intervention_required":`, waitsForPerson(tree))
			s.text("}")
			return nil
		})
	})
}

// waitsForPerson reports whether a task that has not ended has a node
// that is suspended, or that failed and will not be retried by itself.
func waitsForPerson(tree *state.Tree) bool {
	switch tree.State(0) {
	case state.Finished, state.Revoked:
		return false
	}
	for i := range tree.Len() {
		switch tree.State(i) {
		case state.Suspended:
			return true
		case state.Failed:
			if !tree.Node(i).RetryAt.IsSet() {
				return true
			}
		}
	}
	return false
}

// head is a node without its children, fields in the documented order.
type head struct {
	Retry        int    `json:"retry"`
	Name         string `json:"name"`
	FinishTime   string `json:"finish_time"`
	Skip         bool   `json:"skip"`
	StartTime    string `json:"start_time"`
	State        string `json:"state"`
	Version      string `json:"version"`
	ID           string `json:"id"`
	Loop         int    `json:"loop"`
	ElapsedTime  int64  `json:"elapsed_time"`
	ErrorIgnored bool   `json:"error_ignored"`
	Ignorable    bool   `json:"error_ignorable"`
	Refreshed    string `json:"state_refresh_at"`
}

func (h *Handler) head(tree *state.Tree, n *state.Node) head {
	return head{
		Retry: n.Retry(), Name: n.DisplayName(), FinishTime: h.wire(n.Finished), Skip: n.Skipped,
		StartTime: h.wire(n.Started), State: h.shown(tree)(n.Index).String(), Version: n.Version.String(),
		ID: h.query.NodeID(tree, n.Index), Loop: n.Loop, ElapsedTime: h.elapsed(&n.Attempt), ErrorIgnored: n.ErrorIgnored,
		Ignorable: n.ErrorIgnored, Refreshed: refreshed(n.Updated),
	}
}
