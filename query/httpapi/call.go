package httpapi

import (
	"context"
	"errors"
	"time"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// taskStatus is get_task_status.
func (h *Handler) taskStatus(x *exchange) error {
	if err := h.target(x); err != nil {
		return err
	}
	withErrors, err := x.params.flag("with_ex_data")
	if err != nil {
		return err
	}
	fields := h.opts.Query.Fields
	if withErrors {
		fields |= query.FieldExData
	}
	// An elapsed time is another one each second, at the same revision.
	tagged := fields&query.FieldElapsedTime == 0
	if tagged {
		if fresh, err := h.fresh(x); fresh || err != nil {
			return err
		}
	}
	snap, err := x.now(0)
	if err != nil {
		return err
	}
	tag := ""
	if tagged {
		tag = x.etag(snap.Tree.Key(), snap.Tree.Revision())
	}
	return x.respond(tag, func(s *sink) error {
		s.tree(h.with(fields), snap.Tree, snap.Index)
		return nil
	})
}

// with is the query with other fields.
func (h *Handler) with(fields query.Fields) *query.Query {
	o := *h.opts.Query
	o.Fields = fields
	return h.query.With(&o)
}

// fresh answers a client that has the task's present revision already, without
// reading the tree.
func (h *Handler) fresh(x *exchange) (bool, error) {
	if x.r.Header.Get("If-None-Match") == "" {
		return false, nil
	}
	at, err := h.locate(x.r.Context(), x.business, x.task)
	if err != nil {
		return false, err
	}
	return x.unchanged(x.etag(at.Key, at.Revision)), nil
}

// locate finds a task or node as [query.Query.Snapshot] does.
func (h *Handler) locate(ctx context.Context, business, task string) (store.Location, error) {
	at, err := h.reader.Locate(ctx, store.ByKey(business, task))
	if errors.Is(err, state.ErrNotFound) {
		at, err = h.reader.Locate(ctx, store.ByNode(task))
		if err == nil && at.Key.Business != business {
			err = state.ErrNotFound
		}
	}
	if errors.Is(err, state.ErrNotFound) {
		return at, &query.NotFoundError{Business: business, Task: task}
	}
	return at, err
}

// tasksMax is the documented limit of get_tasks_status.
const tasksMax = 50

// tasksStatus is get_tasks_status.
func (h *Handler) tasksStatus(x *exchange) error {
	if err := h.authorise(x); err != nil {
		return err
	}
	ids, err := x.params.ids("task_id_list", tasksMax)
	if err != nil {
		return err
	}
	children, err := x.params.flag("include_children_status")
	if err != nil {
		return err
	}
	return x.respond("", func(s *sink) error {
		s.text("[")
		more := false
		for _, id := range ids {
			// One after the other: no two are in memory for this.
			snap, err := x.load(0, func(ctx context.Context) (store.Snapshot, error) {
				return h.reader.Load(ctx, store.ByKey(x.business, id))
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
			h.summary(s, snap.Tree, children)
		}
		s.text("]")
		return s.err
	})
}

// summary is one task of get_tasks_status.
func (h *Handler) summary(s *sink, tree *state.Tree, children bool) {
	root := tree.Node(0)
	s.field(`{"id":`, tree.Key().Task)
	s.field(`,"name":`, root.DisplayName())
	if s.text(`,"status":`); children {
		s.tree(h.with(h.opts.Query.Fields|detailFields), tree, 0)
	} else {
		s.value(h.head(tree, &root))
	}
	s.field(`,"start_time":`, h.wire(root.Started))
	s.field(`,"finish_time":`, h.wire(root.Finished))
	s.text("}")
}

// detailFields are those that the later calls have by default.
const detailFields = query.FieldElapsedTime | query.FieldErrorIgnored

// head is a node without what is below it, fields in the documented order.
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
}

func (h *Handler) head(tree *state.Tree, n *state.Node) head {
	return head{
		Retry: n.Retry(), Name: n.DisplayName(), FinishTime: h.wire(n.Finished), Skip: n.Skipped,
		StartTime: h.wire(n.Started), State: h.shown(tree).of(n.Index).String(), Version: n.Version.String(),
		ID: n.ID, Loop: n.Loop, ElapsedTime: h.elapsed(&n.Attempt), ErrorIgnored: n.ErrorIgnored,
	}
}

// wire is a time as the documented calls write it.
func (h *Handler) wire(i state.Instant) string {
	if !i.IsSet() {
		return ""
	}
	return i.Time().In(h.location()).Format(query.TimeLayout)
}

func (h *Handler) location() *time.Location {
	if l := h.opts.Query.Location; l != nil {
		return l
	}
	return time.Local
}

func (h *Handler) now() state.Instant {
	if h.opts.Query.Now != nil {
		return state.InstantOf(h.opts.Query.Now())
	}
	return state.InstantOf(time.Now())
}

// elapsed is the whole seconds that an attempt has taken.
func (h *Handler) elapsed(a *state.Attempt) int64 {
	end := a.Finished
	if !end.IsSet() {
		end = h.now()
	}
	if !a.Started.IsSet() || !end.After(a.Started) {
		return 0
	}
	return int64(end.Time().Sub(a.Started.Time()) / time.Second)
}

// past is an attempt in the histories of get_task_node_detail.
type past struct {
	StartTime    string `json:"start_time"`
	FinishTime   string `json:"finish_time"`
	ElapsedTime  int64  `json:"elapsed_time"`
	State        string `json:"state"`
	Skip         bool   `json:"skip"`
	Retry        int    `json:"retry"`
	Loop         int    `json:"loop"`
	Version      string `json:"version"`
	ErrorIgnored bool   `json:"error_ignored"`
	ExData       string `json:"ex_data"`
}

// nodeDetail is get_task_node_detail.
func (h *Handler) nodeDetail(x *exchange) error {
	snap, node, err := x.node()
	if err != nil {
		return err
	}
	fields := (h.opts.Query.Fields | detailFields) &^ query.FieldExData
	return x.respond("", func(s *sink) error {
		s.open(h.with(fields), snap.Tree, node.Index)
		// Here ex_data is the text of the one node.
		s.field(`,"ex_data":`, node.Error)
		s.text(`,"histories":[`)
		first := true
		err := x.attempts(snap.Tree, &node, func(a *state.Attempt) {
			s.element(&first, past{
				StartTime: h.wire(a.Started), FinishTime: h.wire(a.Finished), ElapsedTime: h.elapsed(a),
				State: a.State.String(), Skip: a.Skipped, Retry: a.Retry(), Loop: a.Loop,
				Version: a.Version.String(), ErrorIgnored: a.ErrorIgnored, ExData: a.Error,
			})
		})
		s.text("]}")
		return err
	})
}
