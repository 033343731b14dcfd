package picture

import (
	"fmt"
	"strings"

	"github.com/pipestatus/pipestatus/state"
)

// Measures of a graph in pixels.
const (
	graphBoxWidth  = 176
	graphBoxHeight = 46
	graphAcross    = 18 // between boxes of a layer
	graphAlong     = 46 // between layers
	graphPad       = 14 // around the content of a container
	graphHead      = 26 // of an open container, above its content
	graphMargin    = 16
	graphMost      = 400 // boxes drawn in one container; the others are counted
	graphColumns   = 6   // of containers without recorded flows
	graphName      = 22  // columns of a name
	graphState     = 28  // columns of the line below it
)

// AppendGraph appends a node of a tree, by index, and all below it as a graph in
// SVG: a box for each node, with an outline by kind and a color, a symbol and a
// word for the state it shows, and arrows along the recorded edges, dashed where
// the current attempt came back from a later step. Containers hold the boxes of
// their children. If the tree has more than [Options.MaxNodes] nodes, each container
// below the node is drawn as one box. A container without recorded edges shows
// its nodes in the order of creation, without arrows. Boxes have a tooltip with
// the whole name and the cause of a failure. Like a timeline, the picture loads
// nothing, has no script, and follows the viewer's light or dark scheme.
func AppendGraph(dst []byte, tree *state.Tree, node int, o *Options) []byte {
	d := newDrawing(tree, node, o)
	count := 0
	for range tree.Within(node) {
		count++
	}
	g := &graph{drawing: d, dst: dst, folds: count > d.MaxNodes}
	whole := g.inside(node)
	place(whole, graphMargin, graphMargin+30)
	g.open(whole)
	g.draw(whole)
	return append(g.dst, "</svg>\n"...)
}

// graph is a graph being drawn.
type graph struct {
	*drawing
	dst   []byte
	folds bool // containers below the root are drawn as one box
}

// cell is a box of a layout: a node, or a number of nodes that are not drawn.
type cell struct {
	node       int // -1: more nodes
	more       int
	inside     *layout // of an open container
	x, y, w, h float64
	layer      int
	bend       bool // no box, only an arrow on its way
}

// layout holds the positions of the nodes of a container.
type layout struct {
	cells  []*cell
	arrows []arrow
	w, h   float64
}

// arrow leads from one cell to another, by place.
type arrow struct {
	from, to int
	back     bool
	bends    []*cell // bends on the way
}

// inside lays out the nodes of a container, or a leaf by itself, from (0, 0).
func (g *graph) inside(container int) *layout {
	l := new(layout)
	places := make(map[int]int)
	left := 0
	for i := range g.tree.Children(container) {
		if len(l.cells) == graphMost {
			left++
			continue
		}
		places[i] = len(l.cells)
		l.cells = append(l.cells, g.cell(i))
	}
	switch {
	case left > 0:
		l.cells = append(l.cells, &cell{node: -1, more: left, w: graphBoxWidth, h: graphBoxHeight})
	case len(l.cells) == 0:
		l.cells = append(l.cells, &cell{node: container, w: graphBoxWidth, h: graphBoxHeight})
	}
	for to, c := range l.cells {
		if c.node >= 0 && c.node != container {
			l.arrows = append(l.arrows, g.arrowsTo(to, c.node, places)...)
		}
	}
	if len(l.arrows) > 0 {
		l.layered()
	} else {
		l.grid()
	}
	return l
}

// arrowsTo are the arrows to a node, at a place, from those of its container.
func (g *graph) arrowsTo(to, node int, places map[int]int) (arrows []arrow) {
	n := g.tree.Node(node)
	known := n.CameFrom == 0
	for i := range n.After.All() {
		known = known || i == n.CameFrom
		if from, ok := places[i]; ok {
			arrows = append(arrows, arrow{from: from, to: to})
		}
	}
	if from, ok := places[n.CameFrom]; ok && !known {
		arrows = append(arrows, arrow{from: from, to: to, back: n.CameFrom >= node})
	}
	return arrows
}

func (g *graph) cell(i int) *cell {
	if g.folds || g.tree.FirstChild(i) < 0 {
		return &cell{node: i, w: graphBoxWidth, h: graphBoxHeight}
	}
	inside := g.inside(i)
	return &cell{node: i, inside: inside, w: max(inside.w, graphBoxWidth) + 2*graphPad, h: inside.h + graphHead + graphPad}
}

// place moves a layout and its content from (0, 0) to its position.
func place(l *layout, dx, dy float64) {
	for _, c := range l.cells {
		c.x, c.y = c.x+dx, c.y+dy
		if c.inside != nil {
			place(c.inside, c.x+(c.w-c.inside.w)/2, c.y+graphHead)
		}
	}
	for _, a := range l.arrows {
		for _, c := range a.bends {
			c.x, c.y = c.x+dx, c.y+dy
		}
	}
}

// open begins the document.
func (g *graph) open(whole *layout) {
	n := g.tree.Node(g.root)
	title := Label(n.Kind, n.DisplayName())
	line := Fit(title, 60) + " — " + g.state(g.root)
	if counts := summary(g.tree.Counts(g.root)); counts != "" && n.Kind.Container() {
		line += ": " + counts
	}
	w, h := max(whole.w, float64(9*Columns(line)))+2*graphMargin, whole.h+2*graphMargin+30
	g.printf(`<svg class="graph-of-task" xmlns="http://www.w3.org/2000/svg" width="%[1]s" height="%[2]s" viewBox="0 0 %[1]s %[2]s" role="img" font-family="system-ui, sans-serif" font-size="11">`+"\n", pixels(w), pixels(h))
	g.dst = append(appendXML(append(g.dst, "<title>"...), "Graph of "+title), "</title>\n"...)
	g.printf("<style>@media (prefers-color-scheme: dark) { .graph-of-task .b { fill: #15191e } .graph-of-task .t { fill: #e4e8ed } .graph-of-task .m { fill: #9aa7b5 } .graph-of-task .g { stroke: #7d8a98 } .graph-of-task .o { fill: #1c2128 } }</style>\n")
	g.printf(`<defs><marker id="graph-of-task-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path class="m" fill="#5f6b7a" d="M0,0 8,4 0,8z"/></marker></defs>` + "\n")
	g.printf(`<rect class="b" fill="#ffffff" width="%s" height="%s"/>`+"\n", pixels(w), pixels(h))
	g.text("t", graphMargin, 24, ` font-weight="600" font-size="14"`, line)
}

func (g *graph) printf(format string, args ...any) { g.dst = fmt.Appendf(g.dst, format, args...) }

func (g *graph) text(class string, x, y float64, more, text string) {
	fill := "#1f2933"
	if class == "m" {
		fill = "#5f6b7a"
	}
	g.printf(`<text class=%q fill=%q x="%s" y="%s"%s>`, class, fill, pixels(x), pixels(y), more)
	g.dst = append(appendXML(g.dst, text), "</text>\n"...)
}

// draw draws a layout: open containers first, arrows over them, boxes last.
func (g *graph) draw(l *layout) {
	for _, c := range l.cells {
		if c.inside != nil {
			g.box(c)
			g.draw(c.inside)
		}
	}
	for i := range l.arrows {
		g.arrow(l, &l.arrows[i])
	}
	for _, c := range l.cells {
		switch {
		case c.node < 0:
			g.text("m", c.x+12, c.y+28, "", fmt.Sprintf("and %d more", c.more))
		case c.inside == nil:
			g.box(c)
		}
	}
}

// state is the line with the state of a node.
func (g *graph) state(i int) string {
	n := g.tree.Node(i)
	shown := g.shown(i)
	parts := []string{lookOf(shown).symbol + " " + shown.String()}
	if text := g.took(&n); text != "" {
		parts = append(parts, strings.TrimSuffix(text, " so far"))
	}
	if text := Remarks(&n.Attempt, g.Location); text != "" {
		parts = append(parts, text)
	}
	return strings.Join(parts, " · ")
}

// box draws a node.
func (g *graph) box(c *cell) {
	n := g.tree.Node(c.node)
	shown := g.shown(c.node)
	line := lookOf(shown).line
	class, fill, dashes := "b", "#ffffff", ""
	if c.inside != nil {
		class, fill = "o", "#f4f6f8"
	}
	if shown == state.Created {
		dashes = ` stroke-dasharray="3 3"`
	}
	g.printf("<g>")
	g.dst = appendXML(append(g.dst, "<title>"...), strings.TrimSpace(Label(n.Kind, n.DisplayName())+"\n"+g.state(c.node)+"\n"+g.remarks(&n)))
	g.printf("</title>")
	folded := c.inside == nil && g.tree.FirstChild(c.node) >= 0
	if folded {
		g.printf(`<rect class="b" fill="#ffffff" stroke=%q x="%s" y="%s" width="%s" height="%s" rx="6"/>`, line, pixels(c.x+4), pixels(c.y+4), pixels(c.w), pixels(c.h))
	}
	attributes := fmt.Sprintf(`class=%q fill=%q stroke=%q stroke-width="1.8"%s`, class, fill, line, dashes)
	switch n.Kind {
	case state.ExclusiveGateway, state.ParallelGateway, state.ConditionalParallelGateway, state.ConvergeGateway:
		left, top, right, bottom, middle := pixels(c.x), pixels(c.y), pixels(c.x+c.w), pixels(c.y+c.h), pixels(c.y+c.h/2)
		g.printf(`<polygon %[1]s points="%[2]s,%[6]s %[7]s,%[3]s %[8]s,%[3]s %[4]s,%[6]s %[8]s,%[5]s %[7]s,%[5]s"/>`+"\n",
			attributes, left, top, right, bottom, middle, pixels(c.x+14), pixels(c.x+c.w-14))
	default:
		rx := 6.0
		if n.Kind == state.StartEvent || n.Kind == state.EndEvent {
			rx = c.h / 2
		}
		g.printf(`<rect %s x="%s" y="%s" width="%s" height="%s" rx="%s"/>`+"\n", attributes, pixels(c.x), pixels(c.y), pixels(c.w), pixels(c.h), pixels(rx))
	}
	name := Label(n.Kind, n.DisplayName())
	if n.Name != "" {
		name = Printable(n.Name) // the outline tells the kind
	}
	if c.inside != nil {
		room := max(graphName, int(c.w/7)-graphName)
		g.text("t", c.x+12, c.y+18, ` font-weight="600" font-size="13"`, Fit(name, room/2))
		g.text("m", c.x+c.w-10, c.y+18, ` text-anchor="end"`, Fit(g.state(c.node), room/2+4))
	} else {
		g.text("t", c.x+14, c.y+18, ` font-weight="600" font-size="13"`, Fit(name, graphName))
		state := g.state(c.node)
		if counts := g.tree.Counts(c.node); folded {
			state = lookOf(shown).symbol + " " + shown.String() + " · " + progress(&counts)
		}
		g.text("m", c.x+14, c.y+36, "", Fit(state, graphState))
	}
	g.printf("</g>\n")
}

// progress is how many of its leaves have finished.
func progress(c *state.Counts) string {
	return fmt.Sprintf("%d of %d", c[state.Finished], c.Total())
}

// arrow draws a line from the right of one box to the left of another, through its
// bends; an edge that leads back runs below the boxes.
func (g *graph) arrow(l *layout, a *arrow) {
	from, to := l.cells[a.from], l.cells[a.to]
	style := ` stroke="#5f6b7a"`
	x, y := from.x+from.w, from.y+from.h/2
	var path strings.Builder
	if a.back {
		style = ` stroke="#946200" stroke-dasharray="5 4"`
		below := 0.0
		for _, c := range l.cells {
			if c.x <= from.x && c.x >= to.x {
				below = max(below, c.y+c.h+graphAcross)
			}
		}
		fmt.Fprintf(&path, "M%s,%s C%[1]s,%[3]s %[4]s,%[3]s %[4]s,%[5]s", pixels(from.x+from.w*0.6), pixels(from.y+from.h), pixels(below), pixels(to.x+to.w*0.4), pixels(to.y+to.h))
	} else {
		fmt.Fprintf(&path, "M%s,%s", pixels(x), pixels(y))
		for _, next := range append(a.bends, to) {
			nx, ny := next.x, next.y+next.h/2
			middle := pixels((x + nx) / 2)
			fmt.Fprintf(&path, " C%s,%s %s,%s %s,%s", middle, pixels(y), middle, pixels(ny), pixels(nx), pixels(ny))
			x, y = nx, ny
			if next.bend {
				x += next.w
				fmt.Fprintf(&path, " H%s", pixels(x))
			}
		}
	}
	g.printf(`<path class="g" fill="none" stroke-width="1.4"%s marker-end="url(#graph-of-task-head)" d="%s"/>`+"\n", style, path.String())
}
