package query

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/pipestatus/pipestatus/state"
)

// Estimate says when a task that runs is expected to end.
type Estimate struct {
	// Runs is how many past runs the estimate rests on.
	Runs int
	// End is when the task is expected to end, not before the present; zero if
	// there is no estimate, because the task does not show RUNNING, waits for a person
	// or no earlier run has finished.
	End time.Time
	// Overdue is by how much End has moved since a step, or the pause before one,
	// exceeded its expected time; 0 once that is over. While it is not 0, End moves
	// with the present.
	Overdue time.Duration
	// Waits says that the task cannot end before a person acts, even while other
	// steps run: FAILED if a node has failed and awaits no automatic retry, else
	// SUSPENDED if one is suspended, else the zero State. Nodes in a container that has
	// ended do not count.
	Waits state.State
	// Steps is how many leaves the task is expected to have when it ends, since a runner
	// may declare them one by one: those it has and, while it shows RUNNING, also those
	// that it can still reach and that at least half of the earlier runs executed. Runs
	// that were revoked do not count.
	Steps int
	// Late are the nodes, containers included, whose current attempt has been
	// running for longer than the 95th percentile of earlier runs, in the order
	// of creation. A container that waits for a person is not among them, see
	// [Stands].
	Late []Late
}

// Late is a node that takes longer than usual.
type Late struct {
	Node string   // its ID
	Key  string   // "" if it has none
	Path []string // as in NodeStatistics
	// Took is how long it has been running, Usual the 95th percentile of
	// earlier runs.
	Took, Usual time.Duration
}

// RunsLike selects the runs that a task is compared with: those of its business
// that have its name or, if it has no name, all of its labels. Of a task with
// neither there are no such runs, and [Query.Statistics] refuses to look for them.
func RunsLike(tree *state.Tree) Runs {
	runs := Runs{Business: tree.Key().Business, Name: tree.Node(0).Name}
	if runs.Name == "" {
		runs.Labels = labelsOf(tree.Labels())
	}
	return runs
}

// Estimate says when a task is expected to end, judged by the last runs like it,
// see [RunsLike]; last is as in [Runs]. It expects each leaf to begin as long as usual
// after the leaves that usually end before it, and to take as long as usual; both are
// medians, and contain pauses, retries and loops. A leaf that has not started although
// later ones have is expected to be passed over. A task without a name and labels has
// no estimate. For errors see [Query.Snapshot] and [Query.Statistics].
func (q *Query) Estimate(ctx context.Context, business, task string, last int) (*Estimate, error) {
	snap, err := q.Snapshot(ctx, business, task)
	if err != nil {
		return nil, err
	}
	runs := RunsLike(snap.Tree)
	if runs.Name == "" && len(runs.Labels) == 0 {
		return &Estimate{}, nil
	}
	runs.Last = last
	stats, err := q.Statistics(ctx, runs)
	if err != nil {
		return nil, err
	}
	return q.EstimateOf(snap.Tree, stats), nil
}

// EstimateOf is [Query.Estimate] for a tree and statistics that the caller has
// already.
func (q *Query) EstimateOf(tree *state.Tree, stats *Statistics) *Estimate {
	counts := tree.Counts(0)
	e := &Estimate{Runs: stats.Runs, Steps: counts.Total(), Waits: waitsFor(tree)}
	if tree.Shown(0) != state.Running {
		return e
	}
	root := tree.Node(0)
	now := state.InstantOf(q.opts.Now())
	names := newNaming(tree)
	e.Late = late(stats, names, now)
	if len(stats.Nodes) > 0 && stats.Nodes[0].Finished > 0 {
		f := newForecast(stats, names, now.Since(root.Started))
		e.Steps += f.undeclared()
		if e.Waits == 0 {
			end := f.end()
			e.End = q.time(root.Started).Add(end)
			e.Overdue = end - newForecast(stats, names, math.MinInt64).end()
		}
	}
	return e
}

// waitsFor is the state of the nodes for which a task waits for a person, see
// [Estimate].
func waitsFor(tree *state.Tree) (found state.State) {
	open := make([]bool, tree.Len()) // neither the node nor a container above has ended
	for i := range open {
		n := tree.Node(i)
		if i > 0 && !open[n.ParentIndex] {
			continue
		}
		open[i] = !n.State.Ended()
		switch {
		case n.State == state.Failed && i > 0 && !n.RetryAt.IsSet():
			return state.Failed
		case n.State == state.Suspended:
			found = state.Suspended
		}
	}
	return found
}

// late finds the nodes that take longer than usual.
func late(stats *Statistics, names *naming, now state.Instant) (found []Late) {
	for i, n := range stats.of(names) {
		node := names.tree.Node(i)
		if n == nil || n.Finished == 0 || node.State != state.Running {
			continue
		}
		if took, runs := Took(names.tree, i, now); runs && took > n.P95 {
			found = append(found, Late{node.ID, node.Key, names.path(i), took, n.P95})
		}
	}
	return found
}

// forecast simulates the remaining steps of a task. Its times are from the task's
// start.
type forecast struct {
	now     time.Duration
	usual   time.Duration // when earlier runs ended
	steps   []*step
	reached time.Duration // how far the run is, by usual times
}

// step is a leaf with its usual times: of earlier runs, or of the present run if
// no earlier run had it.
type step struct {
	begins, ends time.Duration // usually
	done         time.Duration // when it ends in this run, known or expected
	begun        bool          // in this run, so that done is known
	declared     bool          // in this run
}

// passed reports whether the run is expected to pass over a step.
func (f *forecast) passed(s *step) bool { return !s.begun && s.ends <= f.reached }

// undeclared is how many steps are expected that are not declared yet.
func (f *forecast) undeclared() (n int) {
	for _, s := range f.steps {
		if !s.declared && !f.passed(s) {
			n++
		}
	}
	return n
}

// end is when the run is expected to end.
func (f *forecast) end() time.Duration {
	byBegin := slices.Clone(f.steps)
	slices.SortStableFunc(byBegin, func(a, b *step) int { return cmp.Compare(a.begins, b.begins) })
	byEnd := slices.Clone(f.steps)
	slices.SortStableFunc(byEnd, func(a, b *step) int {
		return cmp.Or(cmp.Compare(a.ends, b.ends), cmp.Compare(a.begins, b.begins))
	})
	// The last end so far, in this run and usually, of the steps that come before.
	var before, usually time.Duration
	next := 0
	follow := func(s *step) {
		before, usually = max(before, s.done), max(usually, s.ends)
		next++
	}
	for _, s := range byBegin {
		for next < len(byEnd) && byEnd[next].ends <= s.begins && byEnd[next].begins < s.begins {
			follow(byEnd[next])
		}
		switch {
		case s.begun:
		case f.passed(s):
			s.done = before
		default:
			s.done = max(f.now, before+s.begins-usually) + s.ends - s.begins
		}
	}
	for next < len(byEnd) {
		follow(byEnd[next])
	}
	return max(f.now, before+max(f.usual-usually, 0))
}

// newForecast collects the leaves of usual runs and those of this run.
func newForecast(stats *Statistics, names *naming, now time.Duration) *forecast {
	f := &forecast{now: now, usual: stats.Nodes[0].Ends, reached: math.MinInt64}
	tree := names.tree
	here := make(map[string]*step, tree.Len())
	for i, usual := range stats.of(names) {
		n := tree.Node(i)
		if n.Kind.Container() {
			continue
		}
		s := &step{declared: true}
		here[names.identity[i]] = s
		if n.State == state.Created || n.State == state.Suspended && !n.Started.IsSet() {
			continue // it may be passed over
		}
		f.begin(s, &n, n.Started.Since(tree.Node(0).Started), usual)
		f.steps = append(f.steps, s)
	}
	for i := range stats.Nodes {
		n := &stats.Nodes[i]
		s := here[n.identity]
		if n.Kind.Container() || s != nil && s.begun || !n.usual || n.Runs == 0 {
			continue // it has been counted, or usually does not run
		}
		if s == nil {
			s = new(step)
		}
		s.begins, s.ends = n.Begins, n.Ends
		f.steps = append(f.steps, s)
	}
	return f
}

// begin sets the times of a node that began at a time.
func (f *forecast) begin(s *step, n *state.Node, began time.Duration, usual *NodeStatistics) {
	s.begun, s.begins, s.ends = true, began, began
	takes := time.Duration(0)
	if usual != nil {
		s.begins, s.ends, takes = usual.Begins, usual.Ends, usual.Median
		if n.Number() == 1 { // there may be retries and loops to come
			takes = max(takes, usual.Ends-usual.Begins)
		}
	}
	if !n.Skipped {
		f.reached = max(f.reached, s.begins)
	}
	switch {
	case n.State == state.Finished || n.State == state.Revoked:
		s.done = began + n.Finished.Since(n.Started)
	case n.RetryAt.IsSet():
		s.done = max(f.now, began+n.RetryAt.Since(n.Started)) + takes
	default:
		s.done = max(f.now, began+takes)
	}
}
