package httpapi

import (
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// statusAsked holds the parameters of get_task_status other than the task.
type statusAsked struct {
	subprocess       string // "" for what task_id names
	loop             int    // 0 if it is left open
	fields           query.Fields
	failed, retrying bool // with_failed_node_info, with_auto_retry_status
}

func (x *exchange) statusAsked() (a statusAsked, err error) {
	q := &x.params
	q.scope()
	a.fields, a.failed, a.retrying = x.h.opts.Query.Fields, q.flag("with_failed_node_info"), q.flag("with_auto_retry_status")
	if q.flag("with_ex_data") {
		a.fields |= query.FieldExData
	}
	if q.plain("subprocess_id") != "" {
		a.subprocess = q.nodeID("subprocess_id")
	}
	a.loop = q.number("loop", 0, loopMost)
	return a, q.err
}

// loopMost is as often as a node loops at most.
const loopMost = 1<<31 - 1

// taskStatus is get_task_status.
func (h *Handler) taskStatus(x *exchange) error {
	asked, err := x.statusAsked()
	if err != nil {
		return err
	}
	// An elapsed time is another one each second, at the same revision.
	tagged := asked.fields&query.FieldElapsedTime == 0
	if tagged {
		if fresh, err := h.fresh(x); fresh || err != nil {
			return err
		}
	}
	snap, err := x.now(nil)
	if err != nil {
		return err
	}
	if err := x.choose(&snap, &asked); err != nil {
		return err
	}
	tag := ""
	if tagged {
		tag = x.etag(snap.Tree.Key(), snap.Tree.Revision())
	}
	return x.respond(tag, func(s *sink) error {
		s.open(h.with(asked.fields), snap.Tree, snap.Index)
		h.failures(s, &snap, &asked)
		s.text("}")
		return nil
	})
}

// choose selects the requested node within the task.
func (x *exchange) choose(snap *store.Snapshot, a *statusAsked) error {
	if a.subprocess != "" {
		i, ok := snap.Tree.Named(a.subprocess)
		if !ok || !snap.Tree.Node(i).Kind.Container() {
			return missing("task %q of business %q has no subprocess %q", x.task, x.business, a.subprocess)
		}
		snap.Index = i
	}
	if at := snap.Tree.View(snap.Index).Loop(); a.loop != 0 && a.loop != at {
		return missing("loop is %d by now: get_task_node_detail tells of loop %d", at, a.loop)
	}
	return nil
}

// failures adds the requested details about the nodes below that show FAILED. For a
// node that waits for its automatic retry, the number of retries is less than the
// maximum, which clients check; other nodes have no such numbers.
func (h *Handler) failures(s *sink, snap *store.Snapshot, a *statusAsked) {
	if !a.failed && !a.retrying {
		return
	}
	shown := h.shown(snap.Tree)
	var waiting []string
	if a.failed {
		s.text(`,"failed_node_info":{`)
	}
	for i := range snap.Tree.Within(snap.Index) {
		if i == snap.Index || shown(i) != state.Failed || s.err != nil {
			continue
		}
		n, id := snap.Tree.Node(i), h.query.NodeID(snap.Tree, i)
		if n.RetryAt.IsSet() {
			waiting = append(waiting, id)
		}
		if a.failed {
			s.element(id)
			s.text(":")
			s.value(failureOf(&n, id))
		}
	}
	if a.failed {
		s.text("}")
	}
	if a.retrying {
		s.field(`,"auto_retry_status":{"exist_auto_retry_nodes":`, len(waiting) > 0)
		s.field(`,"auto_retry_nodes":`, append([]string{}, waiting...))
		s.text("}")
	}
}

// failureOf is the entry of a node in failed_node_info.
func failureOf(n *state.Node, id string) any {
	if !n.RetryAt.IsSet() {
		return struct{}{}
	}
	return struct {
		Node string `json:"node_id"`
		Done int    `json:"auto_retry_times"`
		Max  int    `json:"max_auto_retry_times"`
	}{id, n.Retries, n.Retries + 1}
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
	at, err := h.query.Locate(x.r.Context(), x.business, x.task)
	if err != nil {
		return false, err
	}
	return x.unchanged(x.etag(at.Key, at.Revision)), nil
}
