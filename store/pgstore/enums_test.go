package pgstore

import (
	"testing"

	"github.com/pipestatus/pipestatus/state"
)

// A new kind, state or operation is a new schema: a program that does not know
// it must refuse the tables instead of finding them damaged. Who adds one adds a
// migration and writes the last ones here.
func TestTheLastOfEveryEnumerationBelongToTheSchema(t *testing.T) {
	for _, last := range []struct {
		schema int
		kind   state.Kind
		state  state.State
		op     state.OpKind
	}{
		{1, state.ConvergeGateway, state.Finished, state.Delete},
		{2, state.ConvergeGateway, state.Finished, state.Reopen},
		{3, state.ConvergeGateway, state.Finished, state.Label},
		{4, state.ConvergeGateway, state.Finished, state.Label},
	} {
		if last.schema != schemaVersion {
			continue
		}
		if !last.kind.Valid() || (last.kind + 1).Valid() || !last.state.Valid() || (last.state + 1).Valid() ||
			!last.op.Valid() || (last.op + 1).Valid() {
			t.Errorf("schema %d ends with %s, %s and %s; package state has others", last.schema, last.kind, last.state, last.op)
		}
		return
	}
	t.Errorf("nobody says with what schema %d ends", schemaVersion)
}
