package state_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pipestatus/pipestatus/state"
)

// Every reason in RULES.md, with the node named by ID, by key, or as the root
// of its task.
func TestEveryRefusalNamesTaskNodeStateAndOperation(t *testing.T) {
	tree := treeOf(t, pipeline(state.Running,
		act("a", state.Running).with(func(n *state.Node) { n.Key = "build" }),
		act("done", state.Finished).with(func(n *state.Node) { n.MaxLoops = 1 }),
		act("broken", state.Failed).with(noRetry).with(noSkip),
		sub("paused", state.Suspended, act("below", state.Created)),
		sub("open", state.Running, act("runs", state.Running)),
		sub("gone", state.Revoked, act("left", state.Failed)),
		pending("pending"),
	))
	inTask := func(k string) func(*state.Op) {
		return func(op *state.Op) { op.Node, op.Task, op.NodeKey = "", key, k }
	}
	in := func(parent string) func(*state.Op) {
		return func(op *state.Op) { op.Parent, op.Task, op.ParentKey = "", key, parent }
	}
	x := []byte("x")
	only := []state.Op{}
	for what, c := range map[string]struct {
		before []state.Op
		op     state.Op
		want   error
		node   string
		state  state.State
		isNew  bool
	}{
		"the shape":                                {only, on(state.Finish, "a", misshapen), state.ErrInvalidArgument, "a", state.Running, false},
		"the shape, by key":                        {only, on(state.Finish, "", inTask("build"), misshapen), state.ErrInvalidArgument, "a", state.Running, false},
		"the shape, of the root":                   {only, on(state.Suspend, "", inTask(""), misshapen), state.ErrInvalidArgument, "root", state.Running, false},
		"the shape of a reopening":                 {only, on(state.Reopen, "", misshapen), state.ErrInvalidArgument, "root", state.Running, false},
		"the shape of a declare":                   {only, declare("paused", "x", misshapen), state.ErrInvalidArgument, "x", state.Suspended, true},
		"the shape of a label":                     {only, state.Op{Kind: state.Label, Task: key, Now: now}, state.ErrInvalidArgument, "root", state.Running, false},
		"the shape of a create":                    {only, create("other", misshapen), state.ErrInvalidArgument, "root", state.Running, false},
		"the size of data":                         {only, on(state.Finish, "a", produced(make([]byte, state.DefaultDataBytes+1))), state.ErrInvalidArgument, "a", state.Running, false},
		"an unknown node":                          {only, on(state.Start, "x"), state.ErrNotFound, "x", 0, false},
		"an unknown key":                           {only, on(state.Start, "", inTask("x")), state.ErrNotFound, "", 0, false},
		"an unknown parent":                        {only, declare("x", "y"), state.ErrNotFound, "y", 0, true},
		"an unknown node that leads there":         {only, declare("root", "y", func(op *state.Op) { op.After = []string{"x"} }), state.ErrNotFound, "y", state.Running, true},
		"an unknown node that it came from":        {only, on(state.Start, "below", func(op *state.Op) { op.From = "x" }), state.ErrNotFound, "below", state.Created, false},
		"a task in use":                            {only, create("other"), state.ErrExists, "root", state.Running, false},
		"an ID in use":                             {only, declare("gone", "a"), state.ErrExists, "a", state.Revoked, true},
		"an ID in use elsewhere":                   {only, declare("gone", "y", taken), state.ErrExists, "y", state.Revoked, true},
		"a key in use":                             {only, declare("", "y", in(""), keyed("build")), state.ErrExists, "y", state.Running, true},
		"a key in use, of a node without given ID": {only, declare("root", "y", keyed("build"), leftOpen), state.ErrExists, "", state.Running, true},
		"a begin of another kind":                  {only, begin("done", state.EndEvent), state.ErrExists, "done", state.Finished, false},
		"a parent that is a leaf":                  {only, declare("a", "y"), state.ErrInvalidArgument, "y", state.Running, true},
		"a parent that has ended":                  {only, declare("gone", "y"), state.ErrInvalidTransition, "y", state.Revoked, true},
		"a begin in what has ended":                {only, begin("y", state.ServiceActivity, func(op *state.Op) { op.Parent = "gone" }), state.ErrInvalidTransition, "y", state.Revoked, true},
		"a begin in what is suspended":             {only, begin("y", state.ServiceActivity, func(op *state.Op) { op.Parent = "paused" }), state.ErrInvalidTransition, "y", state.Suspended, true},
		"a begin halfway":                          {only, begin("broken", state.ServiceActivity), state.ErrNotRetryable, "broken", state.Failed, false},
		"a report halfway":                         {only, report("left", state.Finished), state.ErrInvalidTransition, "left", state.Failed, false},
		"a report out of reach":                    {only, report("a", state.Created), state.ErrInvalidTransition, "a", state.Running, false},
		"the kind":                                 {only, on(state.Fail, "open", retryAt), state.ErrInvalidArgument, "open", state.Running, false},
		"the version":                              {only, on(state.Finish, "", inTask("build"), basedOn(77)), state.ErrVersionMismatch, "a", state.Running, false},
		"the loop":                                 {only, on(state.Suspend, "root", onLoop(3)), state.ErrVersionMismatch, "root", state.Running, false},
		"a version in use":                         {only, on(state.Loop, "done", version(2)), state.ErrExists, "done", state.Finished, false},
		"the own state":                            {only, on(state.Resume, "a"), state.ErrInvalidTransition, "a", state.Running, false},
		"the own state of the root":                {only, on(state.Resume, "", inTask("")), state.ErrInvalidTransition, "root", state.Running, false},
		"an output that was to come":               {only, on(state.Fail, "pending", produced(x)), state.ErrInvalidTransition, "pending", state.Failed, false},
		"the place":                                {only, on(state.Reopen, ""), state.ErrInvalidTransition, "root", state.Running, false},
		"an ancestor":                              {only, on(state.Start, "below"), state.ErrInvalidTransition, "below", state.Created, false},
		"a child":                                  {only, on(state.Finish, "open"), state.ErrInvalidTransition, "open", state.Running, false},
		"not retryable":                            {only, on(state.Retry, "broken"), state.ErrNotRetryable, "broken", state.Failed, false},
		"not skippable":                            {only, on(state.Skip, "broken"), state.ErrNotSkippable, "broken", state.Failed, false},
		"the loop limit":                           {only, on(state.Loop, "done"), state.ErrLoopLimit, "done", state.Finished, false},
		"in a batch, as it is then":                {[]state.Op{on(state.Finish, "a")}, on(state.Finish, "", inTask("build")), state.ErrInvalidTransition, "a", state.Finished, false},
		"in a batch that made it":                  {[]state.Op{declare("root", "y", keyed("new"))}, on(state.Finish, "", inTask("new")), state.ErrInvalidTransition, "y", state.Created, false},
		"the shape in a batch":                     {[]state.Op{on(state.Finish, "a")}, on(state.Loop, "a", misshapen), state.ErrInvalidArgument, "a", state.Running, false},
	} {
		t.Run(what, func(t *testing.T) {
			_, _, err := tree.Apply(state.Limits{}, append(c.before, c.op)...)
			refusedWith(t, err, c.want)
			want := &state.Error{
				Op: c.op.Kind, Task: key, Node: c.node, State: c.state, New: c.isNew,
				Index: len(c.before), Batch: len(c.before) > 0,
			}
			if diff := cmp.Diff(want, refusal(t, err), cmpopts.IgnoreFields(state.Error{}, "Err", "Key")); diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	for what, c := range map[string]struct {
		op   state.Op
		want string
	}{
		"a create":               {create("root", misshapen), "root"},
		"a begin of the root":    {begin("", state.Pipeline, func(op *state.Op) { op.Node, op.NodeGiven, op.Task = "generated", false, key }), ""},
		"a begin that names one": {begin("y", state.ServiceActivity), "y"},
	} {
		_, _, err := state.NewTree(key).Apply(state.Limits{}, c.op)
		if r := refusal(t, err); r.Node != c.want || r.State != 0 || r.Task != key || r.Op != c.op.Kind {
			t.Errorf("%s of an unknown task: %+v", what, r)
		}
	}
}
