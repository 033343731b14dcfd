package statusctl

import (
	"context"
	"encoding/json"
	"time"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// reader answers questions about records, from a store or an engine: those of
// package query, and those that only a store can answer.
type reader struct {
	*query.Query
	store store.Reader
	zone  *time.Location
}

func newReader(from store.Reader, zone *time.Location) *reader {
	return &reader{query.New(from, &query.Options{Location: zone}), from, zone}
}

// convention is the reader's query with the requested convention.
func (r *reader) convention(failedFirst bool) *query.Query {
	if !failedFirst {
		return r.Query
	}
	return r.With(&query.Options{Location: r.zone, FailedFirst: true})
}

// status answers the protocol's status.
func (r *reader) status(ctx context.Context, q *statusRequest) (json.RawMessage, error) {
	return r.convention(q.failedFirst).AppendJSON(ctx, nil, q.business, q.task)
}

// historyAnswer is the protocol's answer to history: superseded attempts.
type historyAnswer struct {
	OK      bool            `json:"ok"`
	History []query.Attempt `json:"history"`
}

func (r *reader) history(ctx context.Context, node store.Ref) (historyAnswer, error) {
	answer := historyAnswer{OK: true, History: []query.Attempt{}}
	for a, err := range r.History(ctx, node) {
		if err != nil {
			return historyAnswer{}, err
		}
		answer.History = append(answer.History, a)
	}
	return answer, nil
}

// at is the task or node at a moment, or now if the moment is unset.
func (r *reader) at(ctx context.Context, business, task string, moment state.Instant) (store.Snapshot, error) {
	if moment.IsSet() {
		return r.AsOf(ctx, business, task, moment.Time())
	}
	return r.Snapshot(ctx, business, task)
}
