package pgstore

import (
	"testing"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store/storetest"
)

// A change that adds a kind, state or operation adds a migration and a line here.
func TestTheLastOfEveryEnumerationBelongToTheSchema(t *testing.T) {
	last, ok := map[int]storetest.Enumerations{
		1: {Kind: state.ConvergeGateway, State: state.Finished, Op: state.Delete},
		2: {Kind: state.ConvergeGateway, State: state.Finished, Op: state.Reopen},
		3: {Kind: state.ConvergeGateway, State: state.Finished, Op: state.Label},
		4: {Kind: state.ConvergeGateway, State: state.Finished, Op: state.Label},
		5: {Kind: state.ConvergeGateway, State: state.Finished, Op: state.Label},
	}[schemaVersion]
	if !ok {
		t.Fatalf("schema %d has no line", schemaVersion)
	}
	last.Check(t)
}
