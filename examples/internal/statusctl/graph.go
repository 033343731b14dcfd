package statusctl

import (
	"context"
	"flag"

	"github.com/pipestatus/pipestatus/query/picture"
)

var graphCommand = command{
	name: "graph", args: "BIZ TASK|NODE", summary: "draw a task, or one of its nodes with its content, as an SVG graph",
	least: 2, most: 2,
	detail: timeDetail,
	bind: func(flags *flag.FlagSet) func(context.Context, *tool, []string) error {
		var look look
		look.bind(flags)
		return func(ctx context.Context, t *tool, args []string) error {
			if t.json {
				return &usageError{problem: "-json has no picture; see tree -json"}
			}
			at, err := look.moment(t)
			if err != nil {
				return err
			}
			return t.read(ctx, func(r *reader) error {
				snap, err := r.at(ctx, args[0], args[1], at)
				if err != nil {
					return err
				}
				o := &picture.Options{Location: t.zone, FailedFirst: look.failedFirst, Now: t.now}
				if at.IsSet() {
					o.Now = at.Time
				}
				_, err = t.stdout.Write(picture.AppendGraph(nil, snap.Tree, snap.Index, o))
				return err
			})
		}
	},
}
