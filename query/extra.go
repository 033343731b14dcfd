package query

import (
	"strconv"

	"github.com/pipestatus/pipestatus/state"
)

// extra collects the extra fields of a node.
func (r *renderer) extra(i int, n *state.Node) (x Extra) {
	has := func(f Fields) bool { return r.fields&f != 0 }
	if has(FieldElapsedTime) {
		x.ElapsedTime = new(int64)
		*x.ElapsedTime = elapsed(n, r.now)
	}
	if has(FieldErrorIgnored) {
		x.ErrorIgnored = new(bool)
		*x.ErrorIgnored = n.ErrorIgnored
	}
	if has(FieldStateRefreshAt) {
		x.StateRefreshAt = new(string)
		*x.StateRefreshAt = r.face.format(n.Updated)
	}
	if has(FieldExData) && i == r.root {
		x.ExData = r.errors(i, []NodeError{})
	}
	if has(FieldKind) {
		x.Kind = n.Kind.String()
	}
	if has(FieldRevision) && i == r.root {
		x.Revision = new(uint64)
		*x.Revision = r.tree.Revision()
	}
	if has(FieldRetryAt) {
		x.RetryAt = new(string)
		*x.RetryAt = r.face.format(n.RetryAt)
	}
	if has(FieldCounts) && n.Kind.Container() {
		counts := r.tree.Counts(i)
		x.Counts = &counts
	}
	return x
}

// elapsed is the whole seconds that an attempt has taken.
func elapsed(n *state.Node, now state.Instant) int64 {
	end := n.Finished
	if !end.IsSet() {
		end = now
	}
	if !n.Started.IsSet() || !end.After(n.Started) {
		return 0
	}
	from, fromNano := n.Started.Unix()
	to, toNano := end.Unix()
	if toNano < fromNano {
		to--
	}
	return to - from
}

// errors collects the failed nodes in node i.
func (r *renderer) errors(i int, list []NodeError) []NodeError {
	if r.tree.State(i) == state.Failed {
		n := r.tree.Node(i)
		list = append(list, NodeError{n.ID, n.Error})
	}
	for c := range r.tree.Children(i) {
		list = r.errors(c, list)
	}
	return list
}

// append appends the fields that are there, each with a comma before it.
func (x *Extra) append(dst []byte) []byte {
	if x.ElapsedTime != nil {
		dst = strconv.AppendInt(append(dst, `,"elapsed_time":`...), *x.ElapsedTime, 10)
	}
	if x.ErrorIgnored != nil {
		dst = strconv.AppendBool(append(dst, `,"error_ignored":`...), *x.ErrorIgnored)
	}
	if x.StateRefreshAt != nil {
		dst = appendString(append(dst, `,"state_refresh_at":`...), *x.StateRefreshAt)
	}
	if x.ExData != nil {
		dst = append(dst, `,"ex_data":{`...)
		for i, e := range x.ExData {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(append(appendString(dst, e.ID), ':'), e.Error)
		}
		dst = append(dst, '}')
	}
	if x.Kind != "" {
		dst = appendString(append(dst, `,"kind":`...), x.Kind)
	}
	if x.Revision != nil {
		dst = strconv.AppendUint(append(dst, `,"revision":`...), *x.Revision, 10)
	}
	if x.RetryAt != nil {
		dst = appendString(append(dst, `,"retry_at":`...), *x.RetryAt)
	}
	if x.Counts != nil {
		dst = appendCounts(append(dst, `,"counts":`...), x.Counts)
	}
	return dst
}

// appendCounts appends the states of which there are any.
func appendCounts(dst []byte, counts *state.Counts) []byte {
	dst = append(dst, '{')
	first := true
	for s := state.Created; s <= state.Finished; s++ {
		if counts[s] == 0 {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(append(append(dst, '"'), s.String()...), `":`...)
		dst = strconv.AppendInt(dst, int64(counts[s]), 10)
	}
	return append(dst, '}')
}
