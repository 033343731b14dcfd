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

// right tells that one box stands to the right of another.
func right(a, b string) string {
	return fmt.Sprintf("%s.getBoundingClientRect().left >= %s.getBoundingClientRect().right", box(b), box(a))
}

// withFlows gives the page the flows of a pipeline: what led to which node.
func (p *tab) withFlows(flows map[string][]string, back map[string]string) {
	p.Helper()
	for id, after := range flows {
		p.eval(fmt.Sprintf("taskView.live.find(%s).after = %s.map(id => taskView.live.byID.get(id)), 0", quote(id), quote(after)), nil)
	}
	for id, from := range back {
		p.eval(fmt.Sprintf("taskView.live.find(%s).from = taskView.live.byID.get(%s), 0", quote(id), quote(from)), nil)
	}
	p.eval("taskView.live.shape++, taskView.draw(), graphView.at = null, graphView.fit(), 0", nil)
}

var deployFlows = map[string][]string{
	"build": {"start"}, "compile": {"fetch"}, "fork": {"build"}, "smoke": {"fork"}, "migrate": {"fork"}, "notify": {"fork"}, "warm": {"fork"}, "switch": {"smoke", "migrate", "notify", "warm"},
}

func TestTheGraphShowsThePipeline(t *testing.T) {
	s := newService(t, nil)
	recordDeploy(s)
	p := open(s, deployPath+"&tab=graph")
	p.until("%s && !$('graph-note').hidden", box("compile"))
	p.withFlows(deployFlows, map[string]string{"smoke": "switch"})
	for _, pair := range [][2]string{{"fetch sources", "compile"}, {"parallel gateway", "migrate database"}, {"migrate database", "switch traffic"}} {
		p.until("%s", right(pair[0], pair[1]))
	}
	p.until("document.querySelectorAll('.arrow:not(.back)').length === 11 && document.querySelectorAll('.arrow.back').length === 1")
	// A state has a color, a symbol and a word; a kind has a shape.
	p.until("%s.classList.contains('FAILED') && %s.querySelector('.gstate').textContent.startsWith('✖ FAILED')", box("notify"), box("notify"))
	p.until("%s.querySelector('polygon') && %s.querySelector('rect')", box("parallel gateway"), box("notify"))
	p.shot("graph")

	// It follows what happens.
	s.record(engine.Finish("migrate"))
	p.until("%s.querySelector('.gstate').textContent.startsWith('✔ FINISHED')", box("migrate database"))

	// Subprocesses fold.
	p.eval(box("Build")+".querySelector('.gfold').dispatchEvent(new MouseEvent('click', {bubbles: true})), 0", nil)
	p.until("!%s && %s.ariaExpanded === 'false' && %s.querySelector('.gstate').textContent.includes('2 of 2')", box("compile"), box("Build"), box("Build"))

	// The keyboard moves, opens and folds.
	p.run(chromedp.Focus("#graph", chromedp.ByQuery))
	p.eval("taskView.choose(taskView.live.find('fork').index), 0", nil)
	p.key(kb.ArrowLeft)
	p.until("%s.classList.contains('chosen')", box("Build"))
	p.key(" ")
	p.until("%s", box("compile"))
	p.key(kb.Enter)
	p.until("$('d-name').textContent === 'Build'")
	p.key(kb.Escape)
	p.until("$('details').hidden")

	// The wheel and the buttons zoom, a drag moves.
	p.eval("window.was = {...graphView.at}, 0", nil)
	p.run(chromedp.Click("#zoom-in", chromedp.ByQuery))
	p.until("graphView.at.k > was.k")
	p.run(chromedp.Click("#next-failure", chromedp.ByQuery))
	p.until("%s.classList.contains('chosen') && $('d-name').textContent === 'notify'", box("notify"))
	p.until("(r => r.left >= 0 && r.right <= innerWidth && r.top >= 0 && r.bottom <= innerHeight)(%s.getBoundingClientRect())", box("notify"))
	p.until("location.hash.includes('tab=graph') && location.hash.includes('node_id=notify')")

	p.run(chromedp.EmulateViewport(390, 800, chromedp.EmulateMobile))
	p.eval("taskView.choose(-1), taskView.draw(), graphView.at = null, graphView.fit(), 0", nil)
	p.until("document.documentElement.scrollWidth <= 390 && %s.getBoundingClientRect().top >= %s.getBoundingClientRect().bottom", box("parallel gateway"), box("Build"))
	p.shot("phone-graph")
}

// What was recorded is drawn: edges, the way back of a loop, keys and notes.
func TestTheGraphDrawsRecordedFlows(t *testing.T) {
	s := newService(t, nil)
	s.record(engine.Create("2", "10", engine.ID("root"), engine.Name("Flow")), engine.Start("root"),
		engine.Declare("root", state.ServiceActivity, engine.ID("a"), engine.Name("build"), engine.Key("k-build")), engine.Start("a"), engine.Finish("a"),
		engine.Declare("root", state.ServiceActivity, engine.ID("b"), engine.Name("test"), engine.After("a")), engine.Start("b"), engine.Finish("b"),
		engine.Declare("root", state.ServiceActivity, engine.ID("c"), engine.Name("ship"), engine.After("b")),
		engine.Loop("a", engine.From("b")))
	p := open(s, deployPath+"&tab=graph")
	p.until("document.querySelectorAll('.arrow:not(.back)').length === 2 && document.querySelectorAll('.arrow.back').length === 1")
	p.until("%s && %s && $('graph-note').hidden", right("build", "test"), right("test", "ship"))
	// A step that is declared while one looks is drawn.
	s.record(engine.Declare("root", state.ServiceActivity, engine.ID("d"), engine.Name("tell"), engine.After("b")), engine.Suspend("d", engine.Note("waits for Ann")))
	p.until("document.querySelectorAll('.arrow:not(.back)').length === 3")
	p.eval(box("tell")+".dispatchEvent(new MouseEvent('click', {bubbles: true})), 0", nil)
	p.until("$('d-fields').textContent.includes('waits for Ann')")
	p.shot("graph-flows")
}

func TestTheGraphOfTenThousandNodesIsFolded(t *testing.T) {
	s := newService(t, nil)
	s.recordFleet()
	p := open(s, deployPath+"&tab=graph")
	p.until("document.querySelectorAll('.gnode').length === 101 - 1 && %s.querySelector('.gstate').textContent.includes('0 of 99')", box("rack-00"))
	flows := make(map[string][]string)
	for i := 1; i < 100; i++ {
		flows[fmt.Sprintf("rack-%02d", i)] = []string{fmt.Sprintf("rack-%02d", (i-1)/4)}
	}
	p.withFlows(flows, nil)
	p.until("document.querySelectorAll('.arrow').length === 99")
	s.record(engine.Fail("host-99-98", "disk full"))
	p.until("%s.classList.contains('RUNNING')", box("rack-99"))
	p.run(chromedp.Click("#next-failure", chromedp.ByQuery))
	p.until("%s.classList.contains('chosen') && $('d-name').textContent === 'host-99-98'", box("host-99-98"))
	p.until("document.querySelectorAll('.gnode').length === 199")
	p.shot("graph-large")
}
