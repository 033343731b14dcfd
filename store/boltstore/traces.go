package boltstore

import (
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
)

// traces are the traces of a task's nodes by index, in small arrays, since most
// tasks change few of their nodes while the overlay has them.
type traces []*[tracesPiece]state.Trace

const tracesPiece = 8

// get returns the trace of a node, the zero Trace if it is not known.
func (t traces) get(index int) state.Trace {
	if i := index / tracesPiece; i < len(t) && t[i] != nil {
		return t[i][index%tracesPiece]
	}
	return state.Trace{}
}

func (t *traces) set(index int, trace state.Trace) {
	i := index / tracesPiece
	for len(*t) <= i {
		*t = append(*t, nil)
	}
	if (*t)[i] == nil {
		(*t)[i] = new([tracesPiece]state.Trace)
	}
	(*t)[i][index%tracesPiece] = trace
}

// trace returns the trace of a node of a task. e is the task's newest entry,
// nil if the overlay has none. If the overlay has a change of the node, the
// trace is there; otherwise it is read from the file.
func (o *overlay) trace(e *entry, file func() (*bolt.Tx, error), number uint64, index int) (state.Trace, error) {
	if e != nil {
		if t := e.traces.get(index); t.IsSet() {
			return t, nil
		}
	}
	if e != nil && o.frozen != nil && e.in != o.frozen {
		if older := o.frozen.entries[number]; older != nil {
			if t := older.traces.get(index); t.IsSet() {
				return t, nil
			}
		}
	}
	tx, err := file()
	if err != nil {
		return state.Trace{}, err
	}
	var n state.Node
	if err := readNode(tx, number, index, &n); err != nil {
		return state.Trace{}, fmt.Errorf("node %d: %w", index, err)
	}
	t := state.TraceOf(n.ID, n.Kind, &n.Progress)
	if e != nil {
		e.traces.set(index, t)
	}
	return t, nil
}
