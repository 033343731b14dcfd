package httpapi

import (
	"encoding/json"

	"github.com/pipestatus/pipestatus/query/strictjson"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// filters reads the conditions and the order of a list into q, except for the
// business, the cursor and the limit.
func (p params) filters(q *store.ListQuery) (err error) {
	if q.Shown, err = p.states("state"); err != nil {
		return err
	}
	for name, set := range map[string]*bool{
		"unfinished": &q.Unfinished, "has_failures": &q.HasFailures, "oldest_first": &q.OldestFirst,
	} {
		if *set, err = p.flag(name); err != nil {
			return err
		}
	}
	for name, at := range map[string]*state.Instant{
		"since": &q.Recorded.Since, "until": &q.Recorded.Until,
		"started_since": &q.Started.Since, "started_until": &q.Started.Until,
		"finished_since": &q.Finished.Since, "finished_until": &q.Finished.Until,
	} {
		if *at, err = p.moment(name); err != nil {
			return err
		}
	}
	if q.Name, _, err = p.given("name"); err != nil {
		return err
	}
	q.Labels, err = p.labels("labels")
	return err
}

// labels is an optional object of texts, given as JSON.
func (p params) labels(name string) (state.Labels, error) {
	text, given, err := p.given(name)
	if err != nil || !given {
		return state.Labels{}, err
	}
	wrong := malformed("%s must be a JSON object of at most %d texts", name, state.MaxLabels)
	fields, err := strictjson.Fields([]byte(text), state.MaxLabels)
	if err != nil {
		return state.Labels{}, wrong
	}
	labels := make(map[string]string, len(fields))
	for key, raw := range fields {
		var value string
		if raw[0] != '"' || json.Unmarshal(raw, &value) != nil {
			return state.Labels{}, wrong
		}
		labels[key] = value
	}
	return state.LabelsOf(labels), nil
}
