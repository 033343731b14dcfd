package statusctl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/pipestatus/pipestatus/query/strictjson"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/wire"
)

// Limits of an export, so that a hostile one cannot exhaust memory or stack. The last
// two are ten times the defaults of an engine.
const (
	maxExportLine = 64 << 20
	lineDepth     = 8
	maxLevels     = 1000
	maxNodes      = 1_000_000
)

// errDamaged: the input is no export, or the export is damaged or incomplete.
var errDamaged = errors.New("damaged export")

// readExport iterates over the transitions of an export. An error ends the
// iteration: one that matches errDamaged, or the error of r. Every task that has been
// yielded completely can be replayed, and its transitions are consistent.
func readExport(r io.Reader) iter.Seq2[*state.Transition, error] { return newImporter(r).all() }

func newImporter(r io.Reader) *importer { return &importer{lines: newLineReader(r, maxExportLine)} }

// all is [readExport] for callers that also use the importer.
func (in *importer) all() iter.Seq2[*state.Transition, error] {
	return func(yield func(*state.Transition, error) bool) {
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
	lines   *lineReader
	length  int         // of the last line in bytes
	version int         // of the export
	tree    *state.Tree // of the task being read, nil before the first
	read    exportEnd   // expected counts in the last line
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errDamaged}, args...)...)
}

// decode reads the next line into v: one object, all of whose fields v has.
func (in *importer) decode(v any) error {
	line, err := in.lines.next()
	in.length = len(line)
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
	if err := strictjson.Names(line, lineDepth, checkName); err != nil {
		return damaged("%w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return damaged("%w", err)
	}
	return nil
}

// checkName refuses a name that differs from a field's name only in case, because
// encoding/json would accept it.
func checkName(name string) error {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return errors.New("an unknown field")
	}
	return nil
}

func (in *importer) header() error {
	var h exportHeader
	err := in.decode(&h)
	switch {
	case err != nil && !errors.Is(err, errDamaged):
		return err
	case err != nil || h.Format != exportFormat:
		return damaged("its first line is not that of an export")
	case h.Version > exportVersion:
		return fmt.Errorf("%w: an export of version %d, this program reads up to %d", store.ErrIncompatible, h.Version, exportVersion)
	case h.Version < 1:
		return damaged("it is of version %d", h.Version)
	}
	in.version = h.Version
	return nil
}

// next reads one transition, io.EOF after the last.
func (in *importer) next() (*state.Transition, error) {
	var l struct {
		wire.Transition
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
	tr, err := l.Value()
	if err == nil {
		err = in.follow(tr)
	}
	if err != nil {
		return nil, damaged("transition %d: %w", l.Seq, err)
	}
	return tr, nil
}

// follow checks a transition against the earlier ones of its task.
func (in *importer) follow(tr *state.Transition) error {
	switch {
	case tr.Op == state.Create:
		in.tree = state.NewTree(tr.Task)
		in.read.Tasks++
	case tr.Op == state.Delete:
		return errors.New("an export has no deletes")
	case in.tree == nil:
		return errors.New("no create before it")
	}
	if tr.Task != in.tree.Key() || tr.Sequence <= in.tree.Revision() {
		return fmt.Errorf("does not follow %d of task %s", in.tree.Revision(), in.tree.Key())
	}
	for i := range tr.Changes {
		if c := &tr.Changes[i]; c.Declared != nil {
			if err := in.place(c); err != nil {
				return fmt.Errorf("node %q: %w", c.ID, err)
			}
		}
	}
	next, err := in.tree.Replay(tr)
	if err != nil {
		return err
	}
	if in.version == 1 {
		tr.Pending = next.Pending(0) // not recorded then
	} else if tr.Pending != next.Pending(0) {
		return fmt.Errorf("%d retries are pending after it, not %d", next.Pending(0), tr.Pending)
	}
	in.tree = next
	in.read.Transitions++
	return nil
}

// place finds the container of a new node, which a record names by its ID.
func (in *importer) place(c *state.Change) error {
	if _, taken := in.tree.Find(c.ID); taken {
		return errors.New("is not new")
	}
	d := c.Declared
	if d.ParentIndex = -1; d.Parent == "" {
		return nil // or it is no root, which is malformed
	}
	p, ok := in.tree.Find(d.Parent)
	if !ok {
		return fmt.Errorf("there is no node %q", d.Parent)
	}
	if in.tree.Level(p) >= maxLevels || in.tree.Len() >= maxNodes {
		return fmt.Errorf("more than %d levels or %d nodes", maxLevels, maxNodes)
	}
	d.ParentIndex = p
	return nil
}
