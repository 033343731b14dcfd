package query

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/pipestatus/pipestatus/state"
)

// fieldsOf are the requested fields that node i has.
func (r *renderer) fieldsOf(i int, n *state.Node) Fields {
	f := r.fields
	if i != r.root {
		f &^= FieldExData | FieldRevision | FieldLabels
	}
	if !n.Kind.Container() {
		f &^= FieldCounts
	}
	return f
}

// wholeSeconds is s seconds, or the most whole seconds that a Duration holds.
func wholeSeconds(s int64) time.Duration {
	const most = int64(math.MaxInt64/time.Second) - 1
	return time.Duration(max(-most, min(s, most))) * time.Second
}

// appendFields appends the extra fields of node i, each with a comma before it.
func (r *renderer) appendFields(dst []byte, i int) []byte {
	s := r.describe(i, r.after[:0])
	r.after = s.After
	return s.appendFields(dst, func(dst []byte) []byte { return r.appendErrors(dst, i) })
}

// appendErrors appends the ID and error of each failed node in node i.
func (r *renderer) appendErrors(dst []byte, i int) []byte {
	if r.tree.State(i) == state.Failed {
		n := r.tree.Node(i)
		dst = r.emit(appendError(dst, r.id(i), n.Error))
	}
	for c := range r.tree.Children(i) {
		dst = r.appendErrors(dst, c)
	}
	return dst
}

// appendFields appends the extra fields of s, each with a comma before it. errors
// appends those of ex_data.
func (s *Status) appendFields(dst []byte, errors func([]byte) []byte) []byte {
	if s.Fields&FieldElapsedTime != 0 {
		dst = strconv.AppendInt(append(dst, `,"elapsed_time":`...), int64(s.Elapsed/time.Second), 10)
	}
	if s.Fields&FieldErrorIgnored != 0 {
		dst = strconv.AppendBool(append(dst, `,"error_ignored":`...), s.ErrorIgnored)
	}
	if s.Fields&FieldErrorIgnorable != 0 {
		dst = strconv.AppendBool(append(dst, `,"error_ignorable":`...), s.ErrorIgnored)
	}
	if s.Fields&FieldStateRefreshAt != 0 {
		dst = append(appendRefresh(append(dst, `,"state_refresh_at":"`...), s.Updated), '"')
	}
	if s.Fields&FieldExData != 0 {
		dst = append(errors(append(dst, `,"ex_data":{`...)), '}')
	}
	if s.Fields&FieldKind != 0 {
		dst = appendString(append(dst, `,"kind":`...), s.Kind.String())
	}
	if s.Fields&FieldRevision != 0 {
		dst = appendRevision(dst, s.Revision)
	}
	if s.Fields&FieldRetryAt != 0 {
		dst = append(appendTime(append(dst, `,"retry_at":"`...), s.RetryAt), '"')
	}
	if s.Fields&FieldCounts != 0 {
		dst = appendCounts(dst, &s.Counts)
	}
	if s.Fields&FieldKey != 0 {
		dst = appendString(append(dst, `,"key":`...), s.Key)
	}
	if s.Fields&FieldEdges != 0 {
		dst = append(dst, `,"after":[`...)
		for i, id := range s.After {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(dst, id)
		}
		dst = appendString(append(dst, `],"from":`...), s.From)
	}
	if s.Fields&FieldNote != 0 {
		dst = appendString(append(dst, `,"note":`...), s.Note)
	}
	if s.Fields&FieldLabels != 0 {
		dst = appendLabels(dst, s.Labels)
	}
	return dst
}

// appendErrors appends the ID and error of each failed node in s, of several with
// the same ID the first: answers of other servers can repeat an ID.
func (s *Status) appendErrors(dst []byte, seen map[string]bool) []byte {
	if s.OwnState == state.Failed && !seen[s.ID] {
		seen[s.ID] = true
		dst = appendError(dst, s.ID, s.Error)
	}
	for _, c := range s.Children {
		if c != nil {
			dst = c.appendErrors(dst, seen)
		}
	}
	return dst
}

func appendRevision(dst []byte, revision uint64) []byte {
	return strconv.AppendUint(append(dst, `,"revision":`...), revision, 10)
}

// appendError appends a failed node to the object that exData began. dst can be
// empty only after an earlier node.
func appendError(dst []byte, id, text string) []byte {
	if len(dst) == 0 || dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	return appendString(append(appendString(dst, id), ':'), text)
}

// appendCounts appends the states with a count above 0.
func appendCounts(dst []byte, counts *state.Counts) []byte {
	dst = append(dst, `,"counts":{`...)
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

// appendLabels appends labels in the order of their keys.
func appendLabels(dst []byte, labels map[string]string) []byte {
	dst = append(dst, `,"labels":{`...)
	for i, key := range slices.Sorted(maps.Keys(labels)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(appendKey(dst, key), labels[key])
	}
	return append(dst, '}')
}

// labelsOf is labels as a map, nil without labels.
func labelsOf(l state.Labels) map[string]string {
	if l.Len() == 0 {
		return nil
	}
	return maps.Collect(l.All())
}
