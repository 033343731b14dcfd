package runner

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/examples/internal/terminal"
	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// display shows a task while it runs, from the engine's transitions: on a terminal as
// a tree that is redrawn, otherwise as a line for each event. It is independent of
// the run.
type display struct {
	w        io.Writer
	terminal *os.File // nil: lines
	color    bool
	quiet    bool

	failedFirst bool // the convention of shown states

	task   state.Key
	labels map[string]string // by key
	notes  chan string
	last   chan store.Position // ends it once it has shown everything before that
	done   chan struct{}
	drawn  int // lines on the terminal that the next frame replaces
}

// frameInterval is the time between frames, which also update durations.
const frameInterval = 100 * time.Millisecond

// newDisplay makes a display for a call. It redraws if standard error is a
// terminal that can.
func newDisplay(c *call, def *definition) *display {
	d := &display{
		w: c.stderr, quiet: c.quiet, failedFirst: c.failedFirst, task: c.key(), labels: labels(def),
		notes: make(chan string), last: make(chan store.Position), done: make(chan struct{}),
	}
	if isTerminal(c.stderr) && !c.quiet && os.Getenv("TERM") != "dumb" {
		d.terminal, d.color = c.stderr.(*os.File), os.Getenv("NO_COLOR") == ""
	}
	return d
}

// isTerminal reports whether what is written to w is shown on a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if ok {
		_, _, ok = terminal.Size(f)
	}
	return ok
}

// labels are the display names of the nodes, by their keys in the record; the root's
// key is "".
func labels(def *definition) map[string]string {
	byKey := map[string]string{"": cmp.Or(def.root.name, "pipeline")}
	for _, n := range def.nodes {
		label := n.label()
		for in := n.in; in.within != nil; in = in.within.in {
			label = in.within.label() + " / " + label
		}
		byKey[n.id] = label
	}
	return byKey
}

// follow shows what happens after a position until stop is called or the engine
// fails; then done is closed.
func (d *display) follow(e *engine.Engine, after store.Position) {
	ctx, stop := context.WithCancel(context.Background())
	changes := make(chan store.Event)
	go func() {
		defer close(changes)
		for event, err := range e.Watch(ctx, after) {
			if err != nil {
				return
			}
			changes <- event
		}
	}()
	go func() {
		defer close(d.done)
		defer func() {
			stop()
			for range changes { // the watch may be at one
			}
		}()
		tick := time.NewTicker(frameInterval)
		defer tick.Stop()
		shown, last := after, store.End
		for shown.Lag(last) > 0 {
			select {
			case tr, ok := <-changes:
				if !ok {
					return
				}
				shown = tr.Position
				if tr.Task == d.task && d.terminal == nil && !d.quiet {
					d.line(e, tr.Transition)
				}
			case text := <-d.notes:
				d.clear()
				fmt.Fprintln(d.w, text)
			case last = <-d.last:
			case <-tick.C:
				d.frame(e)
			}
		}
	}()
}

// stop ends the display after it has shown everything that the engine recorded, and
// draws the final tree.
func (d *display) stop(ctx context.Context, e *engine.Engine, s store.Store) {
	select {
	case d.last <- e.Position():
		<-d.done
	case <-d.done:
	}
	// The store alone answers as well as the engine did, and also if that failed.
	if snap, err := s.Load(ctx, store.Ref{Key: d.task}); err == nil && d.terminal != nil {
		d.draw(snap.Tree, false)
	}
}

// note prints a message above the tree.
func (d *display) note(text string) {
	select {
	case d.notes <- picture.Printable(text):
	case <-d.done:
	}
}

func (d *display) frame(e *engine.Engine) {
	if d.terminal == nil {
		return
	}
	// Before the task is created there is nothing to draw, and nothing can
	// be done here about an engine that fails.
	if snap, err := e.Load(context.Background(), store.Ref{Key: d.task}); err == nil {
		d.draw(snap.Tree, true)
	}
}

// draw replaces the frame on the terminal: the tree and a line that sums it up. If
// it must fit, nodes that have finished make room.
func (d *display) draw(tree *state.Tree, fit bool) {
	columns, rows, ok := terminal.Size(d.terminal)
	if !ok {
		return
	}
	v := view{tree: tree, now: time.Now(), columns: columns, color: d.color, failedFirst: d.failedFirst}
	lines := v.lines()
	if fit {
		lines = fitted(lines, rows-2)
	}
	lines = append(lines, viewLine{text: v.summary()})
	var b strings.Builder
	d.up(&b)
	for _, l := range lines {
		b.WriteString("\x1b[K" + l.text + "\n")
	}
	b.WriteString("\x1b[J")
	d.drawn = len(lines)
	_, _ = io.WriteString(d.w, b.String()) // there is nowhere to report it
}

// clear removes the frame.
func (d *display) clear() {
	var b strings.Builder
	d.up(&b)
	if d.drawn > 0 {
		b.WriteString("\x1b[J")
	}
	d.drawn = 0
	_, _ = io.WriteString(d.w, b.String())
}

func (d *display) up(b *strings.Builder) {
	if d.drawn > 0 {
		fmt.Fprintf(b, "\r\x1b[%dA", d.drawn)
	}
}

// line describes a transition in one line, except for declarations and the passing
// of gateways and events.
func (d *display) line(e *engine.Engine, tr *state.Transition) {
	if len(tr.Changes) == 0 {
		return
	}
	c := &tr.Changes[0]
	passed := c.Kind != state.ServiceActivity && !c.Kind.Container()
	if tr.Op == state.Declare || tr.Op == state.Create || passed && tr.Op != state.Fail && tr.Op != state.Retry {
		return
	}
	text := tr.Op.String()
	switch {
	case tr.Op == state.Loop:
		text = fmt.Sprintf("loop %d", c.Loop)
	case tr.Op == state.Retry:
		text = fmt.Sprintf("retry %d", c.Retries)
	case tr.Op == state.Fail && c.ErrorIgnored:
		text = "fail, ignored"
	}
	label := c.ID
	if snap, err := e.Load(context.Background(), store.ByNode(c.ID)); err == nil {
		label = d.labels[snap.Tree.Node(snap.Index).Key]
	}
	if c.Error != "" {
		label += ": " + picture.Cause(c.Error)
	}
	fmt.Fprintf(d.w, "%s  %-9s %s\n", tr.At.Time().Local().Format(time.TimeOnly), text, picture.Printable(label))
}
