package query

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

const (
	// DefaultRuns is how many runs statistics use if [Runs].Last is 0.
	DefaultRuns = 20
	// MaxRuns is the largest number of runs that statistics use.
	MaxRuns = 1000
)

// Runs selects the tasks for statistics: the newest ended tasks of a business with
// a name, with labels, or with both.
type Runs struct {
	Business string
	Name     string            // of the task, exactly; "" for any
	Labels   map[string]string // all of which the task has
	// Last is how many runs are wanted, at most MaxRuns. 0 or less:
	// DefaultRuns.
	Last int
}

// Statistics summarizes the last runs of a pipeline.
type Statistics struct {
	// Runs is the number of tasks in the statistics, which is less than requested
	// if there are not as many.
	Runs int
	// Unreadable is how many tasks were left out because their records are
	// damaged.
	Unreadable int
	// Waiting is how many failed runs were left out because they have not ended: they
	// show FAILED and wait for a person. No other figure counts them or their failures.
	// If there are as many runs as requested, only those newer than the oldest of these
	// count.
	Waiting int
	// Nodes are the nodes of these tasks: the root first, then those of the
	// newest run from top to bottom, then those that only older runs had.
	Nodes []NodeStatistics

	byNode map[string]int // index in Nodes, by identity
}

// NodeStatistics summarizes one node over several runs. Nodes of two runs are the
// same if they have the same key, or without keys the same path.
type NodeStatistics struct {
	Key string // "" if it has none
	// Path lists the display names from the root, which is left out, down to this
	// node; nil for the root.
	Path []string
	// Nth distinguishes siblings with the same name: 1 for the first of them in
	// the order of creation.
	Nth  int
	Kind state.Kind
	// Runs is the number of attempts, including superseded ones, that started and
	// then finished or failed. It does not count skips.
	Runs int
	// Failures is how many of them failed, ignored failures included.
	Failures int
	// Median and P95 are percentiles (nearest rank) of the durations of attempts
	// that did not fail; 0 without such attempts.
	Median, P95 time.Duration
	// Begins and Ends are the medians of when the node first started and last
	// ended in a run, from the start of the task; 0 if Runs is 0.
	Begins, Ends time.Duration
	// Finished is the number of attempts that count for Median and P95.
	Finished int

	identity           string
	usual              bool // in at least half of the runs that were not revoked
	took, begins, ends []time.Duration
}

// Statistics reads the last runs of a pipeline and returns for each of its nodes
// how often it ran and failed, and how long it took. It reads the tree of each
// run and the history of nodes that have one. Runs that have not ended have no place
// in it, even if they failed, see [Statistics].Waiting. The error matches
// [state.ErrInvalidArgument] if runs has neither name nor labels, or asks for more
// than MaxRuns. Having no such runs is no error.
func (q *Query) Statistics(ctx context.Context, runs Runs) (*Statistics, error) {
	if runs.Name == "" && len(runs.Labels) == 0 {
		return nil, wrap(fmt.Errorf("%w: statistics of tasks without a name or a label", state.ErrInvalidArgument))
	}
	if runs.Last > MaxRuns {
		return nil, wrap(fmt.Errorf("%w: statistics of %d runs, at most %d", state.ErrInvalidArgument, runs.Last, MaxRuns))
	}
	if runs.Last <= 0 {
		runs.Last = DefaultRuns
	}
	s := &Statistics{byNode: make(map[string]int)}
	filter := store.ListQuery{
		Business: runs.Business, Name: runs.Name, Labels: state.LabelsOf(runs.Labels),
		Shown: []state.State{state.Finished, state.Failed, state.Revoked},
	}
	for task, err := range store.Tasks(ctx, q.reader, filter) {
		var passed *store.UnreadableError
		if errors.As(err, &passed) {
			s.Unreadable += len(passed.Tasks)
			break
		}
		if err != nil {
			return nil, wrap(err)
		}
		if !task.State.Ended() {
			s.Waiting++
			continue
		}
		switch err := s.add(ctx, q.reader, task); {
		case errors.Is(err, state.ErrNotFound): // deleted since it was listed
		case errors.Is(err, store.ErrCorrupt):
			s.Unreadable++
		case err != nil:
			return nil, wrap(err)
		default:
			s.Runs++
		}
		if s.Runs == runs.Last {
			break
		}
	}
	for i := range slices.Backward(s.Nodes) { // the root last, since the others are compared with it
		s.Nodes[i].usual = 2*len(s.Nodes[i].ends) >= len(s.Nodes[0].ends)
		s.Nodes[i].finish()
	}
	return s, nil
}

// Of returns the statistics of each node of a run of the pipeline, by its index; nil
// for a node that no earlier run had.
func (s *Statistics) Of(tree *state.Tree) []*NodeStatistics { return s.of(newNaming(tree)) }

func (s *Statistics) of(names *naming) []*NodeStatistics {
	list := make([]*NodeStatistics, names.tree.Len())
	for i := range list {
		if at, known := s.byNode[names.identity[i]]; known {
			list[i] = &s.Nodes[at]
		}
	}
	return list
}

// add reads a run and adds it. On an error it adds nothing.
func (s *Statistics) add(ctx context.Context, from store.Reader, task *store.Task) error {
	snap, err := from.Load(ctx, store.Ref{Key: task.Key})
	if err != nil {
		return err
	}
	tree := snap.Tree
	if tree.ID(0) != task.Root || !tree.Ended() {
		return fmt.Errorf("%w: the run of task %s", state.ErrNotFound, task.Key)
	}
	past := make(map[int][]state.Attempt)
	for i := range tree.Len() {
		n := tree.Node(i)
		if n.Number() == 1 {
			continue
		}
		if past[i], err = attemptsOf(ctx, from, n.ID); err != nil {
			return err
		}
	}
	names := newNaming(tree)
	for i := range names.inOrder {
		n := tree.Node(i)
		s.node(names, &n).run(tree.Node(0).Started, append(past[i], n.Attempt))
	}
	return nil
}

// attemptsOf is all superseded attempts of a node.
func attemptsOf(ctx context.Context, from store.Reader, node string) (list []state.Attempt, err error) {
	for {
		page, err := store.Superseded(ctx, from, store.ByNode(node), len(list), 0)
		if err != nil {
			return nil, err
		}
		if list = append(list, page...); len(page) < store.DefaultLimit {
			return list, nil
		}
	}
}

// node is the entry of a node, a new one if no run before had the node.
func (s *Statistics) node(names *naming, n *state.Node) *NodeStatistics {
	identity := names.identity[n.Index]
	i, known := s.byNode[identity]
	if !known {
		i = len(s.Nodes)
		s.byNode[identity] = i
		s.Nodes = append(s.Nodes, NodeStatistics{Key: n.Key, Path: names.path(n.Index), Nth: names.nth[n.Index], Kind: n.Kind, identity: identity})
	}
	return &s.Nodes[i]
}

// run adds the attempts of the node in one run, which started at a time.
func (n *NodeStatistics) run(start state.Instant, attempts []state.Attempt) {
	var first, last state.Instant
	for i := range attempts {
		a := &attempts[i]
		if a.Skipped || !a.Started.IsSet() || a.State != state.Finished && a.State != state.Failed {
			continue
		}
		n.Runs++
		if !first.IsSet() {
			first = a.Started
		}
		last = a.Finished
		if a.State == state.Failed || a.ErrorIgnored {
			n.Failures++
			continue
		}
		n.took = append(n.took, a.Finished.Since(a.Started))
	}
	if first.IsSet() && start.IsSet() {
		n.begins, n.ends = append(n.begins, first.Since(start)), append(n.ends, last.Since(start))
	}
}

func (n *NodeStatistics) finish() {
	n.Finished = len(n.took)
	n.Median, n.P95 = percentile(n.took, 50), percentile(n.took, 95)
	n.Begins, n.Ends = percentile(n.begins, 50), percentile(n.ends, 50)
	n.took, n.begins, n.ends = nil, nil, nil
}

// percentile is the p-th percentile by nearest rank, 0 of nothing. It sorts d.
func percentile(d []time.Duration, p int) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[(len(d)*p+99)/100-1]
}
