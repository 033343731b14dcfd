package httpapi

import (
	"encoding/json"
	"errors"

	"github.com/pipestatus/pipestatus/query/strictjson"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// filters reads the conditions and the order of a list, except for the
// business, the cursor and the limit.
func (q *question) filters(list *store.ListQuery) {
	list.Shown = q.states("state")
	list.Unfinished, list.HasFailures, list.OldestFirst = q.flag("unfinished"), q.flag("has_failures"), q.flag("oldest_first")
	list.Recorded = store.Span{Since: q.moment("since"), Until: q.moment("until")}
	list.Started = store.Span{Since: q.moment("started_since"), Until: q.moment("started_until")}
	list.Finished = store.Span{Since: q.moment("finished_since"), Until: q.moment("finished_until")}
	list.Name, list.Labels = q.text("name"), q.labels("labels")
}

// labels is an optional object of texts, given as JSON.
func (q *question) labels(name string) state.Labels {
	text, given := q.given(name)
	if !given {
		return state.Labels{}
	}
	fields, err := strictjson.Fields([]byte(text), state.MaxLabels)
	labels := make(map[string]string, len(fields))
	for key, raw := range fields {
		var value string
		if raw[0] != '"' || json.Unmarshal(raw, &value) != nil {
			err = errors.New("no text")
		}
		labels[key] = value
	}
	if err != nil {
		q.fail(malformed("%s must be a JSON object of at most %d texts", name, state.MaxLabels))
	}
	return state.LabelsOf(labels)
}
