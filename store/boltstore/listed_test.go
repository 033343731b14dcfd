package boltstore

import (
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
