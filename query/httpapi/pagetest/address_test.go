package pagetest

import (
	"fmt"
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
		deployPath + "&as_of=yesterday":            "as_of=yesterday",
		deployPath + "&as_of=nonsense%205":         "as_of=nonsense 5",
		deployPath + "&as_of=2001-01-01T00:00:00Z": "10",
		"#/?since=yesterday":                       "since=yesterday",
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
}

// A sort applies to the shown tasks only: the page says so, and the address
// keeps it.
func TestASortOfTheShownTasksIsMarkedAsSuch(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	for i := range 60 {
		id := fmt.Sprint("t-", i)
		at := engine.At(time.Now().Add(-time.Duration(i) * time.Hour))
		s.record(engine.Create("2", id, engine.ID(id), engine.Name(id), at), engine.Start(id, at))
	}
	p := open(s, "")
	p.until(listed + " === 50 && $('sorted').hidden")
	p.click("th[data-sort=duration] button")
	p.until("$('sorted').textContent.includes('Sorted among the 50 shown') && !$('sorted').hidden && location.hash.includes('sort=-duration')")
	p.click("th[data-sort=duration] button")
	p.until("location.hash.includes('sort=duration')")
	p.eval("location.reload(), 0", nil)
	p.until(listed + " === 50 && document.querySelector('th[data-sort=duration]').ariaSort === 'ascending' && !$('sorted').hidden")
	p.eval("$('f-text').value = 't-1', 0", nil)
	p.click("#filter .primary")
	p.until(listed + " === 11 && $('sorted').hidden && location.hash.includes('sort=duration') && location.hash.includes('text=t-1')")
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
		p.eval("taskView.reveal(1)", nil)
		p.until("$('d-name').title === %s && $('d-name').clientHeight < 80", quote(name))
		p.click("#d-name")
		p.until("$('d-name').clientHeight > 150")
		p.eval("$('d-name').click(), 0", nil)
		p.until("$('d-name').clientHeight < 80")
	}
}
