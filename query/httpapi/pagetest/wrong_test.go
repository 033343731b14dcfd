package pagetest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
)

// streams counts the open streams of a service.
type streams struct {
	handler       http.Handler
	open, highest int
	change        chan func(*streams)
}

func countStreams(h http.Handler) *streams {
	s := &streams{handler: h, change: make(chan func(*streams))}
	go func() {
		for f := range s.change {
			f(s)
		}
	}()
	return s
}

func (s *streams) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/api/events" {
		s.change <- func(s *streams) { s.open++; s.highest = max(s.highest, s.open) }
		defer func() { s.change <- func(s *streams) { s.open-- } }()
	}
	s.handler.ServeHTTP(w, r)
}

func (s *streams) now() (open int) {
	done := make(chan int)
	s.change <- func(s *streams) { done <- s.open }
	return <-done
}

// wait waits until a condition on the service holds.
func (p *tab) wait(what string, holds func() bool) {
	p.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.Fatalf("never: %s", what)
		}
	}
}

// A browser opens at most six connections to a server, so ten tabs must not
// need ten.
func TestTenTabsWork(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	recordDeploy(s)
	for i := range 5 {
		id := fmt.Sprint("other-", i)
		s.record(engine.Create("2", id, engine.ID(id), engine.Name(id)), engine.Start(id),
			engine.Declare(id, state.ServiceActivity, engine.ID("in-"+id), engine.Name("in "+id)), engine.Start("in-"+id))
	}
	counted := countStreams(s.server.Handler)
	s.server.Handler = counted
	var tabs []*tab
	for range 5 {
		tabs = append(tabs, open(s, deployPath))
	}
	for i := range 5 {
		tabs = append(tabs, open(s, fmt.Sprint("#/task?bk_biz_id=2&task_id=other-", i)))
	}
	for _, p := range tabs {
		p.until("$('mark').textContent === 'live'")
	}
	tabs[0].wait("four streams at most", func() bool { return counted.now() <= 4 && counted.now() > 0 })
	s.record(engine.Fail("migrate", "deadlock detected"))
	for _, p := range tabs[:5] {
		p.until("%s === 'FAILED'", rowState("migrate database"))
	}
	for i, p := range tabs[5:] {
		s.record(engine.Fail(fmt.Sprint("in-other-", i), "boom"))
		p.until("%s === 'FAILED'", rowState(fmt.Sprint("in other-", i)))
	}
	// When the tab with the stream is closed, another one takes it over.
	tabs[0].run(page.Close())
	s.record(engine.Retry("migrate"), engine.Start("migrate"))
	for _, p := range tabs[1:5] {
		p.until("%s === 'RUNNING'", rowState("migrate database"))
	}
	if open := counted.now(); open > 4 {
		t.Errorf("%d streams are open", open)
	}
}

func TestAHiddenTabClosesItsStream(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	recordDeploy(s)
	counted := countStreams(s.server.Handler)
	s.server.Handler = counted
	p := open(s, deployPath)
	p.wait("a stream", func() bool { return counted.now() == 1 })
	const hide = "Object.defineProperty(document, 'hidden', {configurable: true, get: () => %t}), document.dispatchEvent(new Event('visibilitychange')), 0"
	p.eval(fmt.Sprintf(hide, true), nil)
	p.wait("no stream", func() bool { return counted.now() == 0 })
	s.record(engine.Fail("migrate", "boom"))
	p.eval(fmt.Sprintf(hide, false), nil)
	p.wait("a stream again", func() bool { return counted.now() == 1 })
	p.until("%s === 'FAILED'", rowState("migrate database"))
}

// inZone opens a page in a browser of a time zone.
func inZone(s *service, zone, path string) *tab {
	s.Helper()
	p := open(s, "#/nowhere")
	p.run(emulation.SetTimezoneOverride(zone), chromedp.Navigate("about:blank"), chromedp.Navigate(p.base+path))
	return p
}

func TestTimesAreReadAndShownInOneNamedZone(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	s := newService(t, nil)
	s.relocate(berlin)
	// Winter time began on 2024-10-27 at 03:00 summer time.
	from := time.Date(2024, 10, 27, 1, 30, 0, 0, berlin)
	s.record(engine.Create("2", "10", engine.ID("root"), engine.Name("Autumn"), engine.At(from)), engine.Start("root", engine.At(from)),
		engine.Declare("root", state.ServiceActivity, engine.ID("a"), engine.Name("step"), engine.At(from)), engine.Start("a", engine.At(from)),
		engine.Finish("a", engine.At(from.Add(4*time.Hour))), engine.Finish("root", engine.At(from.Add(4*time.Hour))))
	for _, browser := range []string{"America/New_York", "Asia/Tokyo", "UTC"} {
		p := inZone(s, browser, deployPath)
		p.until("%s", row("step"))
		p.until("$('zone').selectedOptions[0].textContent.includes('Europe/Berlin (UTC+')")
		p.eval(row("step")+".click()", nil)
		p.until("$('d-fields').textContent.includes('2024-10-27 01:30:00')")
		p.until("$('d-attempts').textContent.includes('2024-10-27 01:30:00 – 04:30:00 · 4h 00m')")
		p.slide(875) // 3.5 hours later, in winter time
		p.until("$('moment-text').textContent.startsWith('2024-10-27 04:00:00')")
		p.eval("$('zone').value = 'UTC', $('zone').dispatchEvent(new Event('change')), 0", nil)
		p.until("$('d-attempts').textContent.includes('2024-10-26 23:30:00 – 2024-10-27 03:30:00')")
		p.eval("$('zone').value = 'browser', $('zone').dispatchEvent(new Event('change')), 0", nil)
		shown := from
		if l, err := time.LoadLocation(browser); err == nil {
			shown = from.In(l)
		}
		p.until("$('d-attempts').textContent.includes(%s) && $('zone').selectedOptions[0].textContent.includes(%s)", quote(shown.Format(time.DateTime)), quote(browser))
		// The list reads its times in the same zone.
		p.eval("$('zone').value = 'server', $('zone').dispatchEvent(new Event('change')), location.hash = '', 0", nil)
		p.until("[...document.querySelectorAll('.zone')].every(e => e.textContent.startsWith('UTC+'))")
		p.eval("$('f-since').value = '2024-10-27T03:30', $('f-until').value = '', 0", nil)
		p.click("#filter .primary")
		p.until("location.hash.includes('since=2024-10-27T02%%3A30')")
		p.until("$('f-since').value === '2024-10-27T03:30'")
		p.eval("zone.mode = 'server', localStorage.clear(), 0", nil)
	}
}

func TestTheClockStopsWhereNothingRuns(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	from := time.Now().Add(-50 * time.Hour)
	at := func(sec int) engine.Option { return engine.At(from.Add(time.Duration(sec) * time.Second)) }
	s.record(engine.Create("2", "10", engine.ID("root"), engine.Name("Nightly"), at(0)), engine.Start("root", at(0)),
		engine.Declare("root", state.Subprocess, engine.ID("sub"), engine.Name("inner"), at(0)), engine.Start("sub", at(0)),
		engine.Declare("sub", state.ServiceActivity, engine.ID("a"), engine.Name("step"), at(0)), engine.Start("a", at(3)),
		engine.Fail("a", "boom", at(33)))
	p := open(s, deployPath)
	p.until("$('t-where').textContent.includes('failed after 33 s, 2d ago')")
	p.until("%s.querySelector('.duration').textContent === '33 s' && %s.querySelector('.duration').textContent === '30 s'", row("inner"), row("step"))
	p.click("#tab-timeline")
	p.until("taskView.scale && taskView.scale[1] - taskView.scale[0] < 34000")
	p.eval("location.hash = ''", nil)
	p.until("$('task-rows').textContent.includes('33 s') && $('task-rows').textContent.includes('failed 2d ago')")
}

func TestAnUnreachableServerIsNamedAndAskedAgain(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	recordDeploy(s)
	list, p := open(s, ""), open(s, deployPath)
	list.until(listed + " === 1")
	p.until("%s && $('mark').textContent === 'live'", row("notify"))
	s.stop()
	for _, tab := range []*tab{list, p} {
		tab.until("!$('outage').hidden && /^The server does not answer(: the connection was closed)?\\. The page shows the state of \\d\\d:\\d\\d:\\d\\d\\./.test($('outage-text').textContent) && $('mark').textContent === 'reconnecting'")
		tab.until("/Next try in \\d+ s/.test($('outage-text').textContent)")
	}
	// The page shows the known part.
	p.eval(row("notify")+".click()", nil)
	p.until("$('d-error').textContent.includes('connection refused')")
	p.shot("away")
	s.start()
	for _, tab := range []*tab{list, p} {
		tab.eval("$('outage-retry').click(), 0", nil) // it may be over already
		tab.until("$('outage').hidden && $('mark').textContent === 'live'")
	}
	p.until("document.querySelectorAll('#d-attempts li').length === 1")
	s.record(engine.Finish("migrate"))
	p.until("%s === 'FINISHED'", rowState("migrate database"))
	p.run(chromedp.Reload())
	p.until("%s === 'FINISHED' && $('mark').textContent === 'live' && $('d-name').textContent === 'notify'", rowState("migrate database"))
}

const traceback = "Traceback (most recent call last):\n  File \"/srv/deploy/run.py\", line 40, in <module>\n    main()\n" +
	"  File \"/srv/deploy/run.py\", line 12, in main\n    connect(host)\n\x1b[31mConnectionError: no route to db-7\x1b[0m\n\x1b[2K\n"

func TestTheCauseOfAFailureIsSeen(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	recordDeploy(s)
	s.record(engine.Fail("migrate", traceback))
	p := open(s, deployPath)
	p.until("%s?.querySelector('.notes').textContent === 'ConnectionError: no route to db-7'", row("migrate database"))
	p.eval(row("migrate database")+".click()", nil)
	const text = "document.querySelector('#d-error pre').textContent"
	p.until(text + ".startsWith('Traceback') && " + text + ".includes('line 12, in main')")
	p.until("!" + text + ".includes('\\x1b')")
	p.until("$('d-error').getBoundingClientRect().top < $('d-fields').getBoundingClientRect().top")
	p.eval("window.copied = '', navigator.clipboard.writeText = async (t) => { window.copied = t; }, document.querySelector('#d-error .copy').click(), 0", nil)
	p.until("window.copied.startsWith('Traceback') && window.copied.includes('no route to db-7') && document.querySelector('#d-error .copy').textContent === 'Copied'")
	p.shot("cause")

	p.run(click("#close-details"), chromedp.EmulateViewport(390, 800, chromedp.EmulateMobile))
	const seen = "(e => { const r = e.getBoundingClientRect(); return r.width > 40 && r.left >= 0 && r.right <= 391 && r.bottom <= innerHeight; })"
	p.until(seen+"(%s.querySelector('.notes'))", row("migrate database"))
	p.shot("phone-cause")
	p.eval(row("migrate database")+".click()", nil)
	p.until(seen + "(document.querySelector('#d-error .cause'))")
	p.until("(e => (b => e.top >= b.top && e.bottom <= b.bottom)($('rows').getBoundingClientRect()))(%s.getBoundingClientRect())", row("migrate database"))
	p.shot("phone-cause-details")
}

func TestAnUnknownTaskIsReportedAsUnknown(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	p := open(s, "#/task?bk_biz_id=2&task_id=absent")
	p.until("!$('nothing').hidden && $('nothing-text').textContent.includes('absent') && $('task').hidden && $('tasks').hidden")
	p.shot("unknown")
	p.click("#nothing a")
	p.until("!$('tasks').hidden && $('nothing').hidden")
}

func TestASearchReadsOnToTheEnd(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	var ops []engine.Op
	ops = append(ops, engine.Create("2", "needle", engine.Name("Needle")))
	for _, op := range ops {
		s.record(op)
	}
	// More tasks than one request examines.
	for from := 0; from < 10_500; from += 500 {
		waits := make(chan error)
		for i := range 500 {
			go func() {
				_, err := s.engine.Record(s.Context(), engine.Create("2", fmt.Sprint("hay-", from+i)))
				waits <- err
			}()
		}
		for range 500 {
			if err := <-waits; err != nil {
				t.Fatal(err)
			}
		}
	}
	p := open(s, "#/?text=needle")
	p.until(listed + " === 1 && $('task-rows').textContent.includes('Needle') && $('older').disabled && $('no-tasks').hidden")
}

func TestWholeNumbersAsIDsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	s.record(engine.Create("2", "10", engine.ID("root")), engine.Start("root"))
	ids := []string{"30", "4", "100", "x", "7"}
	for _, id := range ids {
		s.record(engine.Declare("root", state.ServiceActivity, engine.ID(id)))
	}
	p := open(s, deployPath+"&tab=json")
	p.until("taskView.json.length > 50")
	var order []string
	p.eval(`taskView.json.map(l => l.match(/^ {6}"([^"]*)": \{$/)).filter(Boolean).map(m => m[1])`, &order)
	if strings.Join(order, " ") != strings.Join(ids, " ") {
		t.Errorf("the JSON has the nodes in the order %v", order)
	}
}

func TestTheCountsOfListAndTaskAgree(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	recordDeploy(s)
	p := open(s, "")
	p.until("$('task-rows').textContent.includes('5 of 9')")
	p.click("#task-rows a")
	p.until("$('t-where').textContent.includes('5 of 9 steps finished so far')")
	p.until("progressText({ counts: { FINISHED: 5 }, finish_time: 'x' }) === '5 of 5 steps finished' && progressText({ counts: { FINISHED: 1 } }, 31) === '1 of about 31 steps finished'")
	p.until("[...document.querySelectorAll('#t-counts .count')].reduce((n, b) => n + parseInt(b.textContent), 0) === 9")
}
