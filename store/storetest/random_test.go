package storetest

import (
	"math/rand/v2"
	"testing"
)

// Random transitions are well-formed, so a store must accept them.
func TestRandomTransitionsAreWellFormed(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		if tr := RandomTransition(r); tr.Validate() != nil {
			t.Fatalf("%v: %+v", tr.Validate(), tr)
		}
	}
}
