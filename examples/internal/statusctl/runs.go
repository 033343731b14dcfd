package statusctl

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// maxEstimates bounds the running tasks whose end is estimated.
const maxEstimates = 20

// showRuns shows statistics of the last runs of a pipeline, and estimates for the
// running ones. If it is given a task, the runs are those like the task, for which
// alone it shows an estimate.
func showRuns(ctx context.Context, t *tool, r *reader, runs query.Runs, task string) error {
	q := r.With(&query.Options{Location: t.zone, Now: t.now})
	var tree *state.Tree
	if task != "" {
		snap, err := q.Snapshot(ctx, runs.Business, task)
		if err != nil {
			return err
		}
		last := runs.Last
		tree, runs = snap.Tree, query.RunsLike(snap.Tree)
		runs.Last = last
	}
	stats, err := q.Statistics(ctx, runs)
	if err != nil {
		return err
	}
	if stats.Runs+stats.Waiting == 0 && tree == nil && !t.json {
		if err := t.warnOfName(ctx, q, runs); err != nil {
			return err
		}
	}
	show, estimate := writeRuns, writeEstimate
	if t.json {
		show, estimate = writeRunsJSON, writeEstimateJSON
	}
	if err := show(t, stats); err != nil {
		return err
	}
	if tree != nil {
		return estimate(t, tree, q.EstimateOf(tree, stats))
	}
	return eachRunning(ctx, r, runs, func(tree *state.Tree) error { return estimate(t, tree, q.EstimateOf(tree, stats)) })
}

// warnOfName says on standard error that no task has the name and labels of runs, which
// may be mistyped.
func (t *tool) warnOfName(ctx context.Context, q *query.Query, runs query.Runs) error {
	found, err := q.List(ctx, store.ListQuery{Business: runs.Business, Name: runs.Name, Labels: state.LabelsOf(runs.Labels), Limit: 1})
	if err != nil || len(found.Tasks) > 0 || found.Cursor != "" {
		return err
	}
	what := "the labels"
	switch {
	case runs.Name != "" && len(runs.Labels) > 0:
		what = fmt.Sprintf("the name %q and the labels", runs.Name)
	case runs.Name != "":
		what = fmt.Sprintf("the name %q", runs.Name)
	}
	_, err = fmt.Fprintf(t.stderr, "no task of business %s has %s: list -name finds a pattern such as 'nightly*', list -text a part\n", picture.Printable(runs.Business), what)
	return err
}

func writeRuns(t *tool, stats *query.Statistics) error {
	title := count(stats.Runs, "run")
	if stats.Runs == 0 {
		title = "no runs that have ended"
	}
	if stats.Unreadable > 0 {
		title += fmt.Sprintf(", and %s that cannot be read", count(stats.Unreadable, "task"))
	}
	if stats.Waiting > 0 {
		title += fmt.Sprintf("\nnot counted, since they have not ended: %s that failed", count(stats.Waiting, "run"))
	}
	if _, err := fmt.Fprintln(t.stdout, title); err != nil || stats.Runs == 0 {
		return err
	}
	rows := table{states: -1}
	rows.add("RUNS", "FAILED", "MEDIAN", "P95", "BEGINS", "ENDS", "NODE")
	for i := range stats.Nodes {
		n := &stats.Nodes[i]
		name := strings.Repeat("  ", len(n.Path)) + nodeName(n)
		if n.Runs == 0 {
			rows.add("0", "", "", "", "", "", name)
			continue
		}
		median, p95 := "", ""
		if n.Finished > 0 {
			median, p95 = picture.Duration(n.Median), picture.Duration(n.P95)
		}
		rows.add(fmt.Sprint(n.Runs), fmt.Sprint(n.Failures), median, p95, "+"+picture.Duration(n.Begins), "+"+picture.Duration(n.Ends), name)
	}
	return rows.show(t.stdout)
}

// nodeName is the display name of a node of several runs.
func nodeName(n *query.NodeStatistics) string {
	if len(n.Path) == 0 {
		return pathText(nil)
	}
	name := n.Path[len(n.Path)-1]
	if name == n.Kind.Class() {
		name = ""
	}
	name = label(n.Kind, name)
	if n.Nth > 1 {
		name += fmt.Sprintf(" (%d)", n.Nth)
	}
	return name
}

// runRecord is a node of several runs in JSON. Durations are seconds.
type runRecord struct {
	Key      string   `json:"key,omitempty"`
	Path     []string `json:"path"` // names from below the root down
	Nth      int      `json:"nth"`  // among siblings with that name
	Kind     string   `json:"kind"`
	Runs     int      `json:"runs"`
	Failures int      `json:"failures"`
	Finished int      `json:"finished"`
	Median   float64  `json:"median"`
	P95      float64  `json:"p95"`
	Begins   float64  `json:"begins"`
	Ends     float64  `json:"ends"`
}

func writeRunsJSON(t *tool, stats *query.Statistics) error {
	return writeEach(t.stdout, stats.Nodes, func(n *query.NodeStatistics) runRecord {
		return runRecord{
			Key: n.Key, Path: append([]string{}, n.Path...), Nth: n.Nth, Kind: n.Kind.String(),
			Runs: n.Runs, Failures: n.Failures, Finished: n.Finished,
			Median: n.Median.Seconds(), P95: n.P95.Seconds(), Begins: n.Begins.Seconds(), Ends: n.Ends.Seconds(),
		}
	})
}

// estimateRecord is the estimate for a running task, in JSON.
type estimateRecord struct {
	Business string       `json:"bk_biz_id"`
	Task     string       `json:"task_id"`
	End      string       `json:"expected_end"`    // a shown time, "" without an estimate
	Overdue  float64      `json:"overdue"`         // seconds; while it is not 0, the end moves with the present
	Waits    string       `json:"waits,omitempty"` // for a person, because a node is FAILED or SUSPENDED
	Steps    int          `json:"expected_steps"`
	Late     []lateRecord `json:"late"`
}

// lateRecord is a node that takes longer than usual.
type lateRecord struct {
	Node  string   `json:"node"`
	Key   string   `json:"key,omitempty"`
	Path  []string `json:"path"`
	Took  float64  `json:"seconds"` // that it has been running
	Usual float64  `json:"p95"`     // of earlier runs
}

// eachRunning calls f with the newest running tasks.
func eachRunning(ctx context.Context, r *reader, runs query.Runs, f func(*state.Tree) error) error {
	shown := 0
	filter := store.ListQuery{
		Business: runs.Business, Name: runs.Name, Labels: state.LabelsOf(runs.Labels), Shown: []state.State{state.Running},
	}
	for task, err := range store.Tasks(ctx, r.store, filter) {
		var passed *store.UnreadableError
		if errors.As(err, &passed) {
			return nil // stats without arguments counts them
		}
		if err != nil {
			return err
		}
		snap, err := r.Snapshot(ctx, task.Key.Business, task.Key.Task)
		if errors.Is(err, state.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := f(snap.Tree); err != nil {
			return err
		}
		if shown++; shown == maxEstimates {
			return nil
		}
	}
	return nil
}

func writeEstimate(t *tool, tree *state.Tree, e *query.Estimate) error {
	text := progress(tree, e)
	left := e.End.Sub(t.now())
	switch shown := tree.Shown(0); {
	case tree.Ended() || e.Waits == 0 && shown != state.Running:
		text += ", shows " + shown.String()
	case e.Waits == state.Failed:
		text += ", waits for a person: a step failed"
	case e.Waits == state.Suspended && tree.State(0) == state.Suspended:
		text += ", waits for a person: the task is suspended"
	case e.Waits == state.Suspended:
		text += ", waits for a person: a step is suspended"
	case e.End.IsZero():
		text += ", no earlier run tells when it ends"
	case left < time.Second:
		text += ", expected to end any moment"
	case e.Overdue > 0:
		text += ", expected to end in " + picture.Duration(left) + " at the earliest"
	default:
		text += ", expected to end " + whenShown(e.End) + ", in " + picture.Duration(left)
	}
	if e.Overdue > 0 {
		text += ", late by " + picture.Duration(e.Overdue) + " so far"
	}
	if _, err := fmt.Fprintf(t.stdout, "%s: %s\n", picture.Printable(taskName(tree.Key())), text); err != nil {
		return err
	}
	for _, l := range e.Late {
		_, err := fmt.Fprintf(t.stdout, "  late: %s, %s so far, usually %s at most\n", picture.Printable(pathText(l.Path)), picture.Duration(l.Took), picture.Duration(l.Usual))
		if err != nil {
			return err
		}
	}
	return nil
}

// progress is how many of the steps of a task have finished, in the words of the page:
// "15 of 18 steps finished so far", "15 of about 31 steps finished" if earlier runs had
// more than are declared, or "18 of 18 steps finished" once the task has ended.
func progress(tree *state.Tree, e *query.Estimate) string {
	counts := tree.Counts(0)
	done, steps := counts[state.Finished], count(e.Steps, "step")
	switch {
	case tree.Ended():
		return fmt.Sprintf("%d of %s finished", done, steps)
	case e.Steps > counts.Total():
		return fmt.Sprintf("%d of about %s finished", done, steps)
	}
	return fmt.Sprintf("%d of %s finished so far", done, steps)
}

func writeEstimateJSON(t *tool, tree *state.Tree, e *query.Estimate) error {
	record := estimateRecord{
		Business: tree.Key().Business, Task: tree.Key().Task, End: whenShown(e.End), Overdue: e.Overdue.Seconds(), Steps: e.Steps, Late: make([]lateRecord, 0, len(e.Late)),
	}
	if e.Waits != 0 {
		record.Waits = e.Waits.String()
	}
	for _, l := range e.Late {
		record.Late = append(record.Late, lateRecord{l.Node, l.Key, append([]string{}, l.Path...), l.Took.Seconds(), l.Usual.Seconds()})
	}
	return writeLine(t.stdout, record)
}
