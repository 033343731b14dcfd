package httpapi

import (
	"encoding/json"
	"errors"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/strictjson"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

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
	Ignorable    bool   `json:"error_ignorable"`
	ExData       string `json:"ex_data"`
	nodeData
}

func (h *Handler) past(from *store.Attempt) past {
	a := &from.Attempt
	return past{
		StartTime: h.wire(a.Started), FinishTime: h.wire(a.Finished), ElapsedTime: h.elapsed(a),
		State: a.State.String(), Skip: a.Skipped, Retry: a.Retry(), Loop: a.Loop,
		Version: a.Version.String(), ErrorIgnored: a.ErrorIgnored, Ignorable: a.ErrorIgnored, ExData: a.Error, nodeData: dataOf(from.Input, from.Output),
	}
}

// nodeDetail is get_task_node_detail.
func (h *Handler) nodeDetail(x *exchange) error {
	snap, node, loop, err := x.nodeAndLoop()
	var unknown *questionError
	if errors.As(err, &unknown) && unknown.code == codeNotFound && snap.Tree != nil && loop <= 1 {
		x.task = snap.Tree.Key().Task // task_id may have named a node
		return h.notYetRun(x, err)
	}
	if err != nil {
		return err
	}
	if loop != 0 && loop != node.Loop {
		return h.loopDetail(x, &snap, &node, loop)
	}
	fields := (h.opts.Query.Fields | detailFields) &^ query.FieldExData
	in, out, err := x.data(snap.Tree, &node, &node.Attempt)
	if err != nil {
		return err
	}
	data := dataOf(in, out)
	return x.respond("", func(s *sink) error {
		s.open(h.with(fields), snap.Tree, node.Index)
		// Here ex_data is the text of the one node.
		s.field(`,"ex_data":`, node.Error)
		s.field(`,"inputs":`, data.Inputs)
		s.field(`,"outputs":`, data.Outputs)
		s.text(`,"histories":[`)
		err := x.attempts(snap.Tree, &node, true, func(a *store.Attempt) {
			if loop == 0 || a.Loop == loop {
				s.element(h.past(a))
			}
		})
		s.text("]}")
		return err
	})
}

// lastOf is the last attempt of an earlier loop of a node.
func (x *exchange) lastOf(snap *store.Snapshot, node *state.Node, loop int) (last *state.Attempt, err error) {
	err = x.attempts(snap.Tree, node, false, func(a *store.Attempt) {
		if a.Loop == loop {
			last = &a.Attempt
		}
	})
	if err == nil && last == nil {
		err = missing("node %q has no loop %d", node.ID, loop)
	}
	return last, err
}

// loopDetail is the last attempt of an earlier loop, with those before it in the
// same loop.
func (h *Handler) loopDetail(x *exchange, snap *store.Snapshot, node *state.Node, loop int) error {
	last, err := x.lastOf(snap, node, loop)
	if err != nil {
		return err
	}
	return x.respond("", func(s *sink) error {
		var head past
		s.text(`{"histories":[`)
		err := x.attempts(snap.Tree, node, true, func(a *store.Attempt) {
			switch {
			case a.Version == last.Version:
				head = h.past(a)
			case a.Loop == loop:
				s.element(h.past(a))
			}
		})
		s.text("],")
		rest := appendJSON(nil, struct {
			past
			Name     string   `json:"name"`
			ID       string   `json:"id"`
			Children struct{} `json:"children"`
		}{head, node.DisplayName(), h.query.NodeID(snap.Tree, node.Index), struct{}{}})
		s.text(string(rest[1:]))
		return err
	})
}

// notYetRun answers for a node that the definition has and the record does not
// have yet; otherwise it is unknown.
func (h *Handler) notYetRun(x *exchange, unknown error) error {
	id := x.params.plain("node_id")
	definition, err := h.taskInput(x)
	if err != nil {
		return err
	}
	name, ok := defined(definition, id, 0)
	if !ok {
		return unknown
	}
	return x.respond("", func(s *sink) error {
		a := store.Attempt{Attempt: state.Attempt{State: state.Created, Loop: 1}}
		head := appendJSON(nil, struct {
			past
			Name      string   `json:"name"`
			ID        string   `json:"id"`
			Children  struct{} `json:"children"`
			Histories []past   `json:"histories"`
		}{h.past(&a), name, id, struct{}{}, []past{}})
		s.text(string(head))
		return nil
	})
}

// definitionMost is how many levels of a definition are looked at, and how many
// nodes a level may have.
const (
	definitionLevels = 100
	definitionNodes  = 100_000
)

// defined looks for a node in a pipeline tree, by its ID, and in the
// subprocesses of it, and returns its name.
func defined(tree json.RawMessage, id string, level int) (name string, ok bool) {
	parts, err := strictjson.Fields(tree, definitionNodes)
	if err != nil || level > definitionLevels {
		return "", false
	}
	type node struct {
		ID       string          `json:"id"`
		Name     string          `json:"name"`
		Pipeline json.RawMessage `json:"pipeline"`
	}
	for _, part := range []string{"start_event", "end_event"} {
		var n node
		if json.Unmarshal(parts[part], &n) == nil && n.ID == id {
			return n.Name, true
		}
	}
	for _, part := range []string{"activities", "gateways"} {
		nodes, _ := strictjson.Fields(parts[part], definitionNodes)
		for key, raw := range nodes {
			var n node
			if json.Unmarshal(raw, &n) != nil {
				continue
			}
			if key == id {
				return n.Name, true
			}
			if n.Pipeline != nil {
				if name, ok := defined(n.Pipeline, id, level+1); ok {
					return name, true
				}
			}
		}
	}
	return "", false
}
