package statusctl

import (
	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/store"
)

var graphCommand = command{
	name: "graph", args: "BIZ TASK|NODE", summary: "draw a task, or one of its nodes with its content, as an SVG graph",
	least: 2, most: 2,
	detail: timeDetail,
	bind: looking(func(t *tool, snap store.Snapshot, o *picture.Options) error {
		if t.json {
			return &usageError{problem: "-json has no picture; see tree -json"}
		}
		return t.write(string(picture.AppendGraph(nil, snap.Tree, snap.Index, o)))
	}),
}
