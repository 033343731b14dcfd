package statusctl

import (
	"context"
	"flag"
	"fmt"

	"github.com/pipestatus/pipestatus/examples/internal/terminal"
	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/store"
)

var historyCommand = command{
	name: "history", args: "NODE", summary: "show every attempt of a node, the current one last",
	least: 1, most: 1,
	bind: func(*flag.FlagSet) func(context.Context, *tool, []string) error {
		return func(ctx context.Context, t *tool, args []string) error {
			return t.read(ctx, func(r *reader) error { return showHistory(ctx, t, r, args[0]) })
		}
	},
}

func showHistory(ctx context.Context, t *tool, r *reader, id string) error {
	attempts, err := r.History(ctx, id)
	if err != nil {
		return err
	}
	snap, err := r.store.Load(ctx, store.ByNode(id))
	if err != nil {
		return err
	}
	node := snap.Tree.Node(snap.Index)
	attempts = append(attempts, r.AttemptOf(&node))
	if t.json {
		for i := range attempts {
			if err := writeLine(t.stdout, &attempts[i]); err != nil {
				return err
			}
		}
		return nil
	}
	title := label(node.Kind, node.Name) + ", node " + id + " of task " + taskName(snap.Tree.Key())
	if _, err := fmt.Fprintln(t.stdout, terminal.Printable(title)); err != nil {
		return err
	}
	rows := table{states: 2}
	rows.add("LOOP", "RETRY", "STATE", "STARTED", "FINISHED", "TOOK", "VERSION", "REMARKS")
	for i := range attempts {
		a := &attempts[i]
		remark := picture.Cause(a.Error)
		switch {
		case a.Skip:
			remark = "skipped"
		case a.ErrorIgnored:
			remark = "error ignored: " + remark
		}
		rows.add(fmt.Sprint(a.Loop), fmt.Sprint(a.Retry), a.State.String(), whenShown(a.Started), whenShown(a.Finished),
			took(a.Started, a.Finished, t.now()), a.Version, remark)
	}
	return rows.write(t.stdout, paletteFor(t.stdout))
}
