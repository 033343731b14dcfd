package boltstore

import (
	"testing"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store/storetest"
)

// A change that adds a kind, state or operation raises schemaVersion and adds a line
// here.
func TestTheLastOfEveryEnumerationBelongToTheSchema(t *testing.T) {
	last, ok := map[int]storetest.Enumerations{
		1: {Kind: state.ConvergeGateway, State: state.Finished, Op: state.Delete},
		2: {Kind: state.ConvergeGateway, State: state.Finished, Op: state.Reopen},
		3: {Kind: state.ConvergeGateway, State: state.Finished, Op: state.Label},
		4: {Kind: state.ConvergeGateway, State: state.Finished, Op: state.Label},
	}[schemaVersion]
	if !ok {
		t.Fatalf("schema %d has no line", schemaVersion)
	}
	last.Check(t)
}

// Records keep a kind, a state and an operation in four bits each.
func TestEnumerationsFitTheirBits(t *testing.T) {
	if state.Kind(16).Valid() || state.State(16).Valid() || state.OpKind(16).Valid() {
		t.Error("there are more than 15 kinds, states or operations")
	}
}
