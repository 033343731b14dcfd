package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// An export is JSON Lines:
//
//	{"format":"pipestatus-export","version":1,"sequence":4711}
//	{"seq":1,"biz":"2","task":"10","op":"create",…}
//	…
//	{"end":true,"tasks":1,"transitions":17}
//
// The first line names the format and the store's last sequence. Then come the
// tasks, those recorded first first, and of each all its transitions in order,
// one a line, as transitionRecord describes them: they begin with its create
// and hold every value of every node they changed, so that replaying them, or
// committing them to another store, makes the same task with the same history.
// Sequences ascend within a task; a store that takes the tasks gives them its
// own. The last line tells a whole export from one that was cut off.
const (
	exportFormat  = "pipestatus-export"
	exportVersion = 1
)

type exportHeader struct {
	Format   string `json:"format"`
	Version  int    `json:"version"`
	Sequence uint64 `json:"sequence"`
}

type exportEnd struct {
	End         bool `json:"end"`
	Tasks       int  `json:"tasks"`
	Transitions int  `json:"transitions"`
}

var exportCommand = command{
	name: "export", summary: "write all tasks with their whole history as JSON Lines",
	detail: `
The export holds everything the file does, in a form that does not depend on
the machine. It goes to standard output:

  statusctl export > tasks.jsonl

Its last line says "end"; without it, it is not whole.`,
	bind: func(*flag.FlagSet) func(context.Context, *tool, []string) error {
		return func(ctx context.Context, t *tool, _ []string) error {
			return t.read(func(r *reader) error {
				out := bufio.NewWriter(t.stdout)
				return errors.Join(writeExport(ctx, r, out), out.Flush())
			})
		}
	},
}

func writeExport(ctx context.Context, r *reader, out io.Writer) error {
	feed, err := r.store.Changes(ctx, 1<<63, 1)
	if err != nil {
		return err
	}
	if err := writeLine(out, exportHeader{exportFormat, exportVersion, feed.Last}); err != nil {
		return err
	}
	keys, err := allTasks(ctx, r.store)
	if err != nil {
		return err
	}
	end := exportEnd{End: true, Tasks: len(keys)}
	for _, key := range keys {
		snap, err := r.store.Load(ctx, store.ByKey(key.Business, key.Task))
		if err != nil {
			return err
		}
		for tr, err := range r.Transitions(ctx, snap.Tree) {
			if err != nil {
				return err
			}
			if err := writeLine(out, recordOf(tr)); err != nil {
				return err
			}
			end.Transitions++
		}
	}
	return writeLine(out, end)
}

// allTasks lists the keys of all tasks, those recorded first first.
func allTasks(ctx context.Context, from store.Reader) (keys []state.Key, err error) {
	var q store.ListQuery
	for {
		page, err := from.List(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range page.Tasks {
			keys = append(keys, page.Tasks[i].Key)
		}
		if q.Cursor = page.Cursor; q.Cursor == "" {
			slices.Reverse(keys)
			return keys, nil
		}
	}
}

// readExport iterates over the transitions of an export. An error ends the
// iteration: store.ErrIncompatible for another format or version,
// store.ErrCorrupt for what is damaged or not whole, or what r failed with.
// Every task that has been yielded completely is one that replays.
func readExport(r io.Reader) iter.Seq2[*state.Transition, error] {
	return func(yield func(*state.Transition, error) bool) {
		in := importer{dec: json.NewDecoder(r)}
		in.dec.DisallowUnknownFields()
		err := in.header()
		for err == nil {
			var tr *state.Transition
			if tr, err = in.next(); err == nil && !yield(tr, nil) {
				return
			}
		}
		if !errors.Is(err, io.EOF) {
			yield(nil, err)
		}
	}
}

// importer reads an export.
type importer struct {
	dec  *json.Decoder
	tree *state.Tree // of the task being read, nil before the first
	read exportEnd   // what the last line must say
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: export: "+format, append([]any{store.ErrCorrupt}, args...)...)
}

func (in *importer) header() error {
	var h exportHeader
	if err := in.dec.Decode(&h); err != nil || h.Format != exportFormat {
		return fmt.Errorf("%w: not an export of pipestatus", store.ErrIncompatible)
	}
	if h.Version != exportVersion {
		return fmt.Errorf("%w: export of version %d, this program reads %d", store.ErrIncompatible, h.Version, exportVersion)
	}
	return nil
}

// next reads one transition, io.EOF after the last.
func (in *importer) next() (*state.Transition, error) {
	var l struct {
		transitionRecord
		exportEnd
	}
	if err := in.dec.Decode(&l); err != nil {
		return nil, damaged("after %d transitions: %w", in.read.Transitions, noEnd(err))
	}
	if l.End {
		in.read.End = true
		if l.exportEnd != in.read || l.Op != "" || in.dec.More() {
			return nil, damaged("%d tasks with %d transitions do not match the last line", in.read.Tasks, in.read.Transitions)
		}
		return nil, io.EOF
	}
	tr, err := l.transition()
	if err != nil {
		return nil, damaged("transition %d: %w", l.Seq, err)
	}
	return tr, in.replay(tr)
}

// noEnd keeps a missing end from being taken for the end.
func noEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// replay holds a transition against those of its task before it.
func (in *importer) replay(tr *state.Transition) error {
	if !tr.Op.Valid() || tr.Op == state.Delete || !tr.Shown.Valid() || !tr.At.IsSet() || !tr.Recorded.IsSet() || len(tr.Changes) == 0 {
		return damaged("transition %d lacks its op, state, times or changes", tr.Sequence)
	}
	if tr.Op == state.Create {
		if err := tr.Task.Validate(); err != nil {
			return damaged("transition %d: %w", tr.Sequence, err)
		}
		in.tree = state.NewTree(tr.Task)
		in.read.Tasks++
	}
	if in.tree == nil {
		return damaged("transition %d has no create before it", tr.Sequence)
	}
	if tr.Task != in.tree.Key() || tr.Sequence <= in.tree.Revision() {
		return damaged("transition %d does not follow %d of task %s", tr.Sequence, in.tree.Revision(), in.tree.Key())
	}
	if err := in.place(tr); err != nil {
		return err
	}
	next, err := in.tree.Replay(tr)
	if err != nil {
		return damaged("%w", err)
	}
	in.tree = next
	in.read.Transitions++
	return nil
}

// place finds the containers of new nodes, which records name by their IDs.
func (in *importer) place(tr *state.Transition) error {
	for i := range tr.Changes {
		c := &tr.Changes[i]
		d := c.Declared
		if d == nil {
			continue
		}
		if err := state.CheckID("node ID", c.ID); err != nil {
			return damaged("transition %d: %w", tr.Sequence, err)
		}
		d.ParentIndex = -1
		if d.Parent != "" {
			var ok bool
			if d.ParentIndex, ok = in.tree.Find(d.Parent); !ok {
				return damaged("transition %d: there is no node %q", tr.Sequence, d.Parent)
			}
		}
	}
	return nil
}
