package state_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/state"
)

// The operations that a begin and a report of each state stand for, by the own state
// of the node. "-" is invalid_transition, "." no operation. SUSPENDED' is a node
// that was suspended before it started.

const leafWays = `
          CREATED       RUNNING           FAILED              SUSPENDED         SUSPENDED'           REVOKED             FINISHED
begin     start         fail,retry,start  retry,start         fail,retry,start  resume,start         reset,start         loop
RUNNING   start         .                 retry,start         resume            resume,start         reset,start         loop
FINISHED  start,finish  finish            retry,start,finish  finish            resume,start,finish  reset,start,finish  .
FAILED    start,fail    fail              .                   fail              resume,start,fail    reset,start,fail    loop,fail
SUSPENDED suspend       suspend           retry,start,suspend .                 .                    reset,start,suspend loop,suspend
REVOKED   revoke        revoke            revoke              revoke            revoke               .                   -
CREATED   .             -                 -                   -                 resume               -                   -`

const subprocessWays = `
          CREATED       RUNNING  FAILED              SUSPENDED      SUSPENDED'           REVOKED             FINISHED
begin     start         .        retry,start         resume         resume,start         reset,start         loop
RUNNING   start         .        retry,start         resume         resume,start         reset,start         loop
FINISHED  start,finish  finish   retry,start,finish  resume,finish  resume,start,finish  reset,start,finish  .
FAILED    start,fail    fail     .                   resume,fail    resume,start,fail    reset,start,fail    loop,fail
SUSPENDED suspend       suspend  retry,start,suspend .              .                    reset,start,suspend loop,suspend
REVOKED   revoke        revoke   revoke              revoke         revoke               .                   -
CREATED   .             -        -                   -              resume               -                   -`

const rootWays = `
          CREATED       RUNNING  FAILED         SUSPENDED      SUSPENDED'           REVOKED        FINISHED
begin     start         .        reopen         resume         resume,start         reopen         reopen
RUNNING   start         .        reopen         resume         resume,start         reopen         reopen
FINISHED  start,finish  finish   reopen,finish  resume,finish  resume,start,finish  reopen,finish  .
FAILED    start,fail    fail     .              resume,fail    resume,start,fail    reopen,fail    reopen,fail
SUSPENDED suspend       suspend  reopen,suspend .              .                    reopen,suspend reopen,suspend
REVOKED   revoke        revoke   revoke         revoke         revoke               .              -
CREATED   .             -        -              -              resume               -              -`

// With the version of the current attempt, no new attempt begins: a report that
// would need one records nothing if the attempt has been in that state, and is
// refused otherwise.
const leafVersionWays = `
          CREATED       RUNNING  FAILED  SUSPENDED  SUSPENDED'           REVOKED  FINISHED
RUNNING   start         .        .       resume     resume,start         .        .
FINISHED  start,finish  finish   -       finish     resume,start,finish  -        .
FAILED    start,fail    fail     .       fail       resume,start,fail    -        -
SUSPENDED suspend       suspend  .       .          .                    .        .
REVOKED   revoke        revoke   revoke  revoke     revoke               .        -
CREATED   .             .        .       .          resume               .        .`

func begin(id string, kind state.Kind, changes ...func(*state.Op)) state.Op {
	return on(state.Begin, id, append([]func(*state.Op){func(op *state.Op) {
		op.NodeKind, op.NodeGiven = kind, true
		if kind != state.Pipeline {
			op.Parent = "root"
		}
	}}, changes...)...)
}

func report(id string, st state.State, changes ...func(*state.Op)) state.Op {
	return on(state.Report, id, append([]func(*state.Op){func(op *state.Op) { op.State = st }}, changes...)...)
}

func chosen(version state.Version) func(*state.Op) {
	return func(op *state.Op) { op.NewVersion, op.VersionGiven = version, true }
}

func ifVersion(version state.Version) func(*state.Op) {
	return func(op *state.Op) { op.Version = version }
}

// did lists the recorded operations of an outcome, in the form of the tables above.
func did(o state.Outcome) string {
	var steps []string
	for _, tr := range o.Steps {
		steps = append(steps, tr.Op.String())
	}
	if len(steps) == 0 {
		return "."
	}
	return strings.Join(steps, ",")
}

func TestBeginAndReportApplyTheOperationsThatLeadThere(t *testing.T) {
	for _, c := range []struct {
		what, id, ways string
		kind           state.Kind
		tree           func(n func(id string) spec) spec
		changes        []func(*state.Op)
	}{
		{"leaf", "a", leafWays, state.ServiceActivity, func(n func(string) spec) spec { return pipeline(state.Running, n("a")) }, nil},
		{"subprocess", "s", subprocessWays, state.Subprocess, func(n func(string) spec) spec { return pipeline(state.Running, n("s")) }, nil},
		{"root", "root", rootWays, state.Pipeline, func(n func(string) spec) spec { return n("root") }, nil},
		{
			"leaf with its version", "a", leafVersionWays, state.ServiceActivity,
			func(n func(string) spec) spec { return pipeline(state.Running, n("a")) },
			[]func(*state.Op){ifVersion(v(1))},
		},
	} {
		lines := strings.Split(strings.TrimSpace(c.ways), "\n")
		columns := strings.Fields(lines[0])
		for _, line := range lines[1:] {
			words := strings.Fields(line)
			for i, want := range words[1:] {
				t.Run(fmt.Sprintf("%s/%s of %s", c.what, words[0], columns[i]), func(t *testing.T) {
					name, unstarted := strings.CutSuffix(columns[i], "'")
					st, err := state.ParseState(name)
					if err != nil {
						t.Fatal(err)
					}
					tree := treeOf(t, c.tree(func(id string) spec {
						s := describe(id, c.kind, st, nil)
						if unstarted {
							s = s.with(notYet)
						}
						return s
					}))
					op := begin(c.id, c.kind, c.changes...)
					to := state.Running
					if words[0] != "begin" {
						to, err = state.ParseState(words[0])
						if err != nil {
							t.Fatal(err)
						}
						op = report(c.id, to, c.changes...)
					}
					next, outcomes, err := tree.Apply(state.Limits{}, op)
					if want == "-" {
						if !errors.Is(err, state.ErrInvalidTransition) {
							t.Fatalf("error %v, want %v", err, state.ErrInvalidTransition)
						}
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					if got := did(outcomes[0]); got != want {
						t.Fatalf("did %s, want %s", got, want)
					}
					at, _ := next.Find(c.id)
					if got := next.State(at); got != to && len(c.changes) == 0 {
						t.Errorf("it is %s, want %s", got, to)
					}
					if v := next.Node(at).Version; outcomes[0].Version != v {
						t.Errorf("the answer has version %s, the node %s", outcomes[0].Version, v)
					}
					replayed, err := tree.Replay(numbered(outcomes[0].Steps)...)
					if err != nil {
						t.Fatal(err)
					}
					if got, want := replayed.Node(at), next.Node(at); got != want {
						t.Errorf("replayed %+v, want %+v", got, want)
					}
					for _, tr := range outcomes[0].Steps {
						if err := tr.Validate(); err != nil {
							t.Error(err)
						}
					}
				})
			}
		}
	}
}

// numbered gives transitions the sequences after those of a described tree.
func numbered(trs []*state.Transition) (all []*state.Transition) {
	for i, tr := range trs {
		next := *tr
		next.Sequence = 8 + uint64(i)
		all = append(all, &next)
	}
	return all
}

func TestBeginDeclaresUnknownNodes(t *testing.T) {
	tree := treeOf(t, pipeline(state.Running))
	next, outcomes, err := tree.Apply(state.Limits{}, begin("a", state.ServiceActivity, func(op *state.Op) {
		op.Name, op.NoRetry, op.MaxLoops = "build", true, 3
	}))
	if err != nil {
		t.Fatal(err)
	}
	n := next.Node(1)
	if did(outcomes[0]) != "declare,start" || n.State != state.Running || n.Name != "build" || !n.NoRetry || n.MaxLoops != 3 || n.Version != v(99) {
		t.Errorf("did %s: %+v", did(outcomes[0]), n)
	}
	// An existing node keeps its name and its limits.
	next, outcomes, err = next.Apply(state.Limits{}, begin("b", state.Subprocess), report("a", state.Failed))
	if err != nil || did(outcomes[1]) != "fail" {
		t.Fatal(err, outcomes)
	}
	_, _, err = next.Apply(state.Limits{}, begin("a", state.ServiceActivity, func(op *state.Op) { op.Name = "other" }, version(97)))
	if !errors.Is(err, state.ErrNotRetryable) || !strings.Contains(err.Error(), "begin node \"a\" (FAILED)") {
		t.Errorf("error %v, want %v", err, state.ErrNotRetryable)
	}
	for what, op := range map[string]state.Op{
		"another kind":    begin("a", state.EndEvent),
		"another parent":  begin("a", state.ServiceActivity, func(op *state.Op) { op.Parent = "b" }),
		"the root inside": begin("root", state.Subprocess, func(op *state.Op) { op.Parent = "b" }),
		"elsewhere":       begin("c", state.ServiceActivity, func(op *state.Op) { op.Taken = true }),
	} {
		if _, _, err := next.Apply(state.Limits{}, op); !errors.Is(err, state.ErrExists) {
			t.Errorf("%s: error %v, want %v", what, err, state.ErrExists)
		}
	}
	for what, op := range map[string]state.Op{
		"report": report("c", state.Running),
		"root":   begin("other", state.Pipeline),
		"parent": begin("c", state.ServiceActivity, func(op *state.Op) { op.Parent = "c" }),
	} {
		if _, _, err := next.Apply(state.Limits{}, op); !errors.Is(err, state.ErrNotFound) {
			t.Errorf("unknown %s: error %v, want %v", what, err, state.ErrNotFound)
		}
	}
}

func TestABeginCanBeDeliveredTwice(t *testing.T) {
	tree := treeOf(t, pipeline(state.Running, act("a", state.Failed)))
	once := begin("a", state.ServiceActivity, chosen(v(50)))
	log := []state.Op{
		once, report("a", state.Finished, ifVersion(v(50))),
		begin("a", state.ServiceActivity, chosen(v(51))), report("a", state.Failed, ifVersion(v(51))),
	}
	next, outcomes, err := tree.Apply(state.Limits{}, log...)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"retry,start", "finish", "loop", "fail"} {
		if got := did(outcomes[i]); got != want {
			t.Errorf("operation %d did %s, want %s", i, got, want)
		}
	}
	// The second begin is of the current attempt, the first of the one before.
	again, outcomes, err := next.Apply(state.Limits{}, log[2:]...)
	if err != nil || did(outcomes[0])+did(outcomes[1]) != ".." {
		t.Errorf("delivered again: %+v, %v", outcomes, err)
	}
	if again.Node(1) != next.Node(1) {
		t.Errorf("it changed %+v to %+v", next.Node(1), again.Node(1))
	}
	if next.WantsVersions(&log[2]) || !next.WantsVersions(&once) {
		t.Error("the tree does not know the current attempt, or others")
	}
	unknown := begin("a", state.ServiceActivity, chosen(v(1)))
	if !next.WantsVersions(&unknown) {
		t.Error("the tree knows what only the history does")
	}
	unknown.VersionTaken = true
	if _, outcomes, err := next.Apply(state.Limits{}, unknown); err != nil || did(outcomes[0]) != "." {
		t.Errorf("an attempt of the history: %+v, %v", outcomes, err)
	}
	// In one batch with what superseded it.
	if _, outcomes, err := tree.Apply(state.Limits{}, append(slices.Clip(log), once)...); err != nil || did(outcomes[4]) != "." {
		t.Errorf("in one batch: %+v, %v", outcomes, err)
	}
}

func TestABeginGivesAnAttemptThatDidNotStartItsVersion(t *testing.T) {
	for what, a := range map[string]spec{"created": act("a", state.Created), "suspended": act("a", state.Suspended).with(notYet)} {
		tree := treeOf(t, pipeline(state.Running, a))
		for v, want := range map[state.Version]state.Op{
			v(50): begin("a", state.ServiceActivity, chosen(v(50))),
			v(1):  begin("a", state.ServiceActivity), // its own
		} {
			next, outcomes, err := tree.Apply(state.Limits{}, want)
			if err != nil {
				t.Fatal(err)
			}
			if n := next.Node(1); n.Version != v || n.State != state.Running || outcomes[0].Version != v {
				t.Errorf("%s: version %s, want %s: %+v", what, n.Version, v, n)
			}
			n := tree.Node(1)
			trace := state.TraceOf(n.ID, n.Kind, &n.Progress)
			for _, tr := range outcomes[0].Steps {
				if err := tr.Changes[0].Follows(trace); err != nil {
					t.Error(err)
				}
				trace = state.TraceOf(n.ID, n.Kind, &tr.Changes[0].Progress)
			}
		}
		// Its own version, as it was declared with, begins it too.
		if _, outcomes, err := tree.Apply(state.Limits{}, begin("a", state.ServiceActivity, chosen(v(1)))); err != nil || did(outcomes[0]) == "." {
			t.Errorf("%s: %+v, %v", what, outcomes, err)
		}
	}
}

func TestALateReportOfASupersededAttemptRecordsNothing(t *testing.T) {
	tree := treeOf(t, pipeline(state.Running, act("a", state.Failed)))
	next, _, err := tree.Apply(state.Limits{}, on(state.Retry, "a"))
	if err != nil {
		t.Fatal(err)
	}
	late := report("a", state.Finished, ifVersion(v(1)))
	if _, _, err := next.Apply(state.Limits{}, late); !errors.Is(err, state.ErrVersionMismatch) {
		t.Errorf("without the history: %v, want %v", err, state.ErrVersionMismatch)
	}
	late.Past = &state.Past{}
	if _, outcomes, err := next.Apply(state.Limits{}, late); err != nil || did(outcomes[0]) != "." {
		t.Errorf("with the history: %+v, %v", outcomes, err)
	}
	// The root has no version but a loop count.
	root := treeOf(t, pipeline(state.Finished))
	loop := func(n int) func(*state.Op) { return func(op *state.Op) { op.Loop = n } }
	if _, _, err := root.Apply(state.Limits{}, report("root", state.Failed, loop(1))); !errors.Is(err, state.ErrInvalidTransition) {
		t.Errorf("the root's attempt that ended otherwise: %v", err)
	}
	if _, outcomes, err := root.Apply(state.Limits{}, report("root", state.Running, loop(1))); err != nil || did(outcomes[0]) != "." {
		t.Errorf("the root's attempt that was there: %+v, %v", outcomes, err)
	}
}

func TestUnreachableStatesAreRefusedAndChangeNothing(t *testing.T) {
	tree := treeOf(t, pipeline(state.Suspended, act("a", state.Failed), sub("s", state.Running, act("b", state.Running))))
	before := tree.Node(1)
	for what, op := range map[string]state.Op{
		"nothing starts in a suspended pipeline": begin("a", state.ServiceActivity),
		"a child is running":                     report("s", state.Finished),
	} {
		_, _, err := tree.Apply(state.Limits{}, op)
		if !errors.Is(err, state.ErrInvalidTransition) {
			t.Errorf("%s: %v, want %v", what, err, state.ErrInvalidTransition)
		}
	}
	if tree.Node(1) != before {
		t.Errorf("the tree changed: %+v", tree.Node(1))
	}
	for what, op := range map[string]state.Op{
		"no state":             report("a", 0),
		"an error that passes": report("a", state.Running, func(op *state.Op) { op.Error = "x" }),
		"idempotent":           report("a", state.Running, func(op *state.Op) { op.Idempotent = true }),
		"a version to check":   begin("a", state.ServiceActivity, ifVersion(v(1))),
		"a state to begin":     begin("a", state.ServiceActivity, func(op *state.Op) { op.State = state.Running }),
		"a root with a name":   begin("root", state.Pipeline, func(op *state.Op) { op.Name = "x" }),
		"a root's version":     begin("root", state.Pipeline, chosen(v(2))),
		"a leaf's loop":        report("a", state.Running, func(op *state.Op) { op.Loop = 1 }),
	} {
		if _, _, err := tree.Apply(state.Limits{}, op); !errors.Is(err, state.ErrInvalidArgument) {
			t.Errorf("%s: %v, want %v", what, err, state.ErrInvalidArgument)
		}
	}
}
