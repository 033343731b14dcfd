package httpapi

import (
	"maps"
	"slices"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// The data of the status page. Times are RFC 3339, absent when unset.

// node is a node in a list.
type node struct {
	Index  int    `json:"index"`
	Parent int    `json:"parent"` // index, -1 for the root
	ID     string `json:"id"`
	Kind   string `json:"kind"`
	Name   string `json:"name,omitempty"` // absent if none was given
	Key    string `json:"key,omitempty"`  // the runner's name for it
	// After are the indices of the siblings that lead to it.
	After []int  `json:"after,omitempty"`
	Note  string `json:"note,omitempty"` // the reason of its suspension
	attempt
	Counts map[string]int `json:"counts,omitempty"` // containers: leaves below, by state
}

// attempt is one execution of a node.
type attempt struct {
	State        string `json:"state"` // as shown; of superseded attempts, the own one
	Version      string `json:"version,omitempty"`
	Loop         int    `json:"loop"`
	Retry        int    `json:"retry,omitempty"` // retries and skips so far
	Retries      int    `json:"retries,omitempty"`
	Skips        int    `json:"skips,omitempty"`
	Skip         bool   `json:"skip,omitempty"`
	ErrorIgnored bool   `json:"error_ignored,omitempty"`
	StartTime    string `json:"start_time,omitempty"`
	FinishTime   string `json:"finish_time,omitempty"`
	Error        string `json:"error,omitempty"`
	RetryAt      string `json:"retry_at,omitempty"`
	// From is the index of the sibling that led to the attempt, which may have
	// been created later.
	From      int  `json:"from,omitempty"`
	Current   bool `json:"current,omitempty"` // in a history: not superseded
	*recorded      // in a history
}

// story is a task at one moment, followed by all its nodes in the order of creation.
type story struct {
	Business string `json:"bk_biz_id"`
	Task     string `json:"task_id"`
	Node     string `json:"node_id"` // the one that was asked for
	State    string `json:"state"`
	Position string `json:"position"`
	Now      string `json:"now"`
	Operable bool   `json:"operable,omitempty"` // the caller may operate it
	Labels   labels `json:"labels,omitempty"`
	Last     *step  `json:"last"` // the transition that led here
}

// step is a transition without its changes.
type step struct {
	Op       string `json:"op"`
	Node     string `json:"node_id"`
	Time     string `json:"time"`
	Recorded string `json:"recorded_time"`
	Actor    string `json:"actor,omitempty"`
}

// moved is a transition in an event. Nodes holds the changed nodes and the containers
// above them, as of after the transition or, for a client that catches up, later;
// Superseded holds the attempts it ended.
type moved struct {
	Position string `json:"position"`
	step
	State      string       `json:"state"` // what the task shows
	Now        string       `json:"now"`
	Nodes      []node       `json:"nodes"`
	Superseded []superseded `json:"superseded,omitempty"`
	// Labels are those of the task after a transition that changes them, nil
	// after others.
	Labels *labels `json:"labels,omitempty"`
}

// labels are those of a task.
type labels map[string]string

func labelsOf(l state.Labels) labels { return maps.Collect(l.All()) }

// superseded is an attempt that is not the current one, of a node by its ID. They
// come as lists and not as fields, because an ID may be any text and a field name may
// have a meaning for a client.
type superseded struct {
	Node string `json:"node_id"`
	attempt
}

// shown returns the state that a node of a tree shows, by the handler's convention.
func (h *Handler) shown(tree *state.Tree) func(i int) state.State {
	return tree.ShownBy(h.opts.Query.FailedFirst)
}

func (h *Handler) node(tree *state.Tree, shown func(i int) state.State, i int) node {
	n := tree.Node(i)
	row := node{
		Index: i, Parent: n.ParentIndex, ID: n.ID, Kind: n.Kind.String(), Name: n.Name,
		Key: n.Key, After: slices.Collect(n.After.All()), Note: n.Note,
		attempt: h.attempt(&n.Attempt, shown(i)),
	}
	if n.Kind.Container() {
		counts := tree.Counts(i)
		row.Counts = byName(&counts)
	}
	return row
}

func (h *Handler) attempt(a *state.Attempt, shown state.State) attempt {
	return attempt{
		State: shown.String(), Version: a.Version.String(), Loop: a.Loop, Retry: a.Retry(), Retries: a.Retries, Skips: a.Skips, Skip: a.Skipped,
		ErrorIgnored: a.ErrorIgnored, StartTime: h.time(a.Started), FinishTime: h.time(a.Finished),
		Error: a.Error, RetryAt: h.time(a.RetryAt), From: a.CameFrom,
	}
}

// time is a moment in RFC 3339, "" if unset.
func (h *Handler) time(i state.Instant) string {
	if !i.IsSet() {
		return ""
	}
	return i.In(h.location()).Format(time.RFC3339Nano)
}

func byName(c *state.Counts) map[string]int {
	m := make(map[string]int)
	for s := state.Created; s.Valid(); s++ {
		if c[s] > 0 {
			m[s.String()] = c[s]
		}
	}
	return m
}

// story is a whole tree; last is the transition that led to it, nil if unknown.
func (x *exchange) story(s *sink, snap store.Snapshot, last *state.Transition) {
	h := x.h
	tree, shown := snap.Tree, h.shown(snap.Tree)
	head := story{
		Business: tree.Key().Business, Task: tree.Key().Task, Node: tree.ID(snap.Index),
		State: shown(0).String(), Position: h.position(snap), Now: h.time(h.now()),
		Labels: labelsOf(tree.Labels()),
	}
	head.Operable = h.mayOperate(x, Operation{Business: head.Business, Task: head.Task, Actor: x.who.User, Action: Pause})
	if last != nil {
		step := h.step(last)
		head.Last = &step
	}
	opened := appendJSON(nil, head)
	s.text(string(opened[:len(opened)-1]) + `,"nodes":[`)
	for i := 0; i < tree.Len() && s.err == nil; i++ {
		s.element(h.node(tree, shown, i))
	}
	s.text("]}")
}

func (h *Handler) step(tr *state.Transition) step {
	return step{
		Op: tr.Op.String(), Node: tr.Node(),
		Time: h.time(tr.At), Recorded: h.time(tr.Recorded), Actor: tr.Actor,
	}
}

// position is the position of a snapshot's tree. Entity tags and cursors are valid
// for one open store, a position also for the next.
func (h *Handler) position(snap store.Snapshot) string {
	revision := snap.Tree.Revision()
	return h.positions.seal(snap.Tree.Key(), snap.Position.HistoryOf(revision), revision)
}

// moved is a transition of a history, with the values in a tree at or after it.
func (h *Handler) moved(tree *state.Tree, tr *state.Transition, of store.History) moved {
	shown := h.shown(tree)
	m := moved{
		Position: h.positions.seal(tr.Task, of, tr.Sequence), step: h.step(tr),
		State: shown(0).String(), Now: h.time(h.now()), Nodes: []node{},
	}
	if tr.Op == state.Label {
		changed := labelsOf(tr.Labels)
		m.Labels = &changed
	}
	told := make(map[int]bool)
	for i := range tr.Changes {
		c := &tr.Changes[i]
		if c.Superseded != nil {
			m.Superseded = append(m.Superseded, superseded{c.ID, h.attempt(c.Superseded, c.Superseded.State)})
		}
		for at := c.Index; at >= 0 && !told[at]; at = tree.Parent(at) {
			told[at] = true
			m.Nodes = append(m.Nodes, h.node(tree, shown, at))
		}
	}
	return m
}
