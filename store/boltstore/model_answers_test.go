package boltstore

import (
	"context"
	"slices"
	"testing"

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

// datum is whose input or output data is: of which attempt of which node.
type datum struct {
	node    string
	attempt int
	output  bool
}

// all is all attempts of a node with their data.
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
	return slices.EqualFunc(a, b, func(a, b store.Attempt) bool { return a.Equal(&b) })
}
