package statusctl

import (
	"context"
	"flag"

	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var graphCommand = command{
	name: "graph", args: "BIZ TASK|NODE", summary: "draw a task, or one of its nodes with its content, as an SVG graph",
	least: 2, most: 2,
	detail: timeDetail,
	bind: func(flags *flag.FlagSet) action {
		var look look
		look.bind(flags, "with its content")
		return func(ctx context.Context, t *tool, args []string) error {
			if t.json {
				return &usageError{problem: "-json has no picture; see tree -json"}
			}
			return look.show(ctx, t, args, func(snap store.Snapshot, _ state.Instant, o *picture.Options) error {
				_, err := t.stdout.Write(picture.AppendGraph(nil, snap.Tree, snap.Index, o))
				return err
			})
		}
	},
}
