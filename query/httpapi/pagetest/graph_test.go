package pagetest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
)

// box is an expression for the box of a node in the graph, by its name.
func box(name string) string {
	return "[...document.querySelectorAll('.gnode')].find(g => g.querySelector('.gname').textContent === " + quote(name) + ")"
}

// right says that one box is to the right of another.
func right(a, b string) string {
	return fmt.Sprintf("%s.getBoundingClientRect().left >= %s.getBoundingClientRect().right", box(b), box(a))
}

func TestTheGraphShowsThePipeline(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	recordDeploy(s)
	p := open(s, deployPath+"&tab=graph")
	p.until("%s && $('graph-note').hidden", box("compile"))
	for _, pair := range [][2]string{{"fetch sources", "compile"}, {"parallel gateway", "migrate database"}, {"migrate database", "switch traffic"}} {
		p.until("%s", right(pair[0], pair[1]))
	}
	p.until("document.querySelectorAll('.arrow:not(.back)').length === 11")
	// A state has a color, a symbol and a word; a kind has a shape.
	p.until("%s?.classList.contains('FAILED') && %s?.querySelector('.gstate').textContent.startsWith('✖ FAILED')", box("notify"), box("notify"))
	p.until("%s?.querySelector('polygon') && %s?.querySelector('rect')", box("parallel gateway"), box("notify"))
	p.shot("graph")

	// It follows what happens.
	s.record(engine.Finish("migrate"))
	p.until("%s?.querySelector('.gstate').textContent.startsWith('✔ FINISHED')", box("migrate database"))

	// Subprocesses fold.
	p.eval(box("Build")+".querySelector('.gfold').dispatchEvent(new MouseEvent('click', {bubbles: true})), 0", nil)
	p.until("!%s && %s?.ariaExpanded === 'false' && %s?.querySelector('.gstate').textContent.includes('2 of 2')", box("compile"), box("Build"), box("Build"))

	// The keyboard moves, opens and folds.
	p.run(chromedp.Focus("#graph", chromedp.ByQuery))
	p.eval("taskView.choose('fork'), 0", nil)
	p.key(kb.ArrowLeft)
	p.until("%s?.classList.contains('chosen')", box("Build"))
	p.key(" ")
	p.until("%s", box("compile"))
	p.key(kb.Enter)
	p.until("$('d-name').textContent === 'Build'")
	p.key(kb.Escape)
	p.until("$('details').hidden")

	// The wheel and the buttons zoom, a drag moves.
	p.eval("window.was = {...graphView.at}, 0", nil)
	p.click("#zoom-in")
	p.until("graphView.at.k > was.k")
	p.click("#next-failure")
	p.until("%s?.classList.contains('chosen') && $('d-name').textContent === 'notify'", box("notify"))
	p.until("(r => r.left >= 0 && r.right <= innerWidth && r.top >= 0 && r.bottom <= innerHeight)(%s.getBoundingClientRect())", box("notify"))
	p.until("location.hash.includes('tab=graph') && location.hash.includes('node_id=notify')")

	p.run(chromedp.EmulateViewport(390, 800, chromedp.EmulateMobile))
	p.eval("taskView.choose(null), taskView.draw(), graphView.at = null, graphView.fit(), 0", nil)
	p.until("document.documentElement.scrollWidth <= 390 && %s.getBoundingClientRect().top >= %s.getBoundingClientRect().bottom", box("parallel gateway"), box("Build"))
	p.shot("phone-graph")
}

// The graph draws recorded edges, the way back of a loop, keys and notes.
func TestTheGraphDrawsRecordedFlows(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	s.record(engine.Create("2", "10", engine.ID("root"), engine.Name("Flow")), engine.Start("root"),
		engine.Declare("root", state.ServiceActivity, engine.ID("a"), engine.Name("build"), engine.Key("k-build")), engine.Start("a"), engine.Finish("a"),
		engine.Declare("root", state.ServiceActivity, engine.ID("b"), engine.Name("test"), engine.After("a")), engine.Start("b"), engine.Finish("b"),
		engine.Declare("root", state.ServiceActivity, engine.ID("c"), engine.Name("ship"), engine.After("b")),
		engine.Loop("a", engine.From("b")))
	p := open(s, deployPath+"&tab=graph")
	p.until("document.querySelectorAll('.arrow:not(.back)').length === 2 && document.querySelectorAll('.arrow.back').length === 1")
	p.until("%s && %s && $('graph-note').hidden", right("build", "test"), right("test", "ship"))
	// A step that is declared while the graph is open is added.
	s.record(engine.Declare("root", state.ServiceActivity, engine.ID("d"), engine.Name("tell"), engine.After("b")), engine.Suspend("d", engine.Note("waits for Ann")))
	p.until("document.querySelectorAll('.arrow:not(.back)').length === 3")
	p.eval(box("tell")+".dispatchEvent(new MouseEvent('click', {bubbles: true})), 0", nil)
	p.until("$('d-fields').textContent.includes('waits for Ann')")
	p.shot("graph-flows")
}

// Without flows the graph says that none are recorded.
func TestTheGraphReportsMissingFlows(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	s.record(engine.Create("2", "10", engine.ID("root")), engine.Start("root"))
	for _, id := range []string{"a", "b", "c"} {
		s.record(engine.Declare("root", state.ServiceActivity, engine.ID(id), engine.Name(id)))
	}
	p := open(s, deployPath+"&tab=graph")
	p.until("!$('graph-note').hidden && document.querySelectorAll('.gnode').length === 3 && !document.querySelector('.arrow')")
}

// With details open, the graph is next to them and the selected node is
// visible.
func TestTheGraphIsUsableNextToTheDetails(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	recordDeploy(s)
	p := open(s, deployPath+"&tab=graph")
	const between = "(b => { const r = %s.getBoundingClientRect(); return r.width > 0 && r.left >= b.left && r.right <= b.right + 1 && r.top >= b.top && r.bottom <= b.bottom + 1; })($('graph').getBoundingClientRect())"
	for _, width := range []int64{1280, 900, 390} {
		p.run(chromedp.EmulateViewport(width, 800))
		p.eval("taskView.choose(null), graphView.fit(), 0", nil)
		for _, name := range []string{"switch traffic", "compile", "migrate database"} {
			p.until("%s", box(name))
			p.eval(fmt.Sprintf("taskView.choose(taskView.live.nodes.find(n => n.name === %s).id), 0", quote(name)), nil)
			p.until("!$('details').hidden && "+between, box(name))
			p.until("(g => (d => g.right <= d.left || g.bottom <= d.top)($('details').getBoundingClientRect()))($('graph').getBoundingClientRect())")
			p.until("$('graph').getBoundingClientRect().height > 120 && $('graph').getBoundingClientRect().width > 300")
		}
		p.until("parseFloat(getComputedStyle(document.querySelector('.gstate')).fontSize) * graphView.at.k >= 9")
		p.shot(fmt.Sprint("graph-details-", width))
	}
}

// inView is true if an element lies within the graph, at a legible size.
func inView(what string) string {
	return "((r, b) => r.width > 100 && r.left >= b.left && r.right <= b.right && r.top >= b.top && r.bottom <= b.bottom)((" + what + ").getBoundingClientRect(), $('graph').getBoundingClientRect())"
}

// Of very many nodes, the graph draws a part. Every jump and every address leads to
// the part with the node.
func TestJumpsInALargeGraphShowTheNode(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	ops := []engine.Op{engine.Create("2", "10", engine.ID("root"), engine.Name("Shards")), engine.Start("root")}
	begin := time.Now().Add(-time.Hour)
	for i := range 5_000 {
		id, at := fmt.Sprint("shard-", i), engine.At(begin.Add(time.Duration(i)*time.Millisecond))
		var after []string
		if i >= 10 {
			after = append(after, fmt.Sprint("shard-", i-10))
		}
		ops = append(ops, engine.Declare("root", state.ServiceActivity, engine.ID(id), engine.Name(id), engine.After(after...), at), engine.Start(id, at))
		switch {
		case i == 1_999 || i == 4_999:
			ops = append(ops, engine.Fail(id, "died", at))
		case i != 3_000 && i != 4_500:
			ops = append(ops, engine.Finish(id, at))
		}
	}
	s.record(ops...)
	p := open(s, deployPath+"&tab=graph&node_id=shard-1200")
	shown := func(name string) {
		t.Helper()
		p.until("%s?.classList.contains('chosen') && %s && $('d-name').textContent === %s && document.querySelectorAll('.gnode').length === %d",
			box(name), inView(box(name)), quote(name), min(400, 5_000-(atoi(t, name)/400)*400))
	}
	shown("shard-1200")
	for _, jump := range [][2]string{{"next-failure", "shard-1999"}, {"next-failure", "shard-4999"}, {"next-running", "shard-3000"}, {"next-running", "shard-4500"}, {"longest-running", "shard-3000"}} {
		p.click("#" + jump[0])
		shown(jump[1])
	}
	p.eval("graphView.zoom(0.1), 0", nil)
	p.click("#next-failure")
	shown("shard-4999")

	// The boxes at the ends and the keyboard lead to the parts next to it.
	p.until("document.querySelectorAll('.gpart').length === 1 && document.querySelector('.gpart').textContent === 'Show 4401 to 4800of 5000 nodes'")
	p.eval("document.querySelector('.gpart').dispatchEvent(new MouseEvent('click', {bubbles: true})), 0", nil)
	p.until("document.querySelectorAll('.gpart').length === 2 && %s && %s", box("shard-4400"), inView(box("shard-4400")))
	p.until("[...document.querySelectorAll('.gpart text')].every(e => (b => (r => r.left >= b.left && r.right <= b.right)(e.getBoundingClientRect()))(e.parentElement.querySelector('rect').getBoundingClientRect()))")
	p.shot("graph-part")
	p.run(chromedp.Focus("#graph", chromedp.ByQuery))
	p.key(kb.PageDown)
	p.until("%s && taskView.chosen === 'shard-4800'", inView(box("shard-4800")))
	p.key(kb.PageUp + kb.PageUp)
	p.until("%s && taskView.chosen === 'shard-4000'", inView(box("shard-4000")))

	// A filter leaves what it lets through of all parts.
	p.click("#t-counts [data-count=FAILED]")
	p.until("document.querySelectorAll('.gnode').length === 2 && %s && %s", box("shard-1999"), box("shard-4999"))
	// The graph also shows a node that was chosen in another tab.
	p.eval("finding.clear(), taskView.show('tree'), taskView.choose('shard-2500'), 0", nil)
	p.click("#tab-graph")
	shown("shard-2500")
}

// atoi is the number at the end of the name of a shard.
func atoi(t *testing.T, name string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimPrefix(name, "shard-"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Texts of any width stay in their boxes. The whole of them is in the tooltip.
func TestTextsStayInTheBoxesOfTheGraph(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	s.record(engine.Create("2", "10", engine.ID("root")), engine.Start("root"))
	names := []string{strings.Repeat("W", 40), strings.Repeat("部署数据库", 12), strings.Repeat("👩‍🚀", 30), strings.Repeat("i", 200), "short", strings.Repeat("a long name ", 9)}
	for i, name := range names {
		sub := fmt.Sprint("sub-", i)
		s.record(engine.Declare("root", state.Subprocess, engine.ID(sub), engine.Name(name)), engine.Start(sub),
			engine.Declare(sub, state.ServiceActivity, engine.ID(sub+"a"), engine.Name(name)), engine.Start(sub+"a"), engine.Fail(sub+"a", "boom", engine.RetryAt(time.Now().Add(time.Hour))),
			engine.Declare("root", state.Subprocess, engine.ID(sub+"-folded"), engine.Name(name)), engine.Declare(sub+"-folded", state.ServiceActivity))
	}
	p := open(s, deployPath+"&tab=graph")
	p.until("document.querySelectorAll('.gnode').length === %d", 4*len(names))
	p.eval("for (const n of taskView.live.nodes) if (n.id.endsWith('-folded')) graphView.toggle(taskView, n.id)", nil)
	p.until("document.querySelectorAll('.gnode').length === %d", 3*len(names))
	const outside = `[...document.querySelectorAll('.gnode')].flatMap(g => {
		const box = g.querySelector(':scope > rect:not(.stack), :scope > polygon').getBoundingClientRect();
		const texts = [...g.querySelectorAll('text')].map(e => [e.textContent, e.getBoundingClientRect()]);
		const apart = ([, a], [, b]) => a.right <= b.left || b.right <= a.left || a.bottom <= b.top + 4 || b.bottom <= a.top + 4;
		return texts.filter((t, i) => t[1].left < box.left || t[1].right > box.right || texts.slice(i + 1).some(u => !apart(t, u))).map(t => t[0]);
	})`
	var found []string
	if p.eval(outside, &found); len(found) > 0 {
		t.Errorf("outside of their boxes, or over another text: %q", found)
	}
	p.until("%s.every(name => [...document.querySelectorAll('.gnode title')].filter(e => e.textContent.startsWith(name + '\\n')).length === 3)", quote(names))
	p.until("%s && [...document.querySelectorAll('.gname')].some(e => /^W+…$/.test(e.textContent)) && [...document.querySelectorAll('.gname')].some(e => /^(👩‍🚀)+…$/u.test(e.textContent))", box("short"))
	p.shot("graph-wide")
}
