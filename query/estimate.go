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
	// there is no estimate, because the task does not show RUNNING or no earlier run
	// has finished.
	End time.Time
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
// see [RunsLike]; last is as in [Runs]. It expects each leaf to
// take the median of its earlier times, after all leaves that usually end before
// it begins; a leaf that has not started although later ones have is expected
// to be passed over. For errors see [Query.Snapshot] and [Query.Statistics]. For a
// task without a name and labels nothing is expected.
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
	e := &Estimate{Runs: stats.Runs}
	if tree.Shown(0) != state.Running {
		return e
	}
	root := tree.Node(0)
	now := state.InstantOf(q.opts.Now())
	names := newNaming(tree)
	e.Late = late(stats, names, now)
	if len(stats.Nodes) > 0 && stats.Nodes[0].Finished > 0 {
		f := forecast{stats: stats, names: names, now: now.Since(root.Started)}
		e.End = q.time(root.Started).Add(f.end())
	}
	return e
}

// late finds the nodes that take longer than usual.
func late(stats *Statistics, names *naming, now state.Instant) (found []Late) {
	for i, n := range stats.of(names) {
		node := names.tree.Node(i)
		if n == nil || n.Finished == 0 || node.State != state.Running || Stands(names.tree, i).IsSet() {
			continue
		}
		if elapsed := took(names.tree, i, now); elapsed > n.P95 {
			found = append(found, Late{node.ID, node.Key, names.path(i), elapsed, n.P95})
		}
	}
	return found
}

// forecast simulates the remaining steps of a task. Its times are from the task's
// start.
type forecast struct {
	stats *Statistics
	names *naming
	now   time.Duration
}

// step is a leaf with its usual times: of earlier runs, or of the present run if
// no earlier run had it.
type step struct {
	begins, ends time.Duration // usually
	done         time.Duration // when it is expected to have ended in this run, if that is known
	takes        time.Duration
	begun        bool // in this run, so that done is known
	reached      bool // it ran or runs
}

func (f *forecast) end() time.Duration {
	steps := f.steps()
	reached := time.Duration(math.MinInt64) // how far the run is, by usual times
	for _, s := range steps {
		if s.reached {
			reached = max(reached, s.begins)
		}
	}
	byBegin := slices.Clone(steps)
	slices.SortStableFunc(byBegin, func(a, b *step) int { return cmp.Compare(a.begins, b.begins) })
	byEnd := slices.Clone(steps)
	slices.SortStableFunc(byEnd, func(a, b *step) int {
		return cmp.Or(cmp.Compare(a.ends, b.ends), cmp.Compare(a.begins, b.begins))
	})
	end, before, next := f.now, f.now, 0
	for _, s := range byBegin {
		// Steps that began before this one have been looked at.
		for ; next < len(byEnd) && byEnd[next].ends <= s.begins && byEnd[next].begins < s.begins; next++ {
			before = max(before, byEnd[next].done)
		}
		switch {
		case s.begun:
		case s.ends <= reached: // passed over
			s.done = before
		default:
			s.done = before + s.takes
		}
		end = max(end, s.done)
	}
	return end
}

// steps are the leaves of usual runs and those of this run.
func (f *forecast) steps() (steps []*step) {
	tree := f.names.tree
	root := tree.Node(0)
	here := make(map[string]bool, tree.Len())
	for i, usual := range f.stats.of(f.names) {
		n := tree.Node(i)
		here[f.names.identity[i]] = n.State != state.Created
		if n.Kind.Container() || n.State == state.Created {
			continue
		}
		s := &step{begun: true, reached: !n.Skipped}
		steps = append(steps, s)
		began := n.Started.Since(root.Started)
		if usual != nil {
			s.begins, s.ends, s.takes = usual.Begins, usual.Ends, usual.Median
		} else {
			s.begins, s.ends = began, began
		}
		if n.Finished.IsSet() && n.State == state.Finished {
			s.done = n.Finished.Since(root.Started)
		} else {
			s.done = max(f.now, began+s.takes)
		}
	}
	for i := range f.stats.Nodes {
		n := &f.stats.Nodes[i]
		if here[n.identity] || n.Kind.Container() || 2*n.Finished < f.stats.Runs {
			continue // it has been counted, or usually does not run
		}
		steps = append(steps, &step{begins: n.Begins, ends: n.Ends, takes: n.Median})
	}
	return steps
}
