package store

import (
	"context"
	"fmt"

	"github.com/pipestatus/pipestatus/state"
)

// Attempt is an attempt of a node with its data. Input and Output are nil if it has
// none; the query decides whether they hold their bytes.
type Attempt struct {
	state.Attempt
	// Current says that it is the node's current attempt, the last one.
	Current       bool
	Input, Output *state.Data
}

// Equal reports whether two attempts are the same, with the same data.
func (a *Attempt) Equal(b *Attempt) bool {
	return a.Attempt == b.Attempt && a.Current == b.Current && a.Input.Equal(b.Input) && a.Output.Equal(b.Output)
}

// AttemptQuery selects attempts of a node, oldest first. The zero AttemptQuery
// selects the first [DefaultLimit].
type AttemptQuery struct {
	Skip  int // how many to leave out; 0 or less: none
	Limit int // 0 or less: DefaultLimit
	// Data asks for the bytes of inputs and outputs as well. A page then ends
	// once they are [DataPage] bytes or more.
	Data bool
}

// DataPage bounds the bytes of data in a page of attempts, except for its last
// attempt.
const DataPage = 1 << 20

// Bounds is Skip and Limit with the defaults, for stores.
func (q AttemptQuery) Bounds() (skip, limit int) { return max(q.Skip, 0), pageLimit(q.Limit) }

// Full reports whether a page should end, for stores.
func (q AttemptQuery) Full(page []Attempt) bool {
	if _, limit := q.Bounds(); len(page) >= limit {
		return true
	}
	bytes := 0
	for i := range page {
		bytes += len(page[i].Input.Bytes()) + len(page[i].Output.Bytes())
	}
	return bytes >= DataPage
}

// Superseded reads superseded attempts of a node, oldest first and without their
// data. skip and limit are those of an [AttemptQuery].
func Superseded(ctx context.Context, r Reader, ref Ref, skip, limit int) ([]state.Attempt, error) {
	page, err := r.Attempts(ctx, ref, AttemptQuery{Skip: skip, Limit: limit})
	if err != nil {
		return nil, err
	}
	var list []state.Attempt
	for i := range page {
		if !page[i].Current {
			list = append(list, page[i].Attempt)
		}
	}
	return list, nil
}

// AttemptData reads the input and output of the attempt of a node with a number,
// see [state.Attempt.Number], with their bytes. An error matches
// [state.ErrNotFound] if there is no such attempt.
func AttemptData(ctx context.Context, r Reader, ref Ref, number int) (input, output *state.Data, err error) {
	page, err := r.Attempts(ctx, ref, AttemptQuery{Skip: number - 1, Limit: 1, Data: true})
	switch {
	case err != nil:
		return nil, nil, err
	case len(page) == 0 || page[0].Number() != number:
		return nil, nil, notFound(ref)
	}
	return page[0].Input, page[0].Output, nil
}

// WithData is a transition that was read from a store, with the bytes of its data,
// for import into another one: see [Write.Complete]. It is tr itself if there are
// none. The error matches [state.ErrNotFound] if the task was deleted, and
// [ErrCorrupt] if the attempt has other data.
func WithData(ctx context.Context, r Reader, tr *state.Transition) (*state.Transition, error) {
	if tr.Data == nil {
		return tr, nil
	}
	whole := *tr
	input, output, err := AttemptData(ctx, r, ByNode(tr.Node()), tr.Changes[0].Number())
	if whole.Data = input; tr.Output() != nil {
		whole.Data = output
	}
	if err == nil && !whole.Data.Equal(tr.Data) {
		err = fmt.Errorf("%w: transition %d of task %s has data of %s, its attempt of %s", ErrCorrupt, tr.Sequence, tr.Task, tr.Data, whole.Data)
	}
	return &whole, err
}
