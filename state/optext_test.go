package state_test

import (
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/state"
)

func TestAnOperationPrintsReadably(t *testing.T) {
	version, err := state.ParseVersion(strings.Repeat("0a", 16))
	if err != nil {
		t.Fatal(err)
	}
	for want, op := range map[string]state.Op{
		`create task "2"/"10" node "root", named "nightly", by "alice"`: {
			Kind: state.Create, Task: state.Key{Business: "2", Task: "10"}, Node: "root", Name: "nightly", Actor: "alice",
		},
		`declare service_activity node "a" in "root", no retry, no skip, at most 3 loops`: {
			Kind: state.Declare, Node: "a", Parent: "root", NodeKind: state.ServiceActivity, NoRetry: true, NoSkip: true, MaxLoops: 3,
		},
		`fail node "a" with "exit status 1\n", retry at 2018-04-26T08:08:35Z, idempotent`: {
			Kind: state.Fail, Node: "a", Error: "exit status 1\n", RetryAt: state.UnixInstant(1524730115, 0), Idempotent: true,
		},
		`fail node "a", ignored`: {Kind: state.Fail, Node: "a", Ignore: true},
		`retry node "a", if version 0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a, at 2018-04-26T08:08:35Z`: {
			Kind: state.Retry, Node: "a", Version: version, At: state.UnixInstant(1524730115, 0),
		},
		"op(0)": {},
	} {
		if got := op.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	long := state.Op{Kind: state.Fail, Node: strings.Repeat("é", 5<<20), Error: strings.Repeat("e", 10<<20)}
	if got := long.String(); len(got) > 300 || !strings.Contains(got, "é…\"") {
		t.Errorf("%d bytes: %.300s", len(got), got)
	}
}
