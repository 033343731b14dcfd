package pagetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
)

// The page reports the malformed part of an address, and shows nothing else.
func TestAMalformedAddressShowsOnlyTheError(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	recordDeploy(s)
	p := open(s, "")
	for address, said := range map[string]string{
		deployPath + "&as_of=tomorrow":             "as_of=tomorrow",
		deployPath + "&as_of=nonsense%205":         "as_of=nonsense 5",
		deployPath + "&as_of=2001-01-01T00:00:00Z": "10",
		"#/?since=2024-02-31":                      "since=2024-02-31",
		"#/?sort=name":                             "sort=name",
		"#/?until=x%205&time=started":              "until=x 5",
		"#/?since=2024-01-01T00:00:00Z&time=x":     "time=x",
	} {
		p.eval("location.hash = '', 0", nil)
		p.until(listed + " === 1 && $('nothing').hidden")
		p.eval(fmt.Sprintf("location.hash = %s, 0", quote(address)), nil)
		p.until("!$('nothing').hidden && $('nothing-text').textContent.includes(%s) && $('task').hidden && $('tasks').hidden", quote(said))
	}
	p.eval(fmt.Sprintf("location.hash = %s, 0", quote(deployPath+"&as_of="+time.Now().Add(time.Hour).UTC().Format(time.RFC3339))), nil)
	p.until("$('mark').textContent === 'in the past' && location.hash.includes('as_of=') && $('nothing').hidden")

	// Times are read as people write them, in the zone of the page. The clock of
	// the page stands at 02:30 of March 1, 2024, UTC.
	zoned := s.opts.Query.Location
	now := time.Date(2024, 3, 1, 2, 30, 0, 0, time.UTC)
	p.eval(fmt.Sprintf("window.shown = (text) => { const was = [Date.now, clockAhead]; [Date.now, clockAhead] = [() => %d, 0]; try { return moment(text); } finally { [Date.now, clockAhead] = was; } }, 0", now.UnixMilli()), nil)
	for text, want := range map[string]time.Time{
		"2024-02-29T23:00:00Z": now.Add(-3*time.Hour - 30*time.Minute), "2024-02-29T23:00:00.5+08:00": time.Date(2024, 2, 29, 23, 0, 0, 5e8, zoned),
		"2024-02-29 23:00:00 +0800": time.Date(2024, 2, 29, 23, 0, 0, 0, zoned), "2024-02-29 23:00:01": time.Date(2024, 2, 29, 23, 0, 1, 0, zoned),
		"2024-02-29 23:00": time.Date(2024, 2, 29, 23, 0, 0, 0, zoned), "2024-02-29": time.Date(2024, 2, 29, 0, 0, 0, 0, zoned),
		"today": time.Date(2024, 3, 1, 0, 0, 0, 0, zoned), "yesterday": time.Date(2024, 2, 29, 0, 0, 0, 0, zoned), "yesterday 03:12": time.Date(2024, 2, 29, 3, 12, 0, 0, zoned),
		"03:12": time.Date(2024, 3, 1, 3, 12, 0, 0, zoned), "10:31": time.Date(2024, 2, 29, 10, 31, 0, 0, zoned), "10:29:59": time.Date(2024, 3, 1, 10, 29, 59, 0, zoned),
		"2h": now.Add(-2 * time.Hour), "1h30m": now.Add(-90 * time.Minute), "30d": now.AddDate(0, 0, -30),
		"1709260200": now, "1709260200.25": now.Add(250 * time.Millisecond), "1709260200250": now.Add(250 * time.Millisecond), "0": time.Unix(0, 0),
	} {
		var got float64
		if p.eval("window.shown("+quote(text)+") ?? NaN", &got); int64(got) != want.UnixMilli() {
			t.Errorf("%q is read as %s, want %s", text, time.UnixMilli(int64(got)).UTC(), want.UTC())
		}
	}
	p.eval(fmt.Sprintf("location.hash = '#/task?bk_biz_id=2&task_id=10&as_of=%d', 0", time.Now().Add(-95*time.Second).Unix()), nil)
	p.until("%s === 'RUNNING' && $('mark').textContent === 'in the past'", rowState("migrate database"))
	p.eval("location.hash = '#/?since=2h&time=started', 0", nil)
	p.until(listed + " === 1 && $('f-since').value && $('nothing').hidden")
}

// The service sorts all tasks and not only those of the page.
func TestTheServiceSortsTheWholeList(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	now := time.Now()
	for i := range 60 {
		id := fmt.Sprint("t-", i)
		at := func(min int) engine.Option { return engine.At(now.Add(time.Duration(min) * time.Minute)) }
		s.record(engine.Create("2", id, engine.ID(id), engine.Name(id), engine.Labels(map[string]string{"disk": "d" + id}), at(-100-i)), engine.Start(id, at(-100-i)), engine.Finish(id, at(-40-i-i%2)))
	}
	p := open(s, "")
	first := func(names ...string) {
		t.Helper()
		p.until("[...document.querySelectorAll('#task-rows a.clamp')].slice(0, %d).map(a => a.textContent).join() === %s && $('sorted').hidden", len(names), quote(strings.Join(names, ",")))
	}
	first("t-59", "t-58")
	p.click("th[data-sort=started] button")
	first("t-0", "t-1")
	p.until("location.hash.includes('sort=-started') && document.querySelector('th[data-sort=started]').ariaSort === 'descending'")
	p.click("th[data-sort=started] button")
	first("t-59", "t-58")
	p.click("#older")
	first("t-9", "t-8")
	p.click("th[data-sort=duration] button")
	first("t-58", "t-56")
	p.click("th[data-sort=duration] button")
	first("t-59", "t-57")
	p.eval("location.reload(), 0", nil)
	first("t-59", "t-57")
	p.until("document.querySelector('th[data-sort=duration]')?.ariaSort === 'ascending' && $('newer').disabled")
	p.click("#older")
	p.until(listed + " === 10 && $('older').disabled && !$('newer').disabled")
	p.eval("$('f-text').value = 'DISK=dt-1', 0", nil)
	p.click("#filter .primary")
	p.until(listed + " === 11 && location.hash.includes('sort=duration') && location.hash.includes('text=DISK%%3Ddt-1')")
	first("t-19", "t-17")
	p.click("th[data-sort=duration] button")
	first("t-19", "t-18")
	p.until("!location.hash.includes('sort')")
}

// The list, its counters, the address and the service's description use the
// same time, and the fields name it.
func TestTheChosenTimeIsThatOfListCountersAndDescription(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	begin := time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(day int) engine.Option { return engine.At(begin.AddDate(0, 0, day)) }
	for i := range 3 { // the first was started on the second day, and so on; all are recorded now
		id := fmt.Sprint("t-", i)
		s.record(engine.Create("2", id, engine.ID(id), engine.Name(id), at(i)), engine.Start(id, at(i+1)), engine.Finish(id, at(i+2)))
	}
	p := open(s, "")
	p.until(listed + " === 3 && $('f-time').value === 'started'")
	p.eval("fetch('openapi.json').then(r => r.json()).then(d => window.api = d), 0", nil)
	p.until("window.api?.paths")
	for which, want := range map[string]struct{ prefix, shown string }{
		"recorded": {"", "listed === 0 && text.includes('0 FINISHED')"},
		"started":  {"started_", "listed === 1 && rows.includes('t-1') && text.includes('1 FINISHED')"},
		"finished": {"finished_", "listed === 1 && rows.includes('t-0') && text.includes('1 FINISHED')"},
	} {
		p.eval(fmt.Sprintf("$('f-time').value = %s, $('f-since').value = zone.input(%d), $('f-until').value = zone.input(%d), 0",
			quote(which), begin.AddDate(0, 0, 2).Add(-time.Hour).UnixMilli(), begin.AddDate(0, 0, 2).Add(time.Hour).UnixMilli()), nil)
		p.click("#filter .primary")
		p.until("((listed, rows, text) => %s)(%s, $('task-rows').textContent, $('f-states').textContent)", want.shown, listed)
		p.until("location.hash.includes('time=%s') && $('f-time').value === %s", which, quote(which))
		for _, path := range []string{"/tasks", "/counts"} {
			p.until("['since', 'until'].every(n => Object.entries(api.paths).find(([p]) => p.endsWith(%s))[1].get.parameters.some(a => a.name === %s + n && a.description.startsWith(%s)))",
				quote(path), quote(want.prefix), quote(which))
		}
	}
	p.until("[...$('f-time').options].map(o => o.value).sort().join() === 'finished,recorded,started'")
	// Without a time, the address means the service's default.
	p.eval("location.hash = '#/?since=2025-01-01T00:00:00Z', 0", nil)
	p.until(listed + " === 3 && $('f-time').value === 'recorded' && $('f-states').textContent.includes('3 FINISHED')")
	p.click("#f-clear")
	p.until(listed + " === 3 && $('f-time').value === 'started'")
	p.click("[data-preset=today]")
	p.until("location.hash.includes('time=started')")
}

// A name of any length leaves room for the rest, and is available completely.
func TestALongNameLeavesRoom(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	name := ""
	for len(name) < 1000 {
		name += "a long name "
	}
	s.record(engine.Create("2", "10", engine.ID("root"), engine.Name(name)), engine.Start("root"),
		engine.Declare("root", state.ServiceActivity, engine.ID("step"), engine.Name(name)))
	p := open(s, "")
	for _, width := range []int64{1280, 390} {
		p.resize(width)
		p.eval("location.hash = '', 0", nil)
		p.until(listed+" === 1 && document.querySelector('#task-rows a').title === %s && document.querySelector('#task-rows a').clientHeight < 80", quote(name))
		p.click("#task-rows a")
		p.until("!$('task').hidden && taskView.live?.nodes.length === 2 && $('t-name').title === %s && document.querySelector('#summary h1').clientHeight < 90", quote(name))
		p.eval("taskView.reveal('step')", nil)
		p.until("$('d-name').title === %s && $('d-name').clientHeight < 80", quote(name))
		p.click("#d-name")
		p.until("$('d-name').clientHeight > 150")
		p.eval("$('d-name').click(), 0", nil)
		p.until("$('d-name').clientHeight < 80")
	}
}
