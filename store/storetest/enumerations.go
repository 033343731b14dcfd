package storetest

import (
	"testing"

	"github.com/pipestatus/pipestatus/state"
)

// Enumerations are the last kind, state and operation that the records of a schema
// can hold. A store that writes their numbers needs a new schema for a new one, since
// an older program must refuse the store instead of finding it damaged.
type Enumerations struct {
	Kind  state.Kind
	State state.State
	Op    state.OpKind
}

// Check fails the test unless these are the last ones that package state has.
func (e Enumerations) Check(t testing.TB) {
	t.Helper()
	if !e.Kind.Valid() || (e.Kind + 1).Valid() || !e.State.Valid() || (e.State + 1).Valid() || !e.Op.Valid() || (e.Op + 1).Valid() {
		t.Errorf("the schema ends with %s, %s and %s; package state has others", e.Kind, e.State, e.Op)
	}
}
