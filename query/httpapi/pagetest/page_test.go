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

// recordDeploy records an unfinished task with every kind of element that a
// page can show.
func recordDeploy(s *service) {
	begin := time.Now().Add(-5 * time.Minute)
	at := func(sec int) engine.Option { return engine.At(begin.Add(time.Duration(sec) * time.Second)) }
	leaf := func(parent, id, name string, kind state.Kind, from, to int, after ...string) {
		s.record(engine.Declare(parent, kind, engine.ID(id), engine.Name(name), engine.After(after...), at(from)), engine.Start(id, at(from)))
		if to > 0 {
			s.record(engine.Finish(id, at(to)))
		}
	}
	s.record(engine.Create("2", "10", engine.ID("root"), engine.Name("Deploy shop 4.2"), at(0)), engine.Start("root", at(0)))
	leaf("root", "start", "", state.StartEvent, 0, 0+1)
	s.record(engine.Declare("root", state.Subprocess, engine.ID("build"), engine.Name("Build"), engine.After("start"), at(2)), engine.Start("build", at(2)))
	leaf("build", "fetch", "fetch sources", state.ServiceActivity, 2, 20)
	leaf("build", "compile", "compile", state.ServiceActivity, 20, 0, "fetch")
	s.record(engine.Fail("compile", "exit status 2: undefined: checkout.Total", at(60)), engine.Retry("compile", at(75)), engine.Start("compile", at(75)),
		engine.Fail("compile", "exit status 2: undefined: checkout.Tax", at(120)), engine.Skip("compile", at(130)))
	s.record(engine.Finish("build", at(131)))
	leaf("root", "fork", "", state.ParallelGateway, 131, 132, "build")
	leaf("root", "smoke", "smoke test", state.ServiceActivity, 132, 150, "fork")
	s.record(engine.Loop("smoke", at(160)), engine.Finish("smoke", at(180)), engine.Loop("smoke", at(190)), engine.Finish("smoke", at(200)))
	leaf("root", "migrate", "migrate database", state.ServiceActivity, 132, 0, "fork")
	leaf("root", "notify", "notify", state.ServiceActivity, 132, 0, "fork")
	s.record(engine.Fail("notify", "dial tcp 10.0.0.9:25: connection refused", engine.RetryAt(time.Now().Add(time.Hour)), at(170)))
	leaf("root", "warm", "warm caches", state.ServiceActivity, 140, 0, "fork")
	s.record(engine.Suspend("warm", at(170)))
	s.record(engine.Declare("root", state.ServiceActivity, engine.ID("switch"), engine.Name("switch traffic"), engine.After("smoke", "migrate", "notify", "warm"), at(140)))
}

const deployPath = "#/task?bk_biz_id=2&task_id=10"

// listed is an expression for how many tasks the list shows.
const listed = "document.querySelectorAll('#task-rows tr').length"

func TestTasksAreListedFilteredAndOpened(t *testing.T) {
	t.Parallel()
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
	p.click("#older")
	p.until("$('task-rows').textContent.includes('nightly-069') && !$('newer').disabled")
	p.click("#newer")
	p.until("$('task-rows').textContent.includes('nightly-119')")

	p.run(chromedp.SetValue("#f-text", "SHOP", chromedp.ByQuery), click("#filter .primary"))
	p.until(listed + " === 1 && $('task-rows').textContent.includes('Deploy shop 4.2')")
	p.click("#f-clear")
	p.until(listed + " === 50")
	p.run(chromedp.SetValue("#f-business", "7", chromedp.ByQuery), click("#filter .primary"))
	p.until("$('f-states').textContent.includes('40 FINISHED') && $('f-states').textContent.includes('80 unfinished')")
	p.click("#f-states [data-count=FINISHED]")
	p.until(listed + " === 40 && $('older').disabled")
	p.click("#f-states [data-count=FINISHED]")
	p.until(listed + " === 50")
	p.run(click("#f-states [data-count=unfinished]"), chromedp.SetValue("#f-text", "nightly-001", chromedp.ByQuery), click("#filter .primary"))
	p.until(listed + " === 1")
	p.run(chromedp.SetValue("#f-since", "2100-01-01T00:00", chromedp.ByQuery), click("#filter .primary"))
	p.until("!$('no-tasks').hidden")
	p.run(click("#f-clear"), chromedp.SetValue("#f-text", "shop", chromedp.ByQuery), click("#filter .primary"))
	p.until(listed + " === 1")
	p.click("#task-rows a")
	p.until("$('t-name').textContent === 'Deploy shop 4.2' && %s === 'FINISHED'", rowState("Build"))
}

// Typed text is not changed by an answer on its way or by the refresh of the
// list, and applies once the user asks for it.
func TestUpdatesDoNotChangeATypedFilter(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	recordDeploy(s)
	s.record(engine.Create("7", "nightly", engine.ID("nightly"), engine.Name("Nightly backup")), engine.Start("nightly"))
	p := open(s, "")
	p.until(listed + " === 2")
	p.run(chromedp.SetValue("#f-text", "nightly", chromedp.ByQuery), click("#filter .primary"))
	p.until(listed + " === 1")
	p.eval("$('f-clear').click(), $('f-text').value = 'shop', 0", nil)
	p.until(listed + " === 2")
	p.eval("tasksView.refresh().then(() => window.refreshed = true), 0", nil)
	p.until("window.refreshed")
	var ok bool
	if p.eval(listed+" === 2 && $('f-text').value === 'shop'", &ok); !ok {
		t.Error("the list is filtered by a text that nobody asked for yet, or the text is gone")
	}
	p.click("#filter .primary")
	p.until(listed + " === 1 && $('task-rows').textContent.includes('Deploy shop 4.2')")
	p.run(chromedp.NavigateBack())
	p.until(listed + " === 2 && $('f-text').value === ''")
	p.run(chromedp.NavigateBack())
	p.until(listed + " === 1 && $('f-text').value === 'nightly'")
}

func TestARunningPipelineIsSeenToChange(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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
	s.record(engine.Fail("migrate", "boom"), engine.Retry("migrate", engine.Actor("ann")))
	p.until(attempts + " === 2 && $('d-attempts').textContent.includes('boom')")
	p.until("$('d-operations').textContent.includes('retry by ann')")
	p.click("#close-details")
	p.until("$('details').hidden")
}

func TestTheTimelineShowsEveryAttempt(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	recordDeploy(s)
	p := open(s, deployPath)
	p.until("%s", row("compile"))
	p.click("#tab-timeline")
	p.until("%s.querySelectorAll('.bar').length === 3 && %s.querySelectorAll('.bar').length === 3", row("compile"), row("smoke test"))
	p.shot("timeline")
	s.record(engine.Fail("migrate", "boom"), engine.Retry("migrate"), engine.Start("migrate"))
	p.until("%s.querySelectorAll('.bar').length === 2", row("migrate database"))
}

func TestTheSliderShowsThePast(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	recordDeploy(s)
	p := open(s, deployPath)
	p.until("$('mark').textContent === 'live'")
	p.slide(300) // 90 s of 300 s: the second attempt to compile runs
	p.until("%s === 'RUNNING' && !%s && $('mark').textContent === 'in the past'", rowState("compile"), row("switch traffic"))
	p.until("$('moment-text').textContent.includes('after start of compile')")
	p.shot("past")
	s.record(engine.Fail("migrate", "boom")) // the present changes, unseen
	p.click("#tab-json")
	p.until("$('rows').textContent.includes('\"result\": true')")
	p.run(click("#tab-tree"), click("#to-now"))
	p.until("%s === 'FAILED' && %s && $('mark').textContent === 'live'", rowState("migrate database"), row("switch traffic"))
}

func TestThePageReconnectsAfterTheServerRestarts(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
	s := newService(t, nil)
	const evil = `<img src=x onerror="window.owned=1"><script>window.owned=1</script></script><b>&amp;`
	s.record(engine.Create("2", "10", engine.ID("root"), engine.Name(evil)), engine.Start("root"),
		engine.Declare("root", state.ServiceActivity, engine.ID(`"><i>`), engine.Name(evil)), engine.Start(`"><i>`), engine.Fail(`"><i>`, evil))
	p := open(s, "")
	p.until("$('task-rows').textContent.includes(%s)", quote(evil))
	p.click("#task-rows a")
	p.until("$('t-name').textContent === %s && document.title.includes(%s)", quote(evil), quote(evil))
	p.until("document.querySelectorAll('.row:not([hidden])').length === 2")
	p.eval("document.querySelectorAll('.row')[1].click()", nil)
	p.until("$('d-attempts').textContent.includes(%s) && $('d-name').textContent === %s", quote(evil), quote(evil))
	p.shot("hostile")
	p.click("#tab-timeline")
	p.until("document.querySelectorAll('.bar').length === 2")
	p.click("#tab-json")
	p.until("$('rows').textContent.includes('onerror')")
	var owned bool
	p.eval("!!window.owned || !!document.querySelector('main img, main b, main i, main script')", &owned)
	if owned {
		t.Error("a text became markup")
	}
}

// IDs may be any text, including syntax of JavaScript, and numbers, which
// JavaScript's objects sort.
func TestNodesMayHaveAnyID(t *testing.T) {
	t.Parallel()
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
	p.click("#tab-tree")
	for _, id := range ids {
		p.until("%s === 'RUNNING'", rowState("step "+id))
	}
	p.click("#tab-json")
	p.until("rows.count > 100")
	var order []string
	p.eval(`taskView.json.map(l => l.match(/^ {6}"([^"]*)": \{$/)).filter(Boolean).map(m => m[1])`, &order)
	if strings.Join(order, " ") != strings.Join(ids, " ") {
		t.Errorf("the JSON has the nodes in the order %v", order)
	}
	var whole bool
	p.eval("JSON.parse(taskView.json.join('\\n')).result === true", &whole)
	if !whole {
		t.Error("the shown text is no JSON")
	}
}

func TestTheListContinuesAfterTheServerRestarts(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	for i := range 60 {
		s.record(engine.Create("2", fmt.Sprint("t", i)))
	}
	p := open(s, "")
	p.until(listed + " === 50")
	p.click("#older")
	p.until(listed + " === 10")
	s.stop()
	s.start() // with another key
	p.until(listed + " === 50 && $('newer').disabled && $('problem').hidden")
}

// A text that changes the direction of writing only changes itself: its
// neighbors stay in place, with their letters in order.
func TestTextsDoNotTurnTheirNeighbors(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	const turned, shut, hebrew = "\u202e\u2067abc", "\u2069\u202c\u202eabc", "\u05d0\u05d1\u05d2"
	const shownTurned, shownShut = "\ufffd\ufffdabc", "\ufffd\ufffd\ufffdabc"
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
	check("$('t-where')", " · 0 of 1 step finished so far")
	p.shot("hebrew")
	p.eval("location.hash = '', 0", nil)
	p.until("$('task-rows').textContent.includes(%s)", quote(shownTurned))
	p.click("#task-rows a")
	p.until("$('t-name').textContent === %s && %s", quote(shownTurned), row(shownShut))
	check("$('t-where')", " · 0 of 1 step finished so far")
	check("$('t-counts')", "1 FAILED")
	check(row(shownShut)+".querySelector('.name')", "service activity")
	check(row(shownShut)+".querySelector('.state')", "FAILED")
	p.click("#tab-json")
	p.until("$('rows').textContent.includes('abc')")
	for _, text := range []string{`\u202e\u2067abc`, `\u2069\u202c\u202eabc`} {
		p.until("$('rows').textContent.includes(%s)", quote(text))
	}
	p.shot("turned")
}

func TestTheTreeIsUsableByKeyboard(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
	s := newService(t, nil)
	recordDeploy(s)
	p := open(s, "")
	p.run(chromedp.EmulateViewport(375, 700, chromedp.EmulateMobile))
	fits := func() { t.Helper(); p.until("document.documentElement.scrollWidth <= 375") }
	p.until(listed + " === 1")
	fits()
	p.shot("phone-list")
	p.click("#task-rows a")
	p.until("%s", row("compile"))
	fits()
	p.shot("phone-task")
	for _, tab := range []string{"tree", "timeline", "graph"} {
		p.click("#tab-" + tab)
		p.until("[...document.querySelectorAll('#finding :is(button, input), #t-counts button')].filter(e => e.checkVisibility()).every(e => (r => r.width > 10 && r.left >= 0 && r.right <= 375)(e.getBoundingClientRect()))")
	}
	p.click("#tab-tree")
	p.eval(row("compile")+".click()", nil)
	p.until("document.querySelectorAll('#d-attempts li').length === 3")
	fits()
	p.shot("phone-history")
	p.click("#tab-timeline")
	p.until("document.querySelectorAll('.bar').length > 5")
	fits()
	p.shot("phone-timeline")
}

func TestARefusedUserSignsIn(t *testing.T) {
	t.Parallel()
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
	p.run(chromedp.SetValue("#app-code", "app", chromedp.ByQuery), chromedp.SetValue("#app-secret", "wrong", chromedp.ByQuery), chromedp.SetValue("#user-token", "t0kén", chromedp.ByQuery),
		click("#sign-in-form .primary"))
	p.until("!$('sign-in').hidden && $('problem').textContent === 'Application code or application secret is wrong'")
	// Only the secret has to be typed again.
	p.until("$('app-code').value === 'app' && $('user-token').value === 't0kén' && $('app-secret').value === '' && document.activeElement === $('app-secret')")
	// An outage at that moment only delays it.
	s.stop()
	p.run(chromedp.SendKeys("#app-secret", "s3cret\r", chromedp.ByQuery))
	p.until("!$('outage').hidden && $('sign-in').hidden")
	s.start()
	p.eval("$('outage-retry').click(), 0", nil)
	p.until("%s === 'RUNNING' && $('mark').textContent === 'live'", rowState("migrate database"))
	s.record(engine.Finish("migrate"))
	p.until("%s === 'FINISHED'", rowState("migrate database"))
	var address string
	p.eval("location.href", &address)
	if strings.Contains(address, "s3cret") {
		t.Errorf("a secret in the address: %s", address)
	}
	p.click("#sign-out")
	p.until("!$('sign-in').hidden && $('task').hidden && $('app-code').value === '' && $('user-token').value === ''")
}
