// Package picture draws tasks for people: as a tree of text for terminals, as a
// tree for Mermaid, as a timeline and as a graph in SVG. It also has the words
// that pictures, tools and the page share for durations, retries and errors.
//
// Names and errors are shown as plain text: control sequences and markup in them
// have no effect on a terminal, on Mermaid, HTML or XML.
package picture

import (
	"time"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
)

// Options configure pictures. A nil *Options and zero or negative fields stand for
// the defaults.
type Options struct {
	// Location is the time zone of all times. Default: time.Local.
	Location *time.Location
	// Now is the clock for the durations of running nodes. Default: time.Now.
	Now func() time.Time
	// FailedFirst shows a container as FAILED as soon as a child is, see
	// [state.Tree.ShownFailedFirst]. Default: the convention of [state.Tree.Shown].
	FailedFirst bool
	// Keys names nodes by their keys in a text tree, as [query.Options] says.
	// Default: by their IDs.
	Keys bool
	// Color paints the states of a text tree with the color sequences of
	// terminals. The caller decides whether the output is a terminal with
	// colors. Default: no.
	Color bool
	// Columns is the width of a text tree: names are cut to two fifths of it and
	// remarks to the rest. IDs and keys are never cut, but with Keys the IDs of
	// nodes without a key are left out if remarks would have less than a third of it.
	// Default: no bound.
	Columns int
	// Width is the width of a timeline in pixels, at least 480. The height follows
	// from the rows. Default: 1000.
	Width int
	// MaxNodes is how many nodes a timeline or a graph draws. A timeline then says
	// how many more there are; a graph folds its containers. Default: 1000.
	MaxNodes int
}

func (o *Options) withDefaults() (d Options) {
	if o != nil {
		d = *o
	}
	if d.Location == nil {
		d.Location = time.Local
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Width <= 0 {
		d.Width = 1000
	}
	d.Width = max(d.Width, 480)
	if d.MaxNodes <= 0 {
		d.MaxNodes = 1000
	}
	return d
}

// drawing holds the state of drawing a tree.
type drawing struct {
	Options
	tree  *state.Tree
	root  int                     // the root of the drawing
	shown func(i int) state.State // that a node shows, by the convention
	now   state.Instant
}

func newDrawing(tree *state.Tree, node int, o *Options) *drawing {
	d := &drawing{Options: o.withDefaults(), tree: tree, root: node}
	d.now = state.InstantOf(d.Now())
	d.shown = tree.ShownBy(d.FailedFirst)
	return d
}

// appendTime appends a moment, nothing if it is unset.
func (d *drawing) appendTime(dst []byte, at state.Instant) []byte {
	if !at.IsSet() {
		return dst
	}
	return at.Time().In(d.Location).AppendFormat(dst, query.TimeLayout)
}
