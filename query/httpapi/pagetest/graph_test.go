package pagetest

import (
	"fmt"
	"testing"

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
	p.eval("taskView.choose(taskView.live.find('fork').index), 0", nil)
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
	p.eval("taskView.choose(-1), taskView.draw(), graphView.at = null, graphView.fit(), 0", nil)
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
		p.eval("taskView.choose(-1), graphView.fit(), 0", nil)
		for _, name := range []string{"switch traffic", "compile", "migrate database"} {
			p.until("%s", box(name))
			p.eval(fmt.Sprintf("taskView.choose(taskView.live.nodes.find(n => n.name === %s).index), 0", quote(name)), nil)
			p.until("!$('details').hidden && "+between, box(name))
			p.until("(g => (d => g.right <= d.left || g.bottom <= d.top)($('details').getBoundingClientRect()))($('graph').getBoundingClientRect())")
			p.until("$('graph').getBoundingClientRect().height > 120 && $('graph').getBoundingClientRect().width > 300")
		}
		p.shot(fmt.Sprint("graph-details-", width))
	}
}
