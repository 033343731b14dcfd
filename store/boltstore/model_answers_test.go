package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// expectList checks that a list has the tasks that the model's headers match, in
// their order.
func (m *model) expectList(t testing.TB, s *Store, q store.ListQuery) {
	t.Helper()
	var got, want []uint64
	for t2, err := range store.Tasks(t.Context(), s, q) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, t2.Number)
	}
	for _, task := range m.tasks {
		if q.Matches(&task.header) {
			want = append(want, task.header.Number)
		}
	}
	slices.Sort(want)
	if !q.OldestFirst {
		slices.Reverse(want)
	}
	if !slices.Equal(got, want) {
		t.Errorf("list %+v has tasks %d, want %d", q, got, want)
	}
}

// datum identifies an input or output by node, attempt and direction.
type datum struct {
	node    string
	attempt int
	output  bool
}

// all reads all attempts of a node with their data.
func (task *modelTask) all(i int) (all []store.Attempt) {
	n := task.tree.Node(i)
	for j, a := range append(slices.Clone(task.attempts[n.ID]), n.Attempt) {
		all = append(all, store.Attempt{
			Attempt: a, Current: j == len(task.attempts[n.ID]),
			Input: task.data[datum{n.ID, j + 1, false}], Output: task.data[datum{n.ID, j + 1, true}],
		})
	}
	return all
}

// attemptsOf reads all attempts of a node with their data.
func attemptsOf(ctx context.Context, s *Store, node string) (all []store.Attempt, err error) {
	for {
		page, err := s.Attempts(ctx, store.ByNode(node), store.AttemptQuery{Skip: len(all), Data: true})
		if err != nil || len(page) == 0 {
			return all, err
		}
		all = append(all, page...)
	}
}

func sameAttempts(a, b []store.Attempt) bool {
	return slices.EqualFunc(a, b, func(a, b store.Attempt) bool {
		return a.Equal(&b) && bytes.Equal(a.Input.Bytes(), b.Input.Bytes()) && bytes.Equal(a.Output.Bytes(), b.Output.Bytes())
	})
}

// sizesOfData has sizes of inputs and outputs around those of pages and blocks,
// up to the default limit.
var sizesOfData = []int{0, 1, 1 << 10, 4095, 4096, 4097, state.DefaultDataBytes}

// addData adds data to a random operation if the model has sizes for it.
func (m *model) addData(r *rand.Rand, op *state.Op) {
	if len(m.sizes) == 0 || r.IntN(3) == 0 {
		return
	}
	b := make([]byte, m.sizes[r.IntN(len(m.sizes))])
	var word [8]byte
	for i := 0; i < len(b); i += 8 { // no sector or page equals its neighbors
		copy(b[i:], binary.LittleEndian.AppendUint64(word[:0], r.Uint64()))
	}
	switch op.Kind {
	case state.Create, state.Start, state.Loop:
		op.Input = state.NewData(b)
	case state.Finish, state.Fail, state.Skip:
		op.Output = state.NewData(b)
	}
}
