package model

import (
	"fmt"
	"strings"

	"github.com/pipestatus/pipestatus/state"
)

// The pools are small, so that operations conflict: the same IDs in two tasks,
// keys that are another node's ID, times before the last transition.
var (
	tasks     = []state.Key{{Business: "2", Task: "10"}, {Business: "2", Task: "11"}, {Business: "3", Task: "10"}}
	ids       = strings.Fields("a b c d e f g h i j k l m n o p q r s t u v w x y z A B C D E F")
	keys      = strings.Fields("build test deploy notify a b c")
	names     = []string{"", "", "", "build", state.ServiceActivity.Class(), state.Subprocess.Class(), state.Pipeline.Class()}
	labelKeys = append(strings.Fields("env owner region"), numbered("label ", 61)...)
	values    = []string{"", "prod", "prod", "test"}
	times     = func() (is []state.Instant) {
		for sec := int64(-1); sec < 8; sec++ {
			is = append(is, state.UnixInstant(sec, 0))
		}
		return append(is, state.UnixInstant(3, 1), state.UnixInstant(3, 999_999_999))
	}()
	retryTimes = append([]state.Instant{{}, {}}, times...)
	givenTimes = append([]state.Instant{{}, {}, {}, {}, {}, {}}, times...)
)

func numbered(prefix string, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint(prefix, i))
	}
	return all
}

// likely has, for each own state of a leaf, a subprocess and a root, the
// operations to draw from, chosen so that many are legal and trees live for a
// while.
var likely = map[string]map[state.State][]state.OpKind{
	"leaf": {
		state.Created:   {state.Start, state.Start, state.Start, state.Start, state.Start, state.Start, state.Suspend, state.Skip},
		state.Running:   {state.Finish, state.Finish, state.Fail, state.Fail, state.Fail, state.Fail, state.Suspend, state.Revoke},
		state.Failed:    {state.Retry, state.Retry, state.Retry, state.Skip, state.Skip, state.Fail, state.Reset, state.Revoke},
		state.Suspended: {state.Resume, state.Resume, state.Finish, state.Fail},
		state.Finished:  {state.Loop, state.Loop, state.Reset, state.Finish, state.Fail},
		state.Revoked:   {state.Revoke, state.Reset, state.Reset},
	},
	"subprocess": {
		state.Created: {state.Start, state.Start, state.Start, state.Start, state.Declare, state.Suspend},
		state.Running: {
			state.Declare, state.Declare, state.Declare, state.Declare, state.Declare,
			state.Suspend, state.Finish, state.Finish, state.Fail, state.Fail, state.Revoke,
		},
		state.Failed:    {state.Retry, state.Retry, state.Retry, state.Skip, state.Reset, state.Revoke},
		state.Suspended: {state.Resume, state.Resume, state.Resume, state.Declare, state.Revoke},
		state.Finished:  {state.Loop, state.Reset, state.Reset, state.Declare},
		state.Revoked:   {state.Revoke, state.Reset, state.Reset},
	},
	"root": {
		state.Created: {state.Start},
		state.Running: {
			state.Declare, state.Declare, state.Declare, state.Declare, state.Declare, state.Declare,
			state.Declare, state.Declare, state.Declare, state.Declare, state.Suspend, state.Suspend,
			state.Declare, state.Finish, state.Fail, state.Revoke,
		},
		state.Failed:    {state.Reopen, state.Reopen, state.Retry, state.Revoke},
		state.Suspended: {state.Resume, state.Resume, state.Resume, state.Declare},
		state.Finished:  {state.Reopen, state.Reopen, state.Loop},
		state.Revoked:   {state.Reopen, state.Revoke, state.Reset},
	},
}

// odd is a version that no attempt has.
var odd = state.VersionOf([16]byte{0xbb})

// misshape has ways to make an operation malformed. A change that is wrong for
// one kind may be right for another.
var misshape = []func(*state.Op){
	func(op *state.Op) { op.Kind = 0 },
	func(op *state.Op) { op.Kind = state.Delete },
	func(op *state.Op) { op.Node = "" },
	func(op *state.Op) { op.Node = strings.Repeat("x", 129) },
	func(op *state.Op) { op.Node = "a\u0085" },
	func(op *state.Op) { op.Task.Task = "\xff" },
	func(op *state.Op) { op.Task = tasks[1] },
	func(op *state.Op) { op.Parent = "nowhere" },
	func(op *state.Op) { op.Parent = "" },
	func(op *state.Op) { op.NodeKind = state.Pipeline },
	func(op *state.Op) { op.NodeKind = state.StartEvent },
	func(op *state.Op) { op.NodeKind = 200 },
	func(op *state.Op) { op.Name = "name" },
	func(op *state.Op) { op.Name = strings.Repeat("x", state.MaxNameBytes+1) }, // is cut
	func(op *state.Op) { op.NoRetry = true },
	func(op *state.Op) { op.NoSkip = true },
	func(op *state.Op) { op.MaxLoops = 1 },
	func(op *state.Op) { op.MaxLoops = -1 },
	func(op *state.Op) { op.Error = "error" },
	func(op *state.Op) { op.Ignore = true },
	func(op *state.Op) { op.Abandon = true },
	func(op *state.Op) { op.Tolerate = true },
	func(op *state.Op) { op.Loop = 1 },
	func(op *state.Op) { op.Loop = -1 },
	func(op *state.Op) { op.RetryAt = times[0] },
	func(op *state.Op) { op.RetryAt = state.UnixInstant(1<<40, 0) },
	func(op *state.Op) { op.Version = odd },
	func(op *state.Op) {
		if !op.Kind.NamesAttempt() {
			op.NewVersion = odd
		}
	},
	func(op *state.Op) { op.VersionGiven = true },
	func(op *state.Op) { op.NodeKey = "build" },
	func(op *state.Op) { op.NodeKey = strings.Repeat("x", 256) },
	func(op *state.Op) { op.ParentKey = "build" },
	func(op *state.Op) { op.Key = "unheard of" },
	func(op *state.Op) { op.Key = strings.Repeat("x", 256) },
	func(op *state.Op) { op.NodeGiven, op.Key = false, "" },
	func(op *state.Op) { op.After = []string{} },
	func(op *state.Op) { op.After = numbered("", 1001) },
	func(op *state.Op) { op.From = "a" },
	func(op *state.Op) { op.Note = "note" },
	func(op *state.Op) { op.Labels = state.LabelsOf(map[string]string{"env": "prod"}) },
	func(op *state.Op) { op.Labels = state.LabelsOf(map[string]string{"": "no key"}) },
	func(op *state.Op) { op.Labels = state.LabelsOf(map[string]string{strings.Repeat("x", 64): ""}) },
	func(op *state.Op) { op.Labels = state.LabelsOf(map[string]string{"env": strings.Repeat("x", 256)}) },
	func(op *state.Op) {
		many := make(map[string]string)
		for _, key := range numbered("", 33) {
			many[key] = ""
		}
		op.Labels = state.LabelsOf(many)
	},
	func(op *state.Op) { op.Unlabel = []string{"env"} },
	func(op *state.Op) { op.Unlabel = []string{"\n"} },
	func(op *state.Op) { op.Unlabel = numbered("", 33) },
	func(op *state.Op) { op.Labels, op.Unlabel = state.Labels{}, nil },
	func(op *state.Op) { op.Input = state.NewData([]byte("{}")) },
	func(op *state.Op) { op.Output = state.NewData([]byte("{}")) },
	func(op *state.Op) { op.Input, _ = state.NamedData(2, [16]byte{}) },
	func(op *state.Op) { op.NewVersion = state.Version{} },
	func(op *state.Op) { op.Actor = "\n" },
	func(op *state.Op) { op.Actor = strings.Repeat("x", 256) },
	func(op *state.Op) { op.At = state.UnixInstant(0, -1) },
	func(op *state.Op) { op.At = state.UnixInstant(-62135596801, 0) },
	func(op *state.Op) { op.Now = state.Instant{} },
	func(op *state.Op) { op.Now = state.UnixInstant(253402300800, 0) },
}
