package statusctl

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var treeCommand = command{
	name: "tree", args: "BIZ TASK|NODE", summary: "show a task, or one of its nodes with its content, as a tree",
	least: 2, most: 2,
	detail: timeDetail,
	bind: func(flags *flag.FlagSet) action {
		var look look
		look.bind(flags, "with its content")
		ids := flags.Bool("ids", false, "show nodes by ID also if they have a key")
		mermaid := flags.Bool("mermaid", false, "write the tree in Mermaid, for Markdown")
		return func(ctx context.Context, t *tool, args []string) error {
			if *mermaid && t.json {
				return &usageError{problem: "-json and -mermaid exclude each other"}
			}
			return look.show(ctx, t, args, func(snap store.Snapshot, at state.Instant, o *picture.Options) error {
				if t.json {
					v := view{tree: snap.Tree, shown: snap.Tree.ShownBy(look.failedFirst), zone: t.zone}
					return v.writeJSON(t.stdout, snap.Index, 0)
				}
				o.Keys, o.Color, o.Columns = !*ids, wantsColors(t.stdout), columnsOf(t.stdout)
				var drawn []byte
				if *mermaid {
					drawn = picture.AppendMermaid(nil, snap.Tree, snap.Index, o)
				} else {
					if at.IsSet() {
						drawn = fmt.Appendf(drawn, "As it was at %s:\n", shownTime(at, t.zone))
					}
					drawn = picture.AppendText(drawn, snap.Tree, snap.Index, o)
				}
				_, err := t.stdout.Write(drawn)
				return err
			})
		}
	},
}

// view shows a tree to programs.
type view struct {
	tree  *state.Tree
	shown func(i int) state.State // shown states of nodes
	zone  *time.Location
}

// nodeRecord is a node in JSON. Times are shown times.
type nodeRecord struct {
	Depth        int    `json:"depth"` // 0 for the node asked for
	ID           string `json:"id"`
	Parent       string `json:"parent"`
	Kind         string `json:"kind"`
	Name         string `json:"name"`
	State        string `json:"state"`
	Version      string `json:"version"`
	Loop         int    `json:"loop"`
	Retries      int    `json:"retries"`
	Skips        int    `json:"skips"`
	Skip         bool   `json:"skip"`
	ErrorIgnored bool   `json:"error_ignored"`
	Started      string `json:"start_time"`
	Finished     string `json:"finish_time"`
	RetryAt      string `json:"retry_at"`
	Error        string `json:"error"`
	// Key, edges and note are absent if the node does not have them.
	Key   string   `json:"key,omitempty"`
	After []string `json:"after,omitempty"` // IDs of the siblings that lead to it
	From  string   `json:"from,omitempty"`  // ID of the node that led to the current attempt
	Note  string   `json:"note,omitempty"`  // the reason of its suspension
}

func (v *view) writeJSON(w io.Writer, i, depth int) error {
	n := v.tree.Node(i)
	record := nodeRecord{
		Depth: depth, ID: n.ID, Parent: n.Parent, Kind: n.Kind.String(), Name: n.DisplayName(),
		State: v.shown(i).String(), Version: n.Version.String(), Loop: n.Loop, Retries: n.Retries, Skips: n.Skips,
		Skip: n.Skipped, ErrorIgnored: n.ErrorIgnored, Started: shownTime(n.Started, v.zone),
		Finished: shownTime(n.Finished, v.zone), RetryAt: shownTime(n.RetryAt, v.zone), Error: n.Error,
		Key: n.Key, Note: n.Note,
	}
	for from := range n.After.All() {
		record.After = append(record.After, v.tree.ID(from))
	}
	if n.CameFrom > 0 {
		record.From = v.tree.ID(n.CameFrom)
	}
	err := writeLine(w, record)
	for c := range v.tree.Children(i) {
		if err != nil {
			return err
		}
		err = v.writeJSON(w, c, depth+1)
	}
	return err
}
