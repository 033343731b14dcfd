package statusctl

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var statsCommand = command{
	name: "stats", args: "[BIZ [NAME]]", summary: "show how large the database is, or how long the runs of a pipeline take",
	most: 2,
	detail: `
Without arguments: the size of the database. Later records use the free room, and
compact releases it. The feed has the transitions that watch can still show.
Transitions to write back are durable and visible, but not yet in their final place:
with many of them, opening the file takes longer.

With BIZ and NAME: the last tasks with that name that have ended, or with -label
those with the label, with or without a name. For each node: how many attempts
ended, how many failed, the median and the 95th percentile of what the others took,
and when the node usually begins and ends, counted from the start of the task. Runs
that failed and have not ended are only counted as such. Then the tasks with that
name that are running: how many of their steps have finished, when each is expected
to end, and which of its nodes take longer than usual.
"5 of about 12 steps finished" says that earlier runs had more steps than are
declared yet. The expected end contains the pauses, retries and loops that earlier
runs had. While a step takes longer than usual, or does not begin, the expected end
moves: the task is late by what it has moved so far. A task that waits for a person,
because a step failed or is suspended, has no expected end.

With BIZ and -task: the same for one task and the earlier runs with its name or,
without a name, with its labels.`,
	bind: func(flags *flag.FlagSet) action {
		last := flags.Int("last", query.DefaultRuns, "the last `N` runs")
		labels := labelFlag(flags, "runs with the label `KEY=VALUE`; may be given several times")
		task := flags.String("task", "", "when the task `ID` is expected to end, and the runs like it")
		return func(ctx context.Context, t *tool, args []string) error {
			switch {
			case len(args) == 0 && len(labels) == 0 && *task == "":
				return t.look(ctx, forReading, func(r store.Reader) error { return showStats(ctx, t, r) })
			case len(args) == 0, len(args) == 1 && len(labels) == 0 && *task == "":
				return &usageError{problem: "needs BIZ and NAME, -label or -task, or none of them"}
			case *task != "" && len(args)+len(labels) > 1:
				return &usageError{problem: "-task excludes NAME and -label"}
			case *last < 1:
				return &usageError{problem: "-last must be at least 1"}
			}
			runs := query.Runs{Business: args[0], Labels: labels, Last: *last}
			if len(args) > 1 {
				runs.Name = args[1]
			}
			return t.read(ctx, func(r *reader) error { return showRuns(ctx, t, r, runs, *task) })
		}
	},
}

// figures is the answer to stats.
type figures struct {
	// Bytes, Free and Pending are nil if the store does not report such figures.
	Bytes      *int64         `json:"bytes,omitempty"`
	Free       *int64         `json:"free_bytes,omitempty"`
	Tasks      int            `json:"tasks"`
	Shown      map[string]int `json:"states"`               // shown state: tasks
	Unreadable int            `json:"unreadable,omitempty"` // not among the tasks
	Unfinished int            `json:"unfinished"`
	Nodes      int            `json:"nodes"`
	LiveNodes  int            `json:"live_nodes"` // of unfinished tasks
	First      uint64         `json:"feed_first"`
	Last       uint64         `json:"feed_last"`
	Oldest     string         `json:"feed_oldest"`
	Pending    *int           `json:"to_write_back,omitempty"`
}

func showStats(ctx context.Context, t *tool, s store.Reader) error {
	f := figures{Shown: make(map[string]int)}
	if err := f.measure(ctx, s, t.zone); err != nil {
		return err
	}
	if err := f.countTasks(ctx, s); err != nil {
		return err
	}
	if t.json {
		return writeLine(t.stdout, f)
	}
	return f.write(t)
}

// measure asks the store for its figures. If it does not report any, it reads the
// ends of the feed.
func (f *figures) measure(ctx context.Context, s store.Reader, zone *time.Location) error {
	if statter, ok := s.(store.Statter); ok {
		stats, err := statter.Stats(ctx)
		if err != nil {
			return err
		}
		f.Bytes, f.Free, f.Pending = &stats.Bytes, &stats.Free, &stats.Pending
		f.First, f.Last, f.Oldest = stats.First, stats.Last, shownTime(stats.Oldest, zone)
		return nil
	}
	end, err := s.Feed(ctx, store.End, 1)
	if err != nil {
		return err
	}
	f.First, f.Last = end.First, end.Last.Sequence
	oldest, err := s.Feed(ctx, end.Start(), 1)
	if err != nil {
		return err
	}
	if len(oldest.Transitions) > 0 {
		f.Oldest = shownTime(oldest.Transitions[0].Recorded, zone)
	}
	return nil
}

func (f *figures) countTasks(ctx context.Context, from store.Reader) error {
	for task, err := range store.Tasks(ctx, from, store.ListQuery{}) {
		var passed *store.UnreadableError
		switch {
		case errors.As(err, &passed):
			f.Unreadable = len(passed.Tasks)
			return nil
		case err != nil:
			return err
		}
		f.Tasks++
		f.Shown[task.Shown.String()]++
		f.Nodes += task.Nodes
		if task.Unfinished() {
			f.Unfinished++
			f.LiveNodes += task.Nodes
		}
	}
	return nil
}

func (f *figures) write(t *tool) error {
	tasks := fmt.Sprint(f.Tasks)
	var states []string
	for st := state.Created; st <= state.Finished; st++ {
		if n := f.Shown[st.String()]; n > 0 {
			states = append(states, fmt.Sprintf("%d %s", n, st))
		}
	}
	if len(states) > 0 {
		tasks += ": " + strings.Join(states, ", ")
	}
	feed := "empty"
	if f.Oldest != "" {
		feed = fmt.Sprintf("%d to %d, the oldest recorded %s", f.First, f.Last, f.Oldest)
	}
	rows := table{states: -1}
	if f.Bytes == nil {
		rows.add("database", t.where())
	} else {
		rows.add("file", fmt.Sprintf("%s: %s, of which %s are in use", t.db, byteCount(*f.Bytes), byteCount(*f.Bytes-*f.Free)))
	}
	rows.add("tasks", tasks)
	rows.add("unfinished", fmt.Sprintf("%s with %s", count(f.Unfinished, "task"), count(f.LiveNodes, "node")))
	rows.add("nodes", fmt.Sprint(f.Nodes))
	if f.Unreadable > 0 {
		rows.add("unreadable", count(f.Unreadable, "task"))
	}
	rows.add("feed", feed)
	if f.Pending != nil {
		rows.add("to write back", count(*f.Pending, "transition"))
	}
	return rows.show(t.stdout)
}
