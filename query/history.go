package query

import (
	"context"
	"errors"
	"fmt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Attempt is one execution of a node. Times are in TimeLayout, "" if unset.
type Attempt struct {
	Loop       int    `json:"loop"`
	Retry      int    `json:"retry"` // retries and skips before it
	Skip       bool   `json:"skip"`
	State      string `json:"state"` // own state
	Version    string `json:"version"`
	StartTime  string `json:"start_time"`
	FinishTime string `json:"finish_time"`
	Error      string `json:"error"`
}

// History returns the superseded attempts of a node, oldest first, as they
// were before the operation that superseded each. The current attempt is not
// among them; [Query.Status] has it. The list is empty, not nil, if there are
// none. An unknown node is an error that matches [state.ErrNotFound].
//
// A node ID is unique in a store, so no business is asked for: whoever answers
// for one business only makes sure of the node with [Query.Snapshot] first.
func (q *Query) History(ctx context.Context, node string) ([]Attempt, error) {
	if err := state.CheckID("node ID", node); err != nil {
		return nil, wrap(err)
	}
	face := clockFace{loc: q.opts.Location}
	list := []Attempt{}
	for {
		page, err := q.reader.Attempts(ctx, node, len(list), 0)
		if errors.Is(err, state.ErrNotFound) {
			return nil, fmt.Errorf("query: %w: node %q", state.ErrNotFound, node)
		}
		if err != nil {
			return nil, wrap(err)
		}
		for i := range page {
			list = append(list, face.attempt(&page[i]))
		}
		if len(page) < store.DefaultLimit {
			return list, nil
		}
	}
}

func (c *clockFace) attempt(a *state.Attempt) Attempt {
	return Attempt{
		Loop: a.Loop, Retry: a.Retry(), Skip: a.Skipped, State: a.State.String(), Version: a.Version.String(),
		StartTime: c.format(a.Started), FinishTime: c.format(a.Finished), Error: a.Error,
	}
}
