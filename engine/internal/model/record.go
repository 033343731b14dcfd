package model

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// payload has the input and output of an attempt; nil means no data, which differs
// from an empty one.
type payload struct{ input, output []byte }

// Attempt is an attempt with its data.
type Attempt struct {
	state.Attempt
	Current       bool
	Input, Output []byte
}

// bring sets the operation's data in the current attempt.
func (n *node) bring(op state.Op) {
	d := &n.data[len(n.data)-1]
	if op.Input != nil {
		d.input = op.Input.Bytes()
	}
	if op.Output != nil {
		d.output = op.Output.Bytes()
	}
}

// label changes the labels of a task.
func (s *Store) label(t *task, op state.Op) (Outcome, string) {
	root, code := s.named(t, op)
	if code != "" {
		return Outcome{}, code
	}
	labels := maps.Clone(t.labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Insert(labels, op.Labels.All())
	for _, key := range op.Unlabel {
		delete(labels, key)
	}
	if len(labels) > 32 {
		return Outcome{}, InvalidArgument
	}
	out := Outcome{Node: root.id, Repeat: op.Idempotent && maps.Equal(labels, t.labels)}
	t.labels = labels
	return out, ""
}

// entry returns the log's entry for an operation on a node, after it was
// applied to t.
func (t *task) entry(op state.Op, node string) Entry {
	e := Entry{
		Sequence: t.revision, Task: t.key, Op: op.Kind, Node: node, At: given(op), Actor: op.Actor,
		Shown: t.shown(t.nodes[0], false), Pending: t.pending(),
	}
	switch op.Kind {
	case state.Label:
		e.Node, e.Labels = "", labelText(t.labels)
	case state.Create:
		e.Labels = labelText(t.labels)
	}
	if op.Kind != state.Label {
		e.At = t.find(node).last
	}
	for _, d := range []*state.Data{op.Input, op.Output} {
		if d != nil {
			sum := sha256.Sum256(d.Bytes())
			e.Data = dataText(len(d.Bytes()), sum[:16])
		}
	}
	return e
}

func dataText(size int, digest []byte) string { return fmt.Sprintf("%d bytes %x", size, digest) }

func labelText(labels map[string]string) string { return fmt.Sprintf("%q", labels) }

// Attempts returns all attempts of a node with their data, oldest first; none
// for an unknown node.
func (s *Store) Attempts(id string) (all []Attempt) {
	for _, t := range s.tasks {
		n := t.find(id)
		if n == nil {
			continue
		}
		for i, a := range n.attempts {
			all = append(all, Attempt{a, i == len(n.attempts)-1, n.data[i].input, n.data[i].output})
		}
	}
	return all
}

// AttemptOf returns a real attempt in the model's form.
func AttemptOf(a *store.Attempt) Attempt {
	return Attempt{a.Attempt, a.Current, a.Input.Bytes(), a.Output.Bytes()}
}

// List returns the headers of the tasks that a query selects, in its order and
// regardless of its pages. Those of different logs are merged by the times of their
// recording.
func (s *Store) List(q store.ListQuery) (list []Header) {
	logs := make([][]Header, store.MaxLogs)
	for _, key := range s.Keys() {
		h, _ := s.Header(key)
		if s.selects(&q, &h) {
			at := store.LogOf(h.Number)
			logs[at] = append(logs[at], h)
		}
	}
	if !q.OldestFirst {
		for _, log := range logs {
			slices.Reverse(log)
		}
	}
	for {
		next := -1
		for i, log := range logs {
			if len(log) > 0 && (next < 0 || earlier(log[0].Recorded, logs[next][0].Recorded, q.OldestFirst)) {
				next = i
			}
		}
		if next < 0 {
			return list
		}
		list, logs[next] = append(list, logs[next][0]), logs[next][1:]
	}
}

// earlier reports whether a time comes before another one in a list.
func earlier(a, b state.Instant, oldestFirst bool) bool {
	if oldestFirst {
		return b.After(a)
	}
	return a.After(b)
}

func (s *Store) selects(q *store.ListQuery, h *Header) bool {
	for key, value := range q.Labels.All() {
		if got, ok := s.tasks[h.Key].labels[key]; !ok || got != value {
			return false
		}
	}
	return (q.Business == "" || q.Business == h.Key.Business) &&
		(len(q.Shown) == 0 || slices.Contains(q.Shown, h.Shown)) &&
		(!q.Unfinished || h.Unfinished) && (!q.HasFailures || h.HasFailures) &&
		(q.Name == "" || q.Name == h.Name) &&
		within(q.Recorded, h.Recorded) && within(q.Started, h.Started) && within(q.Finished, h.Finished)
}

// within reports whether a time is in a span, which includes its beginning and
// not its end. An unset time is only in a span without bounds.
func within(span store.Span, at state.Instant) bool {
	if !at.IsSet() {
		return !span.Since.IsSet() && !span.Until.IsSet()
	}
	early := span.Since.IsSet() && span.Since.After(at)
	late := span.Until.IsSet() && !span.Until.After(at)
	return !early && !late
}
