package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/state"
)

var treeCommand = command{
	name: "tree", args: "BIZ TASK|NODE", summary: "show a task, or what is below one of its nodes, as a tree",
	least: 2, most: 2,
	detail: timeDetail,
	bind: func(flags *flag.FlagSet) func(context.Context, *tool, []string) error {
		var look look
		look.bind(flags)
		return func(ctx context.Context, t *tool, args []string) error {
			return t.read(func(r *reader) error {
				at, err := look.moment(t)
				if err != nil {
					return err
				}
				snap, err := r.at(ctx, args[0], args[1], at)
				if err != nil {
					return err
				}
				v := view{tree: snap.Tree, zone: t.zone, now: t.now(), at: at}
				if at.IsSet() {
					v.now = at.Time()
				}
				if look.failedFirst {
					v.shown = snap.Tree.ShownFailedFirst(nil)
				}
				if t.json {
					return v.writeJSON(t.stdout, snap.Node, 0)
				}
				return v.write(t.stdout, snap.Node, paletteFor(t.stdout))
			})
		}
	},
}

// view draws a tree.
type view struct {
	tree  *state.Tree
	shown []state.State // what nodes show, nil for the default convention
	zone  *time.Location
	now   time.Time
	at    state.Instant // now, if it is not the present
}

func (v *view) state(i int) state.State {
	if v.shown != nil {
		return v.shown[i]
	}
	return v.tree.Shown(i)
}

// write draws node i and what is below it: a line about it, then a line a node.
func (v *view) write(w io.Writer, i int, p palette) error {
	root := v.tree.Node(i)
	title := "Task " + taskName(v.tree.Key())
	if i > 0 {
		title = "Node " + root.ID + " of task " + taskName(v.tree.Key())
	}
	if root.Started.IsSet() {
		title += ", started " + shownTime(root.Started, v.zone)
	}
	if root.Finished.IsSet() {
		title += ", finished " + shownTime(root.Finished, v.zone)
	}
	if v.at.IsSet() {
		title += ", at " + shownTime(v.at, v.zone)
	}
	if summary := summary(v.tree.Counts(i)); summary != "" && root.Kind.Container() {
		title += ": " + summary
	}
	if _, err := fmt.Fprintln(w, printable(title)); err != nil {
		return err
	}
	var rows table
	v.draw(&rows, i, "", "")
	return rows.write(w, p)
}

// draw adds the row of node i, whose label stands after the guide lines here,
// and those of its children, after the guide lines below.
func (v *view) draw(rows *table, i int, here, below string) {
	n := v.tree.Node(i)
	rows.add(v.state(i).String(), here+label(n.Kind, n.Name),
		took(n.Started, n.Finished, v.now), n.ID, v.remarks(&n))
	for c := v.tree.FirstChild(i); c >= 0; {
		next := v.tree.NextSibling(c)
		if next >= 0 {
			v.draw(rows, c, below+"├─ ", below+"│  ")
		} else {
			v.draw(rows, c, below+"└─ ", below+"   ")
		}
		c = next
	}
}

// remarks is what is out of the ordinary about a node.
func (v *view) remarks(n *state.Node) string {
	var parts []string
	times := func(count int, what string) {
		switch {
		case count == 1:
			parts = append(parts, what+" once")
		case count > 1:
			parts = append(parts, fmt.Sprintf("%s %d times", what, count))
		}
	}
	times(n.Retries, "retried")
	times(n.Skips, "skipped")
	if n.Loop > 1 {
		parts = append(parts, fmt.Sprintf("loop %d", n.Loop))
	}
	if n.RetryAt.IsSet() {
		parts = append(parts, "retries by itself at "+shownTime(n.RetryAt, v.zone))
	}
	if n.ErrorIgnored {
		parts = append(parts, "error ignored")
	}
	text := strings.Join(parts, ", ")
	if n.Error != "" {
		text = strings.TrimPrefix(text+": "+firstLine(n.Error), ": ")
	}
	return text
}

// summary is counts of leaves as words, in the order of the states.
func summary(c state.Counts) string {
	var parts []string
	for st, n := range c {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state.State(st)))
		}
	}
	return strings.Join(parts, ", ")
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
}

func (v *view) writeJSON(w io.Writer, i, depth int) error {
	n := v.tree.Node(i)
	err := writeLine(w, nodeRecord{
		Depth: depth, ID: n.ID, Parent: n.Parent, Kind: n.Kind.String(), Name: n.DisplayName(),
		State: v.state(i).String(), Version: n.Version.String(), Loop: n.Loop, Retries: n.Retries, Skips: n.Skips,
		Skip: n.Skipped, ErrorIgnored: n.ErrorIgnored, Started: shownTime(n.Started, v.zone),
		Finished: shownTime(n.Finished, v.zone), RetryAt: shownTime(n.RetryAt, v.zone), Error: n.Error,
	})
	for c := range v.tree.Children(i) {
		if err != nil {
			return err
		}
		err = v.writeJSON(w, c, depth+1)
	}
	return err
}
