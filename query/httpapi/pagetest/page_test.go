package pagetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/state"
)

// recordDeploy records a task in the middle of its work, with every sort of
// thing a page has to show.
func recordDeploy(s *service) {
	begin := time.Now().Add(-5 * time.Minute)
	at := func(sec int) engine.Option { return engine.At(begin.Add(time.Duration(sec) * time.Second)) }
	leaf := func(parent, id, name string, kind state.Kind, from, to int) {
		s.record(engine.Declare(parent, kind, engine.ID(id), engine.Name(name), at(from)), engine.Start(id, at(from)))
		if to > 0 {
			s.record(engine.Finish(id, at(to)))
		}
	}
	s.record(engine.Create("2", "10", engine.ID("root"), engine.Name("Deploy shop 4.2"), at(0)), engine.Start("root", at(0)))
	leaf("root", "start", "", state.StartEvent, 0, 0+1)
	s.record(engine.Declare("root", state.Subprocess, engine.ID("build"), engine.Name("Build"), at(2)), engine.Start("build", at(2)))
	leaf("build", "fetch", "fetch sources", state.ServiceActivity, 2, 20)
	leaf("build", "compile", "compile", state.ServiceActivity, 20, 0)
	s.record(engine.Fail("compile", "exit status 2: undefined: checkout.Total", at(60)), engine.Retry("compile", at(75)), engine.Start("compile", at(75)),
		engine.Fail("compile", "exit status 2: undefined: checkout.Tax", at(120)), engine.Skip("compile", at(130)))
	s.record(engine.Finish("build", at(131)))
	leaf("root", "fork", "", state.ParallelGateway, 131, 132)
	leaf("root", "smoke", "smoke test", state.ServiceActivity, 132, 150)
	s.record(engine.Loop("smoke", at(160)), engine.Finish("smoke", at(180)), engine.Loop("smoke", at(190)), engine.Finish("smoke", at(200)))
	leaf("root", "migrate", "migrate database", state.ServiceActivity, 132, 0)
	leaf("root", "notify", "notify", state.ServiceActivity, 132, 0)
	s.record(engine.Fail("notify", "dial tcp 10.0.0.9:25: connection refused", engine.RetryAt(time.Now().Add(time.Hour)), at(170)))
	leaf("root", "warm", "warm caches", state.ServiceActivity, 140, 0)
	s.record(engine.Suspend("warm", at(170)))
	s.record(engine.Declare("root", state.ServiceActivity, engine.ID("switch"), engine.Name("switch traffic"), at(140)))
}

const deployPath = "#/task?bk_biz_id=2&task_id=10"

// listed is an expression for how many tasks the list shows.
const listed = "document.querySelectorAll('#task-rows tr').length"

func TestTasksAreListedFilteredAndOpened(t *testing.T) {
	s := newService(t, nil)
	recordDeploy(s)
	for i := range 120 {
		id := fmt.Sprintf("nightly-%03d", i)
		s.record(engine.Create("7", id, engine.ID("r-"+id), engine.Name("Nightly backup")), engine.Start("r-"+id))
		if i%3 == 0 {
			s.record(engine.Finish("r-" + id))
		}
	}
	p := open(s, "")
	p.until(listed + " === 50 && $('newer').disabled && !$('older').disabled")
	p.until("$('mark').textContent === 'live'")
	p.shot("list")
	p.run(chromedp.Click("#older", chromedp.ByQuery))
	p.until("$('task-rows').textContent.includes('nightly-069') && !$('newer').disabled")
	p.run(chromedp.Click("#newer", chromedp.ByQuery))
	p.until("$('task-rows').textContent.includes('nightly-119')")

	p.run(chromedp.SetValue("#f-text", "SHOP", chromedp.ByQuery), chromedp.Click("#filter .primary", chromedp.ByQuery))
	p.until(listed + " === 1 && $('task-rows').textContent.includes('Deploy shop 4.2')")
	p.run(chromedp.Click("#f-clear", chromedp.ByQuery))
	p.until(listed + " === 50")
	p.run(chromedp.SetValue("#f-business", "7", chromedp.ByQuery), chromedp.Click("#filter .primary", chromedp.ByQuery))
	p.until("$('f-states').textContent.includes('40 FINISHED') && $('f-states').textContent.includes('80 unfinished')")
	p.run(chromedp.Click("#f-states [data-count=FINISHED]", chromedp.ByQuery))
	p.until(listed + " === 40 && $('older').disabled")
	p.run(chromedp.Click("#f-states [data-count=FINISHED]", chromedp.ByQuery))
	p.until(listed + " === 50")
	p.run(chromedp.Click("#f-states [data-count=unfinished]", chromedp.ByQuery), chromedp.SetValue("#f-text", "nightly-001", chromedp.ByQuery), chromedp.Click("#filter .primary", chromedp.ByQuery))
	p.until(listed + " === 1")
	p.run(chromedp.SetValue("#f-since", "2100-01-01T00:00", chromedp.ByQuery), chromedp.Click("#filter .primary", chromedp.ByQuery))
	p.until("!$('no-tasks').hidden")
	p.run(chromedp.Click("#f-clear", chromedp.ByQuery), chromedp.SetValue("#f-text", "shop", chromedp.ByQuery), chromedp.Click("#filter .primary", chromedp.ByQuery))
	p.until(listed + " === 1")
	p.run(chromedp.Click("#task-rows a", chromedp.ByQuery))
	p.until("$('t-name').textContent === 'Deploy shop 4.2' && %s === 'FINISHED'", rowState("Build"))
}

// What is typed stays as it was typed, and counts from when it is asked for:
// neither an answer on its way nor the list's own refreshing takes it.
func TestTheFilterBelongsToWhoTypes(t *testing.T) {
	s := newService(t, nil)
	recordDeploy(s)
	s.record(engine.Create("7", "nightly", engine.ID("nightly"), engine.Name("Nightly backup")), engine.Start("nightly"))
	p := open(s, "")
	p.until(listed + " === 2")
	p.run(chromedp.SetValue("#f-text", "nightly", chromedp.ByQuery), chromedp.Click("#filter .primary", chromedp.ByQuery))
	p.until(listed + " === 1")
	p.eval("$('f-clear').click(), $('f-text').value = 'shop', 0", nil)
	p.until(listed + " === 2")
	p.eval("tasksView.refresh().then(() => window.refreshed = true), 0", nil)
	p.until("window.refreshed")
	var ok bool
	if p.eval(listed+" === 2 && $('f-text').value === 'shop'", &ok); !ok {
		t.Error("the list is filtered by a text that nobody asked for yet, or the text is gone")
	}
	p.run(chromedp.Click("#filter .primary", chromedp.ByQuery))
	p.until(listed + " === 1 && $('task-rows').textContent.includes('Deploy shop 4.2')")
	p.run(chromedp.NavigateBack())
	p.until(listed + " === 2 && $('f-text').value === ''")
	p.run(chromedp.NavigateBack())
	p.until(listed + " === 1 && $('f-text').value === 'nightly'")
}

func TestARunningPipelineIsSeenToChange(t *testing.T) {
	s := newService(t, nil)
	recordDeploy(s)
	p := open(s, deployPath)
	p.until("$('mark').textContent === 'live' && %s === 'RUNNING'", rowState("migrate database"))
	p.until("$('t-state').textContent === 'RUNNING' && %s === 'FAILED' && %s === 'SUSPENDED'", rowState("notify"), rowState("warm caches"))
	p.shot("task")
	var before, after string
	const took = "?.querySelector('.duration').textContent"
	p.eval(row("migrate database")+took, &before)
	p.until("%s !== %s", row("migrate database")+took, quote(before))
	p.eval("$('t-counts').textContent", &before)

	s.record(engine.Fail("migrate", "deadlock detected"))
	p.until("%s === 'FAILED' && %s.textContent.includes('deadlock detected')", rowState("migrate database"), row("migrate database"))
	s.record(engine.Retry("migrate"), engine.Start("migrate"), engine.Finish("migrate"))
	s.record(engine.Start("switch"))
	s.record(engine.Declare("root", state.EndEvent, engine.ID("end"), engine.Name("the end")))
	p.until("%s === 'FINISHED' && %s === 'RUNNING' && %s === 'CREATED'", rowState("migrate database"), rowState("switch traffic"), rowState("the end"))
	p.eval("$('t-counts').textContent", &after)
	if before == after {
		t.Errorf("the counts stay %q", after)
	}
}

func TestTheHistoryOfANodeHasEveryAttempt(t *testing.T) {
	s := newService(t, nil)
	recordDeploy(s)
	p := open(s, deployPath)
	p.until("%s", row("compile"))
	p.eval(row("compile")+".click()", nil)
	const attempts = "document.querySelectorAll('#d-attempts li').length"
	p.until("%s === 3 && $('d-attempts').textContent.includes('checkout.Total') && $('d-attempts').textContent.includes('checkout.Tax')", attempts)
	p.until("$('d-name').textContent === 'compile' && $('d-attempts').firstChild.textContent.includes('skipped')")
	p.shot("history")
	p.eval(row("migrate database")+".click()", nil)
	p.until(attempts + " === 1")
	s.record(engine.Fail("migrate", "boom"), engine.Retry("migrate"))
	p.until(attempts + " === 2 && $('d-attempts').textContent.includes('boom')")
	p.run(chromedp.Click("#close-details", chromedp.ByQuery))
	p.until("$('details').hidden")
}

func TestTheTimelineShowsEveryAttempt(t *testing.T) {
	s := newService(t, nil)
	recordDeploy(s)
	p := open(s, deployPath)
	p.until("%s", row("compile"))
	p.run(chromedp.Click("#tab-timeline", chromedp.ByQuery))
	p.until("%s.querySelectorAll('.bar').length === 3 && %s.querySelectorAll('.bar').length === 3", row("compile"), row("smoke test"))
	p.shot("timeline")
	s.record(engine.Fail("migrate", "boom"), engine.Retry("migrate"), engine.Start("migrate"))
	p.until("%s.querySelectorAll('.bar').length === 2", row("migrate database"))
}

func TestTheSliderShowsThePast(t *testing.T) {
	s := newService(t, nil)
	recordDeploy(s)
	p := open(s, deployPath)
	p.until("$('mark').textContent === 'live'")
	p.slide(300) // 90 s of 300 s: the second attempt to compile runs
	p.until("%s === 'RUNNING' && !%s && $('mark').textContent === 'in the past'", rowState("compile"), row("switch traffic"))
	p.until("$('moment-text').textContent.includes('after start of compile')")
	p.shot("past")
	s.record(engine.Fail("migrate", "boom")) // the present goes on, unseen
	p.run(chromedp.Click("#tab-json", chromedp.ByQuery))
	p.until("$('rows').textContent.includes('\"result\": true')")
	p.run(chromedp.Click("#tab-tree", chromedp.ByQuery), chromedp.Click("#to-now", chromedp.ByQuery))
	p.until("%s === 'FAILED' && %s && $('mark').textContent === 'live'", rowState("migrate database"), row("switch traffic"))
}

func TestThePageReconnectsAfterTheServerRestarts(t *testing.T) {
	s := newService(t, nil)
	recordDeploy(s)
	p := open(s, deployPath)
	p.until("$('mark').textContent === 'live'")
	s.stop()
	p.until("$('mark').textContent === 'reconnecting'")
	p.shot("reconnecting")
	s.record(engine.Finish("migrate"))
	s.start()
	p.until("$('mark').textContent === 'live' && %s === 'FINISHED'", rowState("migrate database"))
	s.record(engine.Start("switch"))
	p.until("%s === 'RUNNING'", rowState("switch traffic"))
}

func TestHostileTextsStayTexts(t *testing.T) {
	s := newService(t, nil)
	const evil = `<img src=x onerror="window.owned=1"><script>window.owned=1</script></script><b>&amp;`
	s.record(engine.Create("2", "10", engine.ID("root"), engine.Name(evil)), engine.Start("root"),
		engine.Declare("root", state.ServiceActivity, engine.ID(`"><i>`), engine.Name(evil)), engine.Start(`"><i>`), engine.Fail(`"><i>`, evil))
	p := open(s, "")
	p.until("$('task-rows').textContent.includes(%s)", quote(evil))
	p.run(chromedp.Click("#task-rows a", chromedp.ByQuery))
	p.until("$('t-name').textContent === %s && document.title.includes(%s)", quote(evil), quote(evil))
	p.until("document.querySelectorAll('.row:not([hidden])').length === 2")
	p.eval("document.querySelectorAll('.row')[1].click()", nil)
	p.until("$('d-attempts').textContent.includes(%s) && $('d-name').textContent === %s", quote(evil), quote(evil))
	p.shot("hostile")
	p.run(chromedp.Click("#tab-timeline", chromedp.ByQuery))
	p.until("document.querySelectorAll('.bar').length === 2")
	p.run(chromedp.Click("#tab-json", chromedp.ByQuery))
	p.until("$('rows').textContent.includes('onerror')")
	var owned bool
	p.eval("!!window.owned || !!document.querySelector('main img, main b, main i, main script')", &owned)
	if owned {
		t.Error("a text became markup")
	}
}

// IDs are any text, also what means something to JavaScript, and numbers, which
// its objects put in an order of their own.
func TestNodesMayHaveAnyID(t *testing.T) {
	s := newService(t, nil)
	ids := []string{"constructor", "__proto__", "toString", "hasOwnProperty", "prototype", "then", "undefined", "null", "10", "9", "length"}
	s.record(engine.Create("2", "10", engine.ID("valueOf")), engine.Start("valueOf"))
	for _, id := range ids {
		s.record(engine.Declare("valueOf", state.ServiceActivity, engine.ID(id), engine.Name("step "+id)), engine.Start(id), engine.Fail(id, "boom of "+id), engine.Retry(id), engine.Start(id))
	}
	p := open(s, deployPath+"&tab=timeline")
	for _, id := range ids {
		p.until("%s?.querySelectorAll('.bar').length === 2 && %s === 'RUNNING'", row("step "+id), rowState("step "+id))
	}
	for _, id := range ids {
		s.record(engine.Fail(id, "again"), engine.Retry(id), engine.Start(id))
		p.until("%s.querySelectorAll('.bar').length === 3", row("step "+id))
		p.eval(row("step "+id)+".click()", nil)
		p.until("document.querySelectorAll('#d-attempts li').length === 3 && $('d-attempts').textContent.includes(%s)", quote("boom of "+id))
	}
	p.eval(row("step __proto__")+".querySelector('.name').click()", nil)
	p.run(chromedp.Click("#tab-tree", chromedp.ByQuery))
	for _, id := range ids {
		p.until("%s === 'RUNNING'", rowState("step "+id))
	}
	p.run(chromedp.Click("#tab-json", chromedp.ByQuery))
	p.until("rows.count > 100")
	var order []string
	p.eval(`taskView.json.map(l => l.match(/^ {6}"([^"]*)": \{$/)).filter(Boolean).map(m => m[1])`, &order)
	if strings.Join(order, " ") != strings.Join(ids, " ") {
		t.Errorf("the JSON has the nodes in the order %v", order)
	}
	var whole bool
	p.eval("JSON.parse(taskView.json.join('\\n')).result === true", &whole)
	if !whole {
		t.Error("what is shown is no JSON")
	}
}

// runner does to the record what it is asked for.
type runner struct{ e *engine.Engine }

func (r *runner) Operate(ctx context.Context, op httpapi.Operation) error {
	node := op.Node
	if node == "" {
		node = "root"
	}
	by := engine.Actor(op.Actor)
	do := map[httpapi.Action][]engine.Op{
		httpapi.Pause: {engine.Suspend(node, by)}, httpapi.Resume: {engine.Resume(node, by)}, httpapi.Revoke: {engine.Revoke(node, by)},
		httpapi.Retry: {engine.Retry(node, by), engine.Start(node, by)}, httpapi.Skip: {engine.Skip(node, by)},
		httpapi.ForceFail: {engine.Fail(node, "forced", by)},
	}
	_, err := r.e.Record(ctx, do[op.Action]...)
	return err
}

func TestATaskIsOperatedFromThePage(t *testing.T) {
	r := new(runner)
	s := newService(t, &httpapi.Options{
		Authenticator: httpapi.NoAuth{}, Operator: r,
		AuthorizeOperation: func(context.Context, httpapi.Identity, httpapi.Operation) bool { return true },
	})
	r.e = s.engine
	recordDeploy(s)
	s.record(engine.Fail("migrate", "boom"))
	p := open(s, deployPath)
	press := func(box, action string) {
		t.Helper()
		p.until("document.querySelector('#%s [data-action=%s]:not(:disabled)')", box, action)
		p.eval(fmt.Sprintf("document.querySelector('#%s [data-action=%s]').click(), 0", box, action), nil)
	}
	p.until("%s === 'FAILED'", rowState("migrate database"))
	p.eval(row("migrate database")+".click()", nil)
	p.shot("actions")
	press("d-actions", "retry")
	p.until("document.querySelector('#d-actions [data-action=retry]').textContent === 'Really retry?'")
	press("d-actions", "retry")
	p.until("%s === 'RUNNING'", rowState("migrate database"))
	press("d-actions", "forced_fail")
	p.until("document.querySelector('#d-actions [data-action=forced_fail]').textContent === 'Really make it fail?'")
	press("d-actions", "forced_fail")
	p.until("%s === 'FAILED'", rowState("migrate database"))
	press("d-actions", "skip")
	press("d-actions", "skip")
	p.until("%s === 'FINISHED' && $('d-actions').children.length === 0", rowState("migrate database"))
	press("t-actions", "pause")
	p.until("$('t-state').textContent === 'SUSPENDED'")
	press("t-actions", "resume")
	p.until("document.querySelector('#t-actions [data-action=pause]')")
	press("t-actions", "revoke")
	press("t-actions", "revoke")
	p.until("$('t-state').textContent === 'REVOKED' && $('t-actions').children.length === 0")
}

func TestTheListGoesOnAfterTheServerRestarts(t *testing.T) {
	s := newService(t, nil)
	for i := range 60 {
		s.record(engine.Create("2", fmt.Sprint("t", i)))
	}
	p := open(s, "")
	p.until(listed + " === 50")
	p.run(chromedp.Click("#older", chromedp.ByQuery))
	p.until(listed + " === 10")
	s.stop()
	s.start() // with another key
	p.until(listed + " === 50 && $('newer').disabled && $('problem').hidden")
}

// A text that turns the direction of writing turns nothing but itself: what
// stands beside it is in its place, and keeps its letters in their order.
func TestTextsTurnNothingBesideThem(t *testing.T) {
	s := newService(t, nil)
	const turned, shut, hebrew = "\u202e\u2067abc", "\u2069\u202c\u202eabc", "\u05d0\u05d1\u05d2"
	s.record(engine.Create("2", hebrew, engine.ID(hebrew), engine.Name(hebrew)), engine.Start(hebrew),
		engine.Declare(hebrew, state.ServiceActivity, engine.Name("1")))
	s.record(engine.Create("2", turned, engine.ID("root"), engine.Name(turned)), engine.Start("root"),
		engine.Declare("root", state.ServiceActivity, engine.ID(shut), engine.Name(shut)), engine.Start(shut), engine.Fail(shut, turned))
	p := open(s, "#/task?bk_biz_id=2&task_id="+hebrew)
	p.until("document.querySelectorAll('.row:not([hidden])').length === 2")
	// Whether the letters of a text within an element go from left to right.
	const forward = `(element, text) => {
		const walk = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
		const places = [];
		let all = "";
		while (walk.nextNode()) for (let i = 0; i < walk.currentNode.length; i++) {
			all += walk.currentNode.data[i];
			places.push([walk.currentNode, i]);
		}
		const at = all.indexOf(text);
		const lefts = places.slice(at, at + text.length).map(([node, i]) => {
			const range = document.createRange();
			range.setStart(node, i);
			range.setEnd(node, i + 1);
			return range.getBoundingClientRect().left;
		});
		return at >= 0 && lefts.every((left, i) => i === 0 || left > lefts[i - 1]);
	}`
	check := func(element, text string) {
		t.Helper()
		var ok bool
		if p.eval("("+forward+")("+element+", "+quote(text)+")", &ok); !ok {
			t.Errorf("%s does not show %q from left to right", element, text)
		}
	}
	check("$('t-where')", " · 0 of 1 steps finished")
	p.shot("hebrew")
	p.eval("location.hash = '', 0", nil)
	p.until("$('task-rows').textContent.includes(%s)", quote(turned))
	p.run(chromedp.Click("#task-rows a", chromedp.ByQuery))
	p.until("$('t-name').textContent === %s && %s", quote(turned), row(shut))
	check("$('t-where')", " · 0 of 1 steps finished")
	check("$('t-counts')", "1 FAILED")
	check(row(shut)+".querySelector('.name')", "service activity")
	check(row(shut)+".querySelector('.state')", "FAILED")
	p.run(chromedp.Click("#tab-json", chromedp.ByQuery))
	p.until("$('rows').textContent.includes('abc')")
	for _, text := range []string{`\u202e\u2067abc`, `\u2069\u202c\u202eabc`} {
		p.until("$('rows').textContent.includes(%s)", quote(text))
	}
	p.shot("turned")
}

// recordFleet records a task of 10,001 nodes: 100 racks of 99 hosts, all running.
func (s *service) recordFleet() {
	ops := []engine.Op{engine.Create("2", "10", engine.ID("root"), engine.Name("Fleet")), engine.Start("root")}
	for i := range 100 {
		rack := fmt.Sprintf("rack-%02d", i)
		ops = append(ops, engine.Declare("root", state.Subprocess, engine.ID(rack), engine.Name(rack)), engine.Start(rack))
		for j := range 99 {
			host := fmt.Sprintf("host-%02d-%02d", i, j)
			ops = append(ops, engine.Declare(rack, state.ServiceActivity, engine.ID(host), engine.Name(host)), engine.Start(host))
		}
	}
	s.record(ops...)
}

func TestTenThousandNodesScroll(t *testing.T) {
	s := newService(t, nil)
	s.recordFleet()
	p := open(s, deployPath)
	p.until("$('t-where').textContent.includes('0 of 9900 steps finished') && %s", row("host-00-00"))
	p.eval("$('rows').scrollTop = 28 * 5000, 0", nil)
	p.until("%s && document.querySelectorAll('.row').length < 80", row("host-49-98"))
	p.eval("$('rows').scrollTop = 1e9, 0", nil)
	p.until("%s === 'RUNNING'", rowState("host-99-98"))
	s.record(engine.Fail("host-99-98", "disk full"))
	p.until("%s === 'FAILED'", rowState("host-99-98"))
	p.eval("$('rows').scrollTop = 0, 0", nil)
	p.until("%s", row("host-00-00"))
	p.run(chromedp.Click("#next-failure", chromedp.ByQuery))
	p.until("%s && $('d-name').textContent === 'host-99-98'", row("host-99-98"))
	p.shot("large")
	p.run(chromedp.Click("#tab-timeline", chromedp.ByQuery))
	p.until("document.querySelectorAll('.bar').length > 5")
	p.run(chromedp.Click("#tab-json", chromedp.ByQuery))
	p.until("rows.count > 100000 && document.querySelectorAll('.row').length < 80")
}

func TestTheTreeIsUsableByKeyboard(t *testing.T) {
	s := newService(t, nil)
	recordDeploy(s)
	p := open(s, deployPath)
	p.until("%s", row("compile"))
	p.run(chromedp.Focus("#rows", chromedp.ByQuery))
	chosen := func(name string) { t.Helper(); p.until("%s?.className === 'row chosen'", row(name)) }
	p.key(kb.Home)
	chosen("Deploy shop 4.2")
	p.key(kb.ArrowDown + kb.ArrowDown)
	chosen("Build")
	p.key(kb.ArrowLeft)
	p.until("!%s && %s.ariaExpanded === 'false'", row("compile"), row("Build"))
	p.key(kb.ArrowRight)
	p.until("%s", row("compile"))
	p.key(kb.ArrowRight)
	chosen("fetch sources")
	p.key(kb.ArrowLeft)
	chosen("Build")
	p.key(kb.End)
	chosen("switch traffic")
	p.key(kb.Enter)
	p.until("$('d-name').textContent === 'switch traffic'")
	p.key(kb.Escape)
	p.until("$('details').hidden")
	p.run(chromedp.Focus("#tab-tree", chromedp.ByQuery))
	p.key(kb.ArrowRight)
	p.until("document.activeElement.id === 'tab-timeline' && !$('axis').hidden")
}

func TestThePageFitsAPhone(t *testing.T) {
	s := newService(t, nil)
	recordDeploy(s)
	p := open(s, "")
	p.run(chromedp.EmulateViewport(375, 700, chromedp.EmulateMobile))
	fits := func() { t.Helper(); p.until("document.documentElement.scrollWidth <= 375") }
	p.until(listed + " === 1")
	fits()
	p.shot("phone-list")
	p.run(chromedp.Click("#task-rows a", chromedp.ByQuery))
	p.until("%s", row("compile"))
	fits()
	p.shot("phone-task")
	p.eval(row("compile")+".click()", nil)
	p.until("document.querySelectorAll('#d-attempts li').length === 3")
	fits()
	p.shot("phone-history")
	p.run(chromedp.Click("#tab-timeline", chromedp.ByQuery))
	p.until("document.querySelectorAll('.bar').length > 5")
	fits()
	p.shot("phone-timeline")
}

func TestWhoIsRefusedSignsIn(t *testing.T) {
	s := newService(t, &httpapi.Options{
		Authenticator: &httpapi.Applications{
			Secrets:     map[string]string{"app": httpapi.HashSecret("s3cret")},
			VerifyToken: httpapi.Tokens(map[string]string{"t0kén": "ann"}),
		},
		Authorize: func(_ context.Context, who httpapi.Identity, business string) bool {
			return who.User == "ann" && business == "2"
		},
	})
	recordDeploy(s)
	p := open(s, deployPath)
	p.until("!$('sign-in').hidden")
	p.shot("sign-in")
	enter := func(secret, token string) {
		p.run(chromedp.SetValue("#app-code", "app", chromedp.ByQuery), chromedp.SetValue("#app-secret", secret, chromedp.ByQuery), chromedp.SetValue("#user-token", token, chromedp.ByQuery),
			chromedp.Click("#sign-in-form .primary", chromedp.ByQuery))
	}
	enter("wrong", "t0kén")
	p.until("!$('sign-in').hidden && $('problem').textContent === 'bk_app_code or bk_app_secret is wrong'")
	enter("s3cret", "t0kén")
	p.until("%s === 'RUNNING' && $('mark').textContent === 'live'", rowState("migrate database"))
	s.record(engine.Finish("migrate"))
	p.until("%s === 'FINISHED'", rowState("migrate database"))
	var address string
	p.eval("location.href", &address)
	if strings.Contains(address, "s3cret") {
		t.Errorf("a secret in the address: %s", address)
	}
	p.run(chromedp.Click("#sign-out", chromedp.ByQuery))
	p.until("!$('sign-in').hidden && $('task').hidden")
}
