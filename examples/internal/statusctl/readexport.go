package statusctl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"unicode/utf8"

	"github.com/pipestatus/pipestatus/state"
)

// Limits of an export, so that a hostile one takes neither all memory nor a
// deep stack. The last two are ten times what an engine allows by default.
const (
	maxExportLine = 64 << 20
	maxLevels     = 1000
	maxNodes      = 1_000_000
)

// errDamaged: what should be an export is none, damaged, or not whole.
var errDamaged = errors.New("damaged export")

// readExport iterates over the transitions of an export. An error ends the
// iteration: one that matches errDamaged, or what r failed with. Every task that
// has been yielded completely is one that replays, and whose transitions agree
// with each other.
func readExport(r io.Reader) iter.Seq2[*state.Transition, error] {
	return func(yield func(*state.Transition, error) bool) {
		in := importer{lines: newLineReader(r, maxExportLine)}
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
	lines *lineReader
	tree  *state.Tree // of the task being read, nil before the first
	read  exportEnd   // what the last line must say
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errDamaged}, args...)...)
}

// decode reads the next line into v: one object, all of whose fields v has.
func (in *importer) decode(v any) error {
	line, err := in.lines.next()
	switch {
	case errors.Is(err, errLineTooLong):
		return damaged("%w", err)
	case errors.Is(err, io.EOF):
		return damaged("no end: %w", io.ErrUnexpectedEOF)
	case err != nil:
		return err
	case !utf8.Valid(line):
		return damaged("not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return damaged("%w", noEnd(err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return damaged("more than one object in a line")
	}
	return nil
}

// noEnd keeps a line that is cut from being taken for the end.
func noEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (in *importer) header() error {
	var h exportHeader
	err := in.decode(&h)
	switch {
	case err != nil && !errors.Is(err, errDamaged):
		return err
	case err != nil || h.Format != exportFormat:
		return damaged("its first line is not that of an export")
	case h.Version != exportVersion:
		return damaged("it is of version %d, this program reads %d", h.Version, exportVersion)
	}
	return nil
}

// next reads one transition, io.EOF after the last.
func (in *importer) next() (*state.Transition, error) {
	var l struct {
		transitionRecord
		exportEnd
	}
	if err := in.decode(&l); err != nil {
		return nil, fmt.Errorf("after %d transitions: %w", in.read.Transitions, err)
	}
	if l.End {
		in.read.End = true
		if l.exportEnd != in.read || l.Op != "" {
			return nil, damaged("%d tasks with %d transitions do not match the last line", in.read.Tasks, in.read.Transitions)
		}
		if _, err := in.lines.next(); !errors.Is(err, io.EOF) {
			return nil, damaged("something follows its end")
		}
		return nil, io.EOF
	}
	tr, err := l.transition()
	if err == nil {
		err = in.follow(tr)
	}
	if err != nil {
		return nil, damaged("transition %d: %w", l.Seq, err)
	}
	return tr, nil
}

// follow holds a transition against those of its task before it.
func (in *importer) follow(tr *state.Transition) error {
	if !tr.Op.Valid() || tr.Op == state.Delete || !tr.At.IsSet() || !tr.Recorded.IsSet() || len(tr.Changes) == 0 {
		return errors.New("lacks its op, times or changes")
	}
	if tr.Actor != "" {
		if err := state.CheckID("actor", tr.Actor); err != nil {
			return err
		}
	}
	isNew := tr.Op == state.Create || tr.Op == state.Declare
	if isNew != (tr.Changes[0].Declared != nil) {
		return fmt.Errorf("a %s with a node that does not fit", tr.Op)
	}
	if tr.Op == state.Create {
		in.tree = state.NewTree(tr.Task)
		in.read.Tasks++
	}
	if in.tree == nil {
		return errors.New("no create before it")
	}
	if tr.Task != in.tree.Key() || tr.Sequence <= in.tree.Revision() {
		return fmt.Errorf("does not follow %d of task %s", in.tree.Revision(), in.tree.Key())
	}
	for i := range tr.Changes {
		if err := in.fits(tr, &tr.Changes[i]); err != nil {
			return fmt.Errorf("node %q: %w", tr.Changes[i].ID, err)
		}
	}
	next, err := in.tree.Replay(tr)
	if err != nil {
		return err
	}
	if next.Shown(0) != tr.Shown {
		return fmt.Errorf("the task shows %s after it", next.Shown(0))
	}
	in.tree = next
	in.read.Transitions++
	return nil
}

// fits holds one change against the tree before its transition. Of a new node
// it finds the container, which a record names by its ID.
func (in *importer) fits(tr *state.Transition, c *state.Change) error {
	if c.Loop < 1 || c.Retries < 0 || c.Skips < 0 || max(c.Loop, c.Retries, c.Skips) > math.MaxInt32 {
		return errors.New("counts that cannot be")
	}
	if !c.Updated.IsSet() || c.Error != state.CutError(c.Error) {
		return errors.New("no time, or an error text that cannot be")
	}
	d := c.Declared
	if d == nil {
		if c.Index < 0 || c.Index >= in.tree.Len() {
			return errors.New("unknown")
		}
		n := in.tree.Node(c.Index)
		if n.ID != c.ID || n.Kind != c.Kind || n.State != c.From || c.Superseded != nil && *c.Superseded != n.Attempt {
			return errors.New("is not what it was before")
		}
		return nil
	}
	// What an operation may say, the record of it may.
	op := state.Op{
		Kind: tr.Op, Node: c.ID, Name: d.Name, Parent: d.Parent, NoRetry: d.NoRetry, NoSkip: d.NoSkip,
		MaxLoops: d.MaxLoops, NewVersion: c.Version, Now: tr.Recorded,
	}
	if d.ParentIndex = -1; tr.Op == state.Create {
		op.Task = tr.Task
	} else {
		op.NodeKind = c.Kind
		p, ok := in.tree.Find(d.Parent)
		if !ok {
			return fmt.Errorf("there is no node %q", d.Parent)
		}
		if in.tree.Level(p) >= maxLevels || in.tree.Len() >= maxNodes {
			return fmt.Errorf("more than %d levels or %d nodes", maxLevels, maxNodes)
		}
		d.ParentIndex = p
	}
	if _, taken := in.tree.Find(c.ID); taken || c.From != 0 || c.Superseded != nil {
		return errors.New("is not new")
	}
	return op.Validate()
}
