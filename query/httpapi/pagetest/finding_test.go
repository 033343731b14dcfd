package pagetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
)

// recordImport records a task with two steps that run, two that failed, a
// container that has finished, and an event and a gateway.
func recordImport(s *service) {
	begin := time.Now().Add(-10 * time.Minute)
	at := func(sec int) engine.Option { return engine.At(begin.Add(time.Duration(sec) * time.Second)) }
	step := func(parent, id, name string, kind state.Kind, from int) {
		s.record(engine.Declare(parent, kind, engine.ID(id), engine.Name(name), at(from)), engine.Start(id, at(from)))
	}
	s.record(engine.Create("2", "10", engine.ID("root"), engine.Name("Import"), at(0)), engine.Start("root", at(0)))
	step("root", "start", "", state.StartEvent, 0)
	step("root", "prepare", "Prepare", state.Subprocess, 1)
	step("prepare", "fetch", "fetch files", state.ServiceActivity, 1)
	// Containers that have finished in every way: by themselves, by a skip, with an
	// error that was ignored.
	step("prepare", "checks", "Checks", state.Subprocess, 1)
	step("checks", "one", "check one", state.ServiceActivity, 1)
	step("prepare", "more", "More checks", state.Subprocess, 1)
	step("more", "two", "check two", state.ServiceActivity, 1)
	s.record(engine.Finish("one", at(20)), engine.Fail("checks", "", at(20)), engine.Skip("checks", at(21)),
		engine.Finish("two", at(20)), engine.Fail("more", "", engine.Ignore(), at(20)))
	s.record(engine.Finish("start", at(1)), engine.Finish("fetch", at(60)), engine.Finish("prepare", at(61)))
	step("root", "fork", "", state.ParallelGateway, 61)
	s.record(engine.Finish("fork", at(61)))
	step("root", "load-b", "load orders", state.ServiceActivity, 200)
	step("root", "load-a", "load customers", state.ServiceActivity, 100)
	step("root", "verify", "Verify", state.Subprocess, 210)
	for id, text := range map[string]string{"sums": "Traceback\nValueError: checksum differs", "rows": "timeout after 30 s"} {
		step("verify", id, "verify "+id, state.ServiceActivity, 210)
		s.record(engine.Fail(id, text, at(240)))
	}
	s.record(engine.Declare("root", state.ServiceActivity, engine.ID("publish"), engine.Name("publish"), engine.Key("k-publish"), at(210)))
}

// onlyRows is true if the page shows these rows and no others.
func onlyRows(names ...string) string {
	return "[...document.querySelectorAll('.row:not([hidden]) .name')].map(e => e.title).filter(Boolean).sort().join('|') === " + quote(names) + ".sort().join('|')"
}

// pick is true if a node is chosen and its details are shown.
func pick(name string) string {
	return "$('d-name').textContent === " + quote(name) + " && !$('details').hidden && " + row(name) + "?.classList.contains('chosen')"
}

func TestNodesAreFound(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	recordImport(s)
	for name, find := range map[string]func(p *tab){
		"by the filter box": func(p *tab) {
			p.run(chromedp.SendKeys("#find", "CHECKSUM", chromedp.ByQuery))
			p.until("%s", onlyRows("Import", "Verify", "verify sums"))
			p.until("location.hash.includes('q=CHECKSUM')")
			// By name, ID, key, kind and any part of the error text.
			for text, found := range map[string][]string{
				"load": {"load customers", "load orders"}, " load-B ": {"load orders"}, "k-publish": {"publish"},
				"traceback": {"Verify", "verify sums"}, "gateway": {"parallel gateway"},
			} {
				p.eval("$('find').value = "+quote(text)+", $('find').dispatchEvent(new Event('input')), 0", nil)
				p.until("%s", onlyRows(append(found, "Import")...))
			}
			p.run(chromedp.SendKeys("#find", " nothing", chromedp.ByQuery))
			p.until("!$('no-rows').hidden && $('no-rows').textContent === 'No node fits the filter.'")
		},
		"by the counts of states": func(p *tab) {
			p.until("$('t-counts').textContent.includes('2 FAILED') && $('t-counts').textContent.includes('2 RUNNING')")
			p.click("#t-counts [data-count=FAILED]")
			p.until("%s", onlyRows("Import", "Verify", "verify sums", "verify rows"))
			p.until("document.querySelector('#t-counts [data-count=FAILED]').ariaPressed === 'true' && location.hash.includes('show=FAILED')")
			p.click("#t-counts [data-count=CREATED]")
			p.until("%s", onlyRows("Import", "Verify", "verify sums", "verify rows", "publish"))
			p.click("#t-counts [data-count=FAILED]")
			p.until("%s", onlyRows("Import", "publish"))
		},
		"failures one after another": func(p *tab) {
			p.click("#next-failure")
			p.until("/^verify (sums|rows)$/.test($('d-name').textContent)")
			var first, second string
			p.eval("$('d-name').textContent", &first)
			p.click("#next-failure")
			p.until("/^verify (sums|rows)$/.test($('d-name').textContent) && $('d-name').textContent !== %s", quote(first))
			p.eval("$('d-name').textContent", &second)
			p.until("%s", pick(second))
			p.run(chromedp.Focus("#rows", chromedp.ByQuery))
			p.key("f")
			p.until("%s", pick(first))
		},
		"running ones one after another": func(p *tab) {
			p.click("#next-running")
			p.until("%s", pick("load orders"))
			p.click("#next-running")
			p.until("%s", pick("load customers"))
			p.run(chromedp.Focus("#rows", chromedp.ByQuery))
			p.key("r")
			p.until("%s", pick("load orders"))
		},
		"the one that runs longest": func(p *tab) {
			p.click("#longest-running")
			p.until("%s", pick("load customers"))
			p.eval("taskView.choose(null), 0", nil)
			p.run(chromedp.Focus("#rows", chromedp.ByQuery))
			p.key("l")
			p.until("%s", pick("load customers"))
		},
		"without events and gateways": func(p *tab) {
			p.until("%s && %s", row("start event"), row("parallel gateway"))
			p.click("#quiet")
			p.until("%s && !%s && !%s && location.hash.includes('quiet=1')", row("fetch files"), row("start event"), row("parallel gateway"))
			p.click("#quiet")
			p.until("%s", row("parallel gateway"))
		},
		"with finished containers folded": func(p *tab) {
			folded := []string{"Import", "start event", "Prepare", "parallel gateway", "load orders", "load customers", "Verify", "verify rows", "verify sums", "publish"}
			p.until("%s", row("fetch files"))
			p.click("#fold-finished")
			p.until("%s && $('fold-finished').textContent === 'Unfold all'",
				onlyRows(folded...))
			// The graph and the address say the same.
			p.until("location.hash.includes('fold=finished')")
			p.click("#tab-graph")
			p.until("%s?.ariaExpanded === 'false' && !%s && $('fold-finished').textContent === 'Unfold all'", box("Prepare"), box("fetch files"))
			p.click("#next-failure")
			p.until("location.hash.includes('node_id=')")
			p.eval("window.before = true", nil)
			p.run(chromedp.Reload())
			p.until("!window.before && $('tab-graph').ariaSelected === 'true' && %s?.ariaExpanded === 'false' && location.hash.includes('fold=finished')", box("Prepare"))
			p.eval("graphView.toggle(taskView, 'prepare'), 0", nil)
			p.until("%s && !%s && !location.hash.includes('fold=')", box("fetch files"), box("check one"))
			p.eval("graphView.toggle(taskView, 'prepare'), 0", nil)
			p.until("location.hash.includes('fold=finished')")
			p.click("#tab-tree")
			p.until("%s", onlyRows(folded...))
			p.click("#fold-finished")
			p.until("%s && %s && %s", row("fetch files"), row("check one"), row("check two"))
			p.eval(row("Verify")+".querySelector('.fold').click(), 0", nil)
			p.until("!%s && %s", row("verify sums"), row("fetch files"))
			// The page unfolds found nodes.
			p.click("#next-failure")
			p.until("%s", row("verify sums"))
		},
		"in a part of the timeline": zoomTheTimeline,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(s.within(t), deployPath)
			p.until("%s && $('mark').textContent === 'live'", row("publish"))
			find(p)
		})
	}
}

func zoomTheTimeline(p *tab) {
	p.Helper()
	const width = "(taskView.scale[1] - taskView.scale[0])"
	p.click("#tab-timeline")
	p.until("document.querySelectorAll('.bar').length > 5 && document.querySelectorAll('.tick').length > 2")
	wide := func() { p.Helper(); p.until(width + " > 590000") }
	wide()
	p.click("#zoom-in")
	p.until(width + " < 400000")
	p.eval("window.from = taskView.scale[0], 0", nil)
	p.click("#zoom-right")
	p.until("taskView.scale[0] > from + 60000")
	p.click("#zoom-left")
	p.until("taskView.scale[0] < from + 60000")
	p.click("#zoom-out")
	wide()
	p.run(chromedp.Focus("#rows", chromedp.ByQuery))
	p.key("+")
	p.until(width + " < 400000")
	p.key("0")
	wide()
	// The wheel zooms around the pointer: the point below it does not move.
	var at []float64
	p.eval("(r => [r.left + r.width / 4, r.top + 8])(document.querySelector('#axis .track').getBoundingClientRect())", &at)
	p.run(input.DispatchMouseEvent(input.MouseWheel, at[0], at[1]).WithDeltaX(0).WithDeltaY(-100))
	p.until("Math.abs(timeWindow.to - timeWindow.from - 0.8) < 0.01 && Math.abs(timeWindow.from - 0.05) < 0.01")
	p.click("#zoom-all")
	wide()
}

func TestTheAddressLeadsToTheShownView(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	recordImport(s)
	p := open(s, deployPath)
	p.until("%s && $('mark').textContent === 'live'", row("publish"))
	p.run(chromedp.SendKeys("#find", "verify", chromedp.ByQuery))
	p.click("#quiet")
	p.click("#tab-timeline")
	p.eval(row("verify sums")+".click(), 0", nil)
	p.until("%s", pick("verify sums"))
	p.slide(950)
	p.until("$('mark').textContent === 'in the past' && location.hash.includes('as_of=')")
	var moment, address string
	p.eval("$('moment-text').textContent", &moment)
	p.copied()
	p.click("#copy-link")
	p.until("window.copied === location.href && $('copy-link').textContent === 'Copied'")
	p.eval("location.hash", &address)
	shown := func(tab *tab) {
		t.Helper()
		tab.until("$('find').value === 'verify' && $('quiet').checked && $('tab-timeline').ariaSelected === 'true' && $('mark').textContent === 'in the past' && $('moment-text').textContent === %s", quote(moment))
		tab.until("%s", pick("verify sums"))
		tab.until("%s", onlyRows("Import", "Verify", "verify sums", "verify rows"))
		tab.until("location.hash === %s", quote(address))
	}
	shown(open(s, address))
	p.run(chromedp.Reload())
	shown(p)
}

func TestTheJSONIsCopiedAndDownloaded(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	recordImport(s)
	p := open(s, deployPath+"&tab=json")
	p.until("taskView.json.length > 50")
	p.copied()
	p.eval("document.querySelector('#json-tools .copy').click(), 0", nil)
	p.until("window.copied.length > 1000")
	// The browser would save a file; the test checks its contents.
	p.eval("URL.createObjectURL = (blob) => { blob.text().then((text) => (window.saved = text)); return 'data:,'; }, HTMLAnchorElement.prototype.click = function () { window.file = this.download; }, 0", nil)
	p.click("#download")
	p.until("window.saved === window.copied && window.file === '2-10.json'")
	p.eval("fetch('api/status?bk_biz_id=2&task_id=10').then((r) => r.text()).then((text) => (window.served = text)), 0", nil)
	const timeless = "((text) => JSON.stringify(JSON.parse(text).data).replace(/\"elapsed_time\":\\d+/g, ''))"
	p.until("window.served && " + timeless + "(window.saved) === " + timeless + "(window.served) && JSON.parse(window.saved).result === true")
}

func TestTheKeysAreListed(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	recordImport(s)
	p := open(s, deployPath)
	p.until("%s", row("publish"))
	p.run(chromedp.Focus("#rows", chromedp.ByQuery))
	p.key("?")
	p.until("$('keys').open && $('key-list').textContent.includes('next failure')")
	p.shot("keys")
	p.key(kb.Escape)
	p.until("!$('keys').open")
	for i, tab := range []string{"tree", "timeline", "graph", "compare", "json"} {
		p.key(fmt.Sprint(i + 1))
		p.until("$('tab-%s').ariaSelected === 'true'", tab)
	}
	p.key("1")
	p.key("/")
	p.until("document.activeElement === $('find')")
}
