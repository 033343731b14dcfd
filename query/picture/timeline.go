package picture

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/query"
)

// Measures in pixels.
const (
	svgMargin = 16
	svgHead   = 72 // above the rows
	svgRow    = 22
	svgLabels = 250 // width of the names
	svgTook   = 140 // width of the symbols and durations
	svgLabel  = 34  // columns of a name, 7 pixels each
	svgMinBar = 2
	svgLeaf   = 12 // height of a bar
	svgInner  = 5  // height of a container's bar
	svgTick   = 80 // between two lines of the time, at least
)

// AppendTimeline appends the timeline that [query.Query.Timeline] returned as an
// SVG document: a row for each node, children below their container, with a bar
// for each attempt, colored by state, against the time since the first start. The
// bar of a running node ends at [Options.Now], that of a waiting node at its last
// transition. Bars have a tooltip with everything about the attempt. The picture
// loads nothing, has no script, and follows the viewer's light or dark scheme.
func AppendTimeline(dst []byte, spans []query.Span, o *Options) []byte {
	c := chart{Options: o.withDefaults(), dst: dst}
	c.now = c.Now().In(c.Location)
	c.rows = rowsOf(spans)
	if c.left = len(c.rows) - c.MaxNodes; c.left > 0 {
		c.rows = c.rows[:c.MaxNodes]
	}
	c.scale()
	c.head()
	for i := range c.rows {
		c.row(i)
	}
	if c.left > 0 {
		c.text(svgMargin, c.y(len(c.rows))+15, "m", fmt.Sprintf("and %d more nodes", c.left))
	}
	return append(c.dst, "</svg>\n"...)
}

// svgRowOf is the attempts of one node, oldest first.
type svgRowOf struct {
	spans []query.Span
	level int // 0 for the outermost
}

// rowsOf gathers the attempts of each node and puts the nodes of a container
// below it, in the order of creation.
func rowsOf(spans []query.Span) []svgRowOf {
	var nodes []svgRowOf
	place := make(map[int]int) // node index: place in nodes
	for rest := spans; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Index == rest[0].Index {
			n++
		}
		place[rest[0].Index] = len(nodes)
		nodes = append(nodes, svgRowOf{spans: rest[:n]})
		rest = rest[n:]
	}
	below := make(map[int][]int)
	var stack []int
	for i := range nodes {
		s := &nodes[i].spans[0]
		if p, ok := place[s.Parent]; ok && p < i {
			below[p] = append(below[p], i)
			nodes[i].level = nodes[p].level + 1
		} else {
			stack = append(stack, i)
		}
	}
	slices.Reverse(stack)
	rows := make([]svgRowOf, 0, len(nodes))
	for len(stack) > 0 {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		rows = append(rows, nodes[i])
		for _, c := range slices.Backward(below[i]) {
			stack = append(stack, c)
		}
	}
	return rows
}

// chart is a timeline being drawn.
type chart struct {
	Options
	dst      []byte
	now      time.Time
	rows     []svgRowOf
	left     int       // number of rows left out
	from, to time.Time // period that the width stands for; from is zero if nothing has started
}

// scale finds the first start and the last end.
func (c *chart) scale() {
	for _, row := range c.rows {
		for i := range row.spans {
			s := &row.spans[i]
			if s.Start.IsZero() {
				continue
			}
			if c.from.IsZero() || s.Start.Before(c.from) {
				c.from = s.Start
			}
			if end := c.end(s); end.After(c.to) {
				c.to = end
			}
		}
	}
}

// end is the right end of a span: its finish, its last transition if it waits, or
// now.
func (c *chart) end(s *query.Span) time.Time {
	switch {
	case !s.End.IsZero():
		return s.End
	case !s.Stands.IsZero():
		return s.Stands
	case c.now.After(s.Start):
		return c.now
	}
	return s.Start
}

// seconds is exact enough for pixels, even where a time.Duration overflows.
func seconds(from, to time.Time) float64 {
	return float64(to.Unix()-from.Unix()) + float64(to.Nanosecond()-from.Nanosecond())/1e9
}

// width is the width of the area with bars.
func (c *chart) width() float64 { return float64(c.Width - 2*svgMargin - svgLabels - svgTook) }

// x is the position of a moment on the chart.
func (c *chart) x(t time.Time) float64 {
	all := seconds(c.from, c.to)
	if all <= 0 {
		return svgMargin + svgLabels
	}
	return svgMargin + svgLabels + c.width()*min(max(seconds(c.from, t)/all, 0), 1)
}

func (c *chart) y(row int) int { return svgHead + row*svgRow }

func (c *chart) printf(format string, args ...any) { c.dst = fmt.Appendf(c.dst, format, args...) }

// text draws text of class t (plain), m (muted) or h (a heading).
func (c *chart) text(x float64, y int, class, text string) {
	fill, weight := "#1f2933", ""
	switch class {
	case "m":
		fill = "#5f6b7a"
	case "h":
		weight = ` font-weight="600" font-size="14"`
	}
	c.printf(`<text class=%q fill=%q%s x="%s" y="%d">`, class, fill, weight, pixels(x), y)
	c.dst = append(appendXML(c.dst, text), "</text>\n"...)
}

func pixels(x float64) string { return strconv.FormatFloat(math.Round(x*10)/10, 'f', -1, 64) }

// head draws everything except the rows. Colors are attributes, so that the picture
// looks right even where style sheets are forbidden; the style sheet is for the
// dark scheme and selects only elements of the picture.
func (c *chart) head() {
	rows := len(c.rows)
	if c.left > 0 {
		rows++
	}
	height := c.y(rows) + svgMargin
	title, sub := "Timeline", "nothing has started"
	if len(c.rows) > 0 {
		title = labelOf(&c.rows[0].spans[0])
	}
	if !c.from.IsZero() {
		sub = c.from.Format(query.TimeLayout) + " to " + c.to.Format(query.TimeLayout) + ", " + Duration(c.to.Sub(c.from))
	}
	c.printf(`<svg class="timeline-of-task" xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[2]d" viewBox="0 0 %[1]d %[2]d" role="img" font-family="system-ui, sans-serif" font-size="12">`+"\n", c.Width, height)
	c.dst = append(appendXML(append(c.dst, "<title>"...), "Timeline of "+title), "</title>\n"...)
	c.dst = append(c.dst, "<style>@media (prefers-color-scheme: dark) { .timeline-of-task .b { fill: #15191e } .timeline-of-task .t, .timeline-of-task .h { fill: #e4e8ed } .timeline-of-task .m { fill: #9aa7b5 } .timeline-of-task .g { stroke: #323b46 } }</style>\n"...)
	c.printf(`<rect class="b" fill="#ffffff" width="%d" height="%d"/>`+"\n", c.Width, height)
	c.text(svgMargin, 26, "h", Fit(title, 80))
	c.text(svgMargin, 44, "m", sub)
	if !c.from.IsZero() {
		c.ticks(height - svgMargin)
	}
}

// ticks draws the lines of the time.
func (c *chart) ticks(bottom int) {
	all := seconds(c.from, c.to)
	step := tickStep(all * svgTick / c.width())
	for at := 0.0; at <= max(all, 0); at += step {
		x := float64(svgMargin + svgLabels)
		if all > 0 {
			x += c.width() * at / all
		}
		c.printf(`<line class="g" stroke="#dde3ea" x1="%[1]s" x2="%[1]s" y1="%[2]d" y2="%[3]d"/>`+"\n", pixels(x), svgHead-6, bottom)
		since := time.Duration(math.MaxInt64)
		if nanoseconds := math.Round(at * 1e9); nanoseconds < math.MaxInt64 {
			since = time.Duration(nanoseconds)
		}
		c.text(x+2, svgHead-9, "m", Duration(since))
	}
}

// tickStep is the smallest round step of at least least seconds.
func tickStep(least float64) float64 {
	for _, s := range []float64{
		.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800,
		3600, 7200, 3 * 3600, 6 * 3600, 12 * 3600, 86400, 2 * 86400, 5 * 86400,
	} {
		if s >= least {
			return s
		}
	}
	step := 10 * 86400.0
	for step < least {
		step *= 2
	}
	return step
}

// labelOf is the display name of a span's node.
func labelOf(s *query.Span) string { return Label(s.Kind, s.Name) }

// row draws the attempts of a node.
func (c *chart) row(i int) {
	row := &c.rows[i]
	y := c.y(i)
	last := &row.spans[len(row.spans)-1]
	indent := min(row.level, 10)
	c.text(float64(svgMargin+12*indent), y+15, "t", Fit(labelOf(last), svgLabel-2*indent))
	for k := range row.spans {
		if s := &row.spans[k]; !s.Start.IsZero() {
			c.bar(s, len(row.spans), y)
		}
	}
	what := ""
	if last.State != 0 {
		what = lookOf(last.State).symbol + " "
	}
	if last.Start.IsZero() {
		what += strings.ToLower(last.State.String())
	} else {
		what += Duration(c.end(last).Sub(last.Start))
		if last.End.IsZero() && last.Stands.IsZero() {
			what += " so far"
		}
	}
	if len(row.spans) > 1 {
		what += fmt.Sprintf(" ×%d", len(row.spans))
	}
	c.text(float64(c.Width-svgMargin-svgTook+8), y+15, "m", what)
}

// bar draws one attempt of a node with this many attempts.
func (c *chart) bar(s *query.Span, attempts, y int) {
	end := c.end(s)
	x, height := c.x(s.Start), svgLeaf
	if s.Kind.Container() {
		height = svgInner
	}
	extra := ""
	if !s.Current {
		extra = ` opacity="0.55"`
	}
	c.printf(`<rect fill=%q%s x="%s" y="%d" width="%s" height="%d" rx="2"><title>`,
		lookOf(s.State).line, extra, pixels(x), y+(svgRow-height)/2, pixels(max(c.x(end)-x, svgMinBar)), height)
	c.dst = appendXML(c.dst, labelOf(s)+": "+s.State.String())
	if attempts > 1 {
		c.printf(", attempt %d", s.Attempt)
	}
	if s.Skip {
		c.printf(", skipped")
	}
	c.printf("\n%s", s.Start.Format(query.TimeLayout))
	if !s.End.IsZero() {
		c.printf(" to %s", s.End.Format(query.TimeLayout))
	}
	c.printf(", %s", Duration(end.Sub(s.Start)))
	if s.Error != "" {
		c.dst = appendXML(append(c.dst, '\n'), Fit(Cause(s.Error), 200))
	}
	c.dst = append(c.dst, "</title></rect>\n"...)
}

var xmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;")

// appendXML appends printable text as XML.
func appendXML(dst []byte, text string) []byte { return append(dst, xmlEscapes.Replace(text)...) }
