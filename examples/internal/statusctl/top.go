package statusctl

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"

	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var topCommand = command{
	name: "top", summary: "show the nodes of all tasks that have been running longest",
	bind: func(flags *flag.FlagSet) action {
		business := flags.String("biz", "", "only tasks of the business `ID`")
		limit := flags.Int("limit", 20, "at most `N` nodes")
		ids := flags.Bool("ids", false, "show the IDs of the nodes")
		return func(ctx context.Context, t *tool, _ []string) error {
			if *limit < 1 {
				return &usageError{problem: "-limit must be at least 1"}
			}
			return t.read(ctx, func(r *reader) error {
				running, err := longest(ctx, r, *business, *limit)
				if err != nil {
					return err
				}
				return t.showRunning(running, *ids)
			})
		}
	},
}

// runningNode is a leaf that is running.
type runningNode struct {
	task state.Key
	path []string
	node state.Node
}

// longest are the n leaves that have been running longest.
func longest(ctx context.Context, r *reader, business string, most int) (running []runningNode, err error) {
	for task, err := range store.Tasks(ctx, r.store, store.ListQuery{Business: business, Unfinished: true}) {
		if errors.Is(err, store.ErrCorrupt) {
			break // tasks that cannot be read come last
		}
		if err != nil {
			return nil, err
		}
		if task.Counts[state.Running] == 0 {
			continue
		}
		snap, err := r.store.Load(ctx, store.ByKey(task.Key.Business, task.Key.Task))
		if errors.Is(err, state.ErrNotFound) {
			continue // deleted since
		}
		if err != nil {
			return nil, err
		}
		for i := range snap.Tree.Len() {
			if n := snap.Tree.Node(i); n.State == state.Running && !n.Kind.Container() {
				running = append(running, runningNode{task.Key, path(snap.Tree, i), n})
			}
		}
		slices.SortStableFunc(running, func(a, b runningNode) int { return a.node.Started.Time().Compare(b.node.Started.Time()) })
		running = running[:min(len(running), most)]
	}
	return running, nil
}

// runningRecord is a running node in JSON. The time is a shown time.
type runningRecord struct {
	Business string   `json:"bk_biz_id"`
	Task     string   `json:"task_id"`
	Node     string   `json:"node"`
	Path     []string `json:"path"`
	Kind     string   `json:"kind"`
	Loop     int      `json:"loop"`
	Retries  int      `json:"retries"`
	Started  string   `json:"start_time"`
}

func (t *tool) showRunning(running []runningNode, ids bool) error {
	if t.json {
		return writeEach(t.stdout, running, func(n *runningNode) runningRecord {
			return runningRecord{
				Business: n.task.Business, Task: n.task.Task, Node: n.node.ID, Path: n.path, Kind: n.node.Kind.String(),
				Loop: n.node.Loop, Retries: n.node.Retries, Started: shownTime(n.node.Started, t.zone),
			}
		})
	}
	if len(running) == 0 {
		_, err := fmt.Fprintln(t.stdout, "nothing is running")
		return err
	}
	rows := table{states: -1, times: []int{1}, cut: []int{3}, paths: []int{3}}
	head := []string{"RUNNING", "SINCE", "TASK", "NODE"}
	if ids {
		head = append(head, "ID")
	}
	rows.add(head...)
	for i := range running {
		n := &running[i]
		row := []string{picture.Duration(t.now().Sub(n.node.Started.Time())), shownTime(n.node.Started, t.zone), taskName(n.task), pathText(n.path)}
		if ids {
			row = append(row, n.node.ID)
		}
		rows.add(row...)
	}
	return rows.show(t.stdout)
}
