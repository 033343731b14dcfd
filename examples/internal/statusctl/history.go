package statusctl

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var historyCommand = command{
	name: "history", args: "NODE, or BIZ TASK [NODE|KEY]", summary: "show every attempt of a node, the current one last",
	least: 1, most: 3,
	detail: `
A task without a node stands for its root pipeline. Inputs and outputs are shown
in one line each; -json has them whole.`,
	run: func(ctx context.Context, t *tool, args []string) error {
		return t.read(ctx, func(r *reader) error { return showHistory(ctx, t, r, args) })
	},
}

// nodeOf finds a node by its ID, or in a task by its ID or key, or the root of a task.
func nodeOf(ctx context.Context, r *reader, args []string) (key state.Key, detail *query.NodeDetail, err error) {
	if len(args) > 1 {
		key = state.Key{Business: args[0], Task: args[1]}
	}
	node := ""
	if len(args) != 2 {
		node = args[len(args)-1]
	}
	if len(args) == 1 {
		if err := state.CheckID("node ID", node); err != nil {
			return key, nil, err
		}
		at, err := r.store.Locate(ctx, store.ByNode(node))
		if errors.Is(err, state.ErrNotFound) {
			err = fmt.Errorf("%w: node %q", state.ErrNotFound, node)
		}
		if err != nil {
			return key, nil, err
		}
		key = at.Key
	}
	detail, err = r.Node(ctx, key.Business, key.Task, node)
	return key, detail, err
}

func showHistory(ctx context.Context, t *tool, r *reader, args []string) error {
	task, node, err := nodeOf(ctx, r, args)
	if err != nil {
		return err
	}
	if t.json {
		for a, err := range node.Attempts {
			if err != nil {
				return err
			}
			if err := writeLine(t.stdout, a); err != nil {
				return err
			}
		}
		return nil
	}
	rows, data := table{states: 2, times: []int{3, 4}, spare: []int{6, 4}}, table{states: -1}
	rows.add("LOOP", "RETRY", "STATE", "STARTED", "FINISHED", "TOOK", "VERSION", "REMARKS")
	for a, err := range node.Attempts {
		if err != nil {
			return err
		}
		remark := picture.Cause(a.Error)
		switch {
		case a.Skip:
			remark = "skipped"
		case a.ErrorIgnored:
			remark = "error ignored: " + remark
		}
		var stands time.Time
		if a.Current { // people see a container as elsewhere
			stands, a.State = node.Stands, node.Status.State
		}
		rows.add(fmt.Sprint(a.Loop), fmt.Sprint(a.Retry), a.State.String(), whenShown(a.Started), whenShown(a.Finished),
			took(a.Started, a.Finished, stands, t.now()), a.Version, remark)
		addData(&data, &a)
	}
	title := picture.Label(node.Status.Kind, node.Status.Name) + ", node " + node.Status.ID
	if node.Status.Key != "" {
		title += ", key " + node.Status.Key
	}
	title += " of task " + taskName(task)
	if _, err := fmt.Fprintln(t.stdout, picture.Printable(title)); err != nil {
		return err
	}
	if err := rows.show(t.stdout); err != nil || len(data.rows) == 0 {
		return err
	}
	if _, err := fmt.Fprintln(t.stdout); err != nil {
		return err
	}
	return data.show(t.stdout)
}

// dataWidth is how many columns of an input or output people get to see.
const dataWidth = 160

// addData adds the input and output of an attempt, a line each.
func addData(rows *table, a *query.Attempt) {
	for _, part := range []struct {
		what string
		data *state.Data
	}{{"input", a.Input}, {"output", a.Output}} {
		if part.data != nil {
			rows.add(fmt.Sprintf("loop %d, retry %d", a.Loop, a.Retry), part.what, byteCount(int64(part.data.Size())), dataText(part.data))
		}
	}
}

// dataText is the beginning of an input or output.
func dataText(d *state.Data) string {
	b := d.Bytes()
	if !utf8.Valid(b) {
		return "not text"
	}
	return picture.Fit(picture.Printable(string(b[:min(len(b), 4*dataWidth)])), dataWidth)
}
