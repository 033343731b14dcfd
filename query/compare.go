package query

import "github.com/pipestatus/pipestatus/state"

// Pair is a node that two runs of a pipeline have, or only one of them: its
// index in each tree, -1 where there is none.
type Pair struct{ A, B int }

// Compare pairs the nodes of two runs of a pipeline as [Query.Statistics] pairs
// those of many: by key, or else by name within paired containers. The order is
// that of b from top to bottom; nodes that only a has come last.
func Compare(a, b *state.Tree) (pairs []Pair) {
	first, second := newNaming(a), newNaming(b)
	known := make(map[string]int, a.Len())
	for i := range a.Len() {
		known[first.identity[i]] = i
	}
	paired := make([]bool, a.Len())
	second.inOrder(func(i int) bool {
		pair := Pair{A: -1, B: i}
		if at, ok := known[second.identity[i]]; ok {
			pair.A, paired[at] = at, true
		}
		pairs = append(pairs, pair)
		return true
	})
	first.inOrder(func(i int) bool {
		if !paired[i] {
			pairs = append(pairs, Pair{A: i, B: -1})
		}
		return true
	})
	return pairs
}
