package statusctl

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/examples/internal/database"
	"github.com/pipestatus/pipestatus/examples/internal/terminal"
	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/feed"
	"github.com/pipestatus/pipestatus/store/wire"
)

// pollEvery is the polling interval of watch -follow.
const pollEvery = 500 * time.Millisecond

var watchCommand = command{
	name: "watch", summary: "show transitions of all tasks in the order they were recorded",
	detail: `
Begins after transition N, or with the oldest transition that the file still
keeps for watching. With -follow it continues: it opens a file repeatedly for a
moment, so that others can record, and shows new transitions when it can. It
sees nothing while a runner has the file open. For a database on a server, or a
running program (-db http://HOST:PORT), it shows every transition at once.

With -json each line has all values of every node that the transition changed, as
in an export.
` + timeDetail,
	bind: func(flags *flag.FlagSet) action {
		w := &watcher{trees: make(map[state.Key]*state.Tree)}
		flags.Uint64Var(&w.from, "after", 0, "begin after transition `N`")
		follow := flags.Bool("follow", false, "continue until interrupted, or until the output is closed")
		flags.StringVar(&w.task.Business, "biz", "", "only tasks of the business `ID`")
		flags.StringVar(&w.task.Task, "task", "", "only the task `ID`")
		since := flags.String("since", "", "only what happened from `TIME` on")
		until := flags.String("until", "", "only what happened before `TIME`")
		flags.BoolVar(&w.ids, "ids", false, "show the IDs of the nodes")
		return func(ctx context.Context, t *tool, _ []string) (err error) {
			w.tool = t
			if w.span, err = t.span(*since, *until); err != nil {
				return err
			}
			if !*follow {
				return w.show(ctx, false)
			}
			return w.follow(ctx)
		}
	},
}

// watcher shows transitions.
type watcher struct {
	*tool
	from  uint64      // the last transition not to show, 0 for the oldest
	seen  feed.Memory // the last one shown
	task  state.Key   // only its transitions, "" for all
	span  store.Span  // only transitions of this time
	ids   bool
	trees map[state.Key]*state.Tree // of tasks, for the names of their nodes
}

// wants reports whether a transition is to be shown.
func (w *watcher) wants(tr *state.Transition) bool {
	return (w.task.Business == "" || tr.Task.Business == w.task.Business) &&
		(w.task.Task == "" || tr.Task.Task == w.task.Task) && w.span.Has(tr.At)
}

// maxTrees bounds the trees in memory.
const maxTrees = 50

// name is the display name of a node, or its ID if the task has been deleted.
func (w *watcher) name(ctx context.Context, r *reader, task state.Key, c *state.Change) string {
	if c.Declared != nil {
		return label(c.Kind, c.Declared.Name)
	}
	tree := w.trees[task]
	if tree == nil || c.Index >= tree.Len() || tree.ID(c.Index) != c.ID {
		snap, err := r.store.Load(ctx, store.ByNode(c.ID))
		if err != nil {
			return c.ID
		}
		if tree = snap.Tree; len(w.trees) == maxTrees {
			clear(w.trees)
		}
		w.trees[task] = tree
	}
	n := tree.Node(c.Index)
	return label(n.Kind, n.Name)
}

// follow shows transitions until ctx ends or the output is closed, which are its
// successful ends.
func (w *watcher) follow(ctx context.Context) error {
	for {
		err := w.show(ctx, database.OnServer(w.db))
		switch {
		case ctx.Err() != nil, terminal.ReaderGone(err), w.running() && errors.Is(err, store.ErrClosed):
			return nil
		case err != nil && !errors.Is(err, store.ErrLocked):
			return err
		}
		_ = feed.Sleep(ctx, pollEvery) // the next read notices the end of ctx
	}
}

// show shows the transitions after the last one shown, and with wait also later ones,
// until an error.
func (w *watcher) show(ctx context.Context, wait bool) error {
	return w.read(ctx, func(r *reader) error {
		if err := w.begin(ctx, r); err != nil {
			return err
		}
		for page, err := range feed.Follow(ctx, r.store, &w.seen, nil) {
			if err != nil || len(page.Transitions) == 0 && !wait {
				return err
			}
			out := bufio.NewWriter(w.stdout)
			for _, tr := range page.Transitions {
				if !w.wants(tr) {
					continue
				}
				if err := w.line(ctx, r, out, tr); err != nil {
					return err
				}
			}
			if err := out.Flush(); err != nil {
				return err
			}
		}
		return nil
	})
}

// begin moves to the transition to begin after. A number names no history: it is taken
// as a sequence of the present one.
func (w *watcher) begin(ctx context.Context, r *reader) error {
	if w.from == 0 {
		return nil
	}
	last, err := store.Last(ctx, r.store)
	if err == nil {
		err = w.seen.Save(ctx, last.At(w.from))
		w.from = 0
	}
	return err
}

func (w *watcher) line(ctx context.Context, r *reader, out io.Writer, tr *state.Transition) error {
	if w.json {
		return writeLine(out, wire.OfTransition(tr))
	}
	node := ""
	if len(tr.Changes) > 0 {
		if node = w.name(ctx, r, tr.Task, &tr.Changes[0]); w.ids {
			node += ", node " + tr.Changes[0].ID
		}
	}
	_, err := fmt.Fprintln(out, picture.Printable(transitionLine(tr, node, w.zone)))
	return err
}

// transitionLine is a transition of a node for people. Parts of varying width come
// last.
func transitionLine(tr *state.Transition, node string, zone *time.Location) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%6d  %s  %-9s", tr.Sequence, shownTime(tr.At, zone), tr.Op)
	if len(tr.Changes) == 0 {
		fmt.Fprintf(&b, "%-23s  %s", "", taskName(tr.Task))
		return b.String()
	}
	c := &tr.Changes[0]
	step := c.State.String()
	if c.From != 0 {
		step = c.From.String() + " → " + step
	}
	fmt.Fprintf(&b, "%-23s  %s  %s", step, taskName(tr.Task), node)
	if more := len(tr.Changes) - 1; more > 0 {
		fmt.Fprintf(&b, ", and %d below", more)
	}
	if tr.Actor != "" {
		b.WriteString(", by " + tr.Actor)
	}
	if c.Error != "" && tr.Op == state.Fail {
		b.WriteString(": " + picture.Cause(c.Error))
	}
	if c.ErrorIgnored && tr.Op == state.Fail {
		b.WriteString(" (ignored)")
	}
	return b.String()
}
