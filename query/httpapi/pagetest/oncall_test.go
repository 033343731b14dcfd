package pagetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
)

// At the width of a phone, the list shows failures, cuts no word and fits.
func TestTheListOnAPhoneShowsFailures(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	recordDeploy(s)
	begin := engine.At(time.Now().Add(-2 * time.Hour))
	s.record(engine.Create("a-business", "paused", engine.ID("paused"), engine.Name("Paused-pipeline-of-a-long-name"), begin), engine.Start("paused", begin), engine.Suspend("paused", begin))
	p := open(s, "")
	p.run(chromedp.EmulateViewport(390, 800, chromedp.EmulateMobile))
	p.until(listed + " === 2 && document.querySelector('#task-rows .narrow .FAILED')?.offsetWidth > 0")
	p.until("[...document.querySelectorAll('#task-rows .narrow')].map(e => e.textContent).sort().join() === ',1 failed'")
	p.shot("phone-list-failures")
	// Each word of the hint stands in one line.
	p.until(`[...document.querySelectorAll('#task-rows .time .hint')].every((e) => {
		const text = e.firstChild;
		return !text || [...text.data.matchAll(/\S+/g)].every((word) => {
			const range = document.createRange();
			range.setStart(text, word.index);
			range.setEnd(text, word.index + word[0].length);
			return range.getClientRects().length === 1;
		});
	})`)
	p.until("$('task-table').getBoundingClientRect().right <= 380 && $('tasks').scrollWidth <= $('tasks').clientWidth")
}

// recordRows records a task with 120 steps, of which the one named far failed.
func recordRows(s *service) {
	ops := []engine.Op{engine.Create("2", "10", engine.ID("root"), engine.Name("Rows")), engine.Start("root")}
	for i := range 120 {
		name := fmt.Sprint("step ", i)
		if i == 80 {
			name = "far"
		}
		ops = append(ops, engine.Declare("root", state.ServiceActivity, engine.ID(name), engine.Name(name)))
	}
	s.record(append(ops, engine.Start("far"), engine.Fail("far", "boom"))...)
}

// A found node stands in the middle of the rows, and in every tab with rows.
func TestAFoundNodeStandsInTheMiddle(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	recordRows(s)
	p := open(s, deployPath)
	p.until("%s && $('mark').textContent === 'live'", row("step 1"))
	middle := fmt.Sprintf("((r, b) => r && Math.abs((r.top + r.bottom) / 2 - (b.top + b.bottom) / 2) < 30)(%s?.getBoundingClientRect(), $('rows').getBoundingClientRect())", row("far"))
	p.run(chromedp.Focus("#rows", chromedp.ByQuery))
	p.key("f")
	p.until("%s && %s", pick("far"), middle)
	for _, tab := range []string{"2", "1", "3", "2"} {
		p.key(tab)
		if tab != "3" {
			p.until("%s", middle)
		}
	}
	p.shot("middle")
	shared := open(s, deployPath+"&node_id=far")
	shared.until("%s && %s", pick("far"), middle)
}

func TestAPastTimeIsTyped(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	recordNights(s)
	p := open(s, "#/task?bk_biz_id=2&task_id=night-2")
	p.until("$('mark').textContent === 'live' && %s === 'FINISHED'", rowState("dump"))
	began := time.Now().Add(-6 * time.Hour)
	during := began.Add(30 * time.Second).In(s.opts.Query.Location)
	for _, text := range []string{during.Format("15:04:05"), during.Format(" 2006-01-02 15:04:05 ")} {
		p.run(chromedp.SetValue("#at", text, chromedp.ByQuery), click("#at-form button"))
		p.until("$('mark').textContent === 'in the past' && %s === 'RUNNING' && location.hash.includes('as_of=')", rowState("dump"))
		p.until("$('moment-text').textContent.startsWith(%s)", quote(during.Format(time.DateTime)))
		p.click("#to-now")
		p.until("%s === 'FINISHED'", rowState("dump"))
	}
	// In the zone that the page shows.
	p.eval("$('zone').value = 'UTC', $('zone').dispatchEvent(new Event('change')), 0", nil)
	p.until("$('mark').textContent === 'live' && %s === 'FINISHED'", rowState("dump"))
	p.run(chromedp.SetValue("#at", during.UTC().Format("15:04:05"), chromedp.ByQuery), chromedp.SendKeys("#at", "\r", chromedp.ByQuery))
	p.until("$('moment-text').textContent.startsWith(%s)", quote(during.UTC().Format(time.DateTime)))
	p.shot("typed-time")
	p.run(chromedp.SetValue("#at", "3 o'clock", chromedp.ByQuery), click("#at-form button"))
	p.until("$('at').validationMessage.includes('03:12') && $('moment-text').textContent.startsWith(%s)", quote(during.UTC().Format(time.DateTime)))
	p.run(chromedp.SendKeys("#at", "x", chromedp.ByQuery))
	p.until("$('at').validationMessage === '' && $('at').ariaLabel")
	p.resize(390)
	p.until("document.documentElement.scrollWidth <= 390")
	p.shot("phone-typed-time")
	p.eval("zone.mode = 'server', localStorage.clear(), 0", nil)
}

func TestTheReasonOfASuspensionIsInItsRow(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	recordDeploy(s)
	s.record(engine.Suspend("migrate", engine.Note("the backup")), engine.Resume("warm"), engine.Start("switch"), engine.Suspend("root", engine.Note("an approval")))
	p := open(s, deployPath)
	p.until("%s?.querySelector('.notes').textContent === 'waits for the backup'", row("migrate database"))
	p.until("$('t-state').textContent === 'SUSPENDED' && /suspended · 2 steps still running, 5m \\d\\ds since the start · .*waits for an approval$/.test($('t-where').textContent)")
	p.shot("suspended")
}

func TestTheNoteOnFlowsFitsTheGraph(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	s.record(engine.Create("2", "10", engine.ID("root")), engine.Start("root"))
	for _, sub := range []string{"one", "two"} {
		s.record(engine.Declare("root", state.Subprocess, engine.ID(sub), engine.Name(sub)), engine.Start(sub),
			engine.Declare(sub, state.ServiceActivity, engine.ID(sub+"a")), engine.Declare(sub, state.ServiceActivity, engine.ID(sub+"b"), engine.After(sub+"a")))
	}
	p := open(s, deployPath+"&tab=graph")
	p.until("document.querySelectorAll('.arrow').length === 2 && $('graph-note').textContent.startsWith('Where there are no arrows, ')")
	p.eval("graphView.toggle(taskView, 'one'), graphView.toggle(taskView, 'two'), 0", nil)
	p.until("document.querySelectorAll('.arrow').length === 0 && $('graph-note').textContent.startsWith('No flows are recorded here')")
}

// At any width, no text of the time axis is cut, and a state has more than a color.
func TestTheTimelineIsReadableAtAnyWidth(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	begin := time.Now().Add(-time.Hour)
	s.record(engine.Create("2", "10", engine.ID("root"), engine.Name("Axis"), engine.At(begin)), engine.Start("root", engine.At(begin)))
	s.record(engine.Declare("root", state.ServiceActivity, engine.ID("a"), engine.Name("step"), engine.At(begin)), engine.Start("a", engine.At(begin)))
	s.record(engine.Finish("a", engine.At(begin.Add(14*time.Minute+40*time.Second))), engine.Finish("root", engine.At(begin.Add(14*time.Minute+40*time.Second))))
	p := open(s, deployPath+"&tab=timeline")
	for _, width := range []int64{1280, 700, 390, 330} {
		p.resize(width)
		p.until("document.querySelectorAll('.tick').length > 2 && innerWidth === %d", width)
		p.until(`(right => [...document.querySelectorAll('.tick')].every(e => !e.textContent || e.getBoundingClientRect().right <= right))(document.querySelector('#axis .track').getBoundingClientRect().right)`)
		p.until("(e => e?.offsetWidth >= 15 && getComputedStyle(e, '::before').content === '\"✔\"')(%s?.querySelector('.state'))", row("step"))
		p.shot(fmt.Sprint("axis-", width))
	}
}

// The order of recording need not be that of the runs.
func TestTheRunBeforeIsTheOneThatStartedBefore(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	for _, day := range []int{3, 1, 2, 4} {
		task, at := fmt.Sprint("day-", day), engine.At(time.Now().AddDate(0, 0, day-10))
		s.record(engine.Create("2", task, engine.ID(task), engine.Name("Daily"), at), engine.Start(task, at), engine.Finish(task, at))
	}
	p := open(s, "#/task?bk_biz_id=2&task_id=day-3&tab=compare")
	p.until("$('with').value === 'day-2' && [...$('with').options].map(o => o.value).join() === 'day-4,day-2,day-1'")
}

func TestTheCountsStayWithAFilterByState(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	recordNights(s)
	p := open(s, "")
	const created = "document.querySelector('#f-states [data-count=CREATED]')?.textContent === '0 CREATED'"
	p.until(created)
	p.click("#f-states [data-count=FAILED]")
	p.until(listed + " === 1 && $('mark').textContent === 'live'")
	p.until(created)
}

// The page shows durations in full units, like Go, even if they are measured finer.
func TestDurationsAreCutLikeThoseOfTheOtherTools(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	from := time.Now().Add(-time.Hour).Truncate(time.Second).Add(900 * time.Microsecond)
	s.record(engine.Create("2", "10", engine.ID("root"), engine.At(from)), engine.Start("root", engine.At(from)))
	for _, id := range []string{"finer", "exact"} {
		s.record(engine.Declare("root", state.ServiceActivity, engine.ID(id), engine.Name(id), engine.At(from)), engine.Start(id, engine.At(from)))
	}
	s.record(engine.Finish("finer", engine.At(from.Add(53_400*time.Microsecond))), engine.Finish("exact", engine.At(from.Add(1001*time.Millisecond))))
	p := open(s, deployPath)
	p.until("%s?.querySelector('.duration').textContent === '53 ms' && %s?.querySelector('.duration').textContent === '1.0 s'", row("finer"), row("exact"))
	p.until("showDuration(1000 * 0.053) === '53 ms' && showDuration(1000 * 10.01) === '10 s' && showDuration(1000 * 1.1) === '1.1 s'")
	p.eval(row("finer")+".click(), 0", nil)
	p.until("$('d-attempts').textContent.includes('53 ms')")
}

// A task that is late, or cannot end without a person, says so where its expected
// end stands.
func TestTheExpectedEndOfALateTaskSaysSo(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	run := func(task string, ago time.Duration) {
		at := engine.At(time.Now().Add(-ago))
		s.record(engine.Create("2", task, engine.ID(task), engine.Name("Deploy"), at), engine.Start(task, at))
		for _, step := range []string{"build", "check"} {
			s.record(engine.Declare(task, state.ServiceActivity, engine.ID(task+step), engine.Name(step), at), engine.Start(task+step, at))
		}
	}
	run("earlier", 2*time.Hour)
	at := engine.At(time.Now().Add(-time.Hour))
	s.record(engine.Finish("earlierbuild", at), engine.Finish("earliercheck", at), engine.Finish("earlier", at))
	run("late", 3*time.Hour)
	p := open(s, "#/task?bk_biz_id=2&task_id=late")
	p.until("%s", "/usually 1h 00m \\(1 run\\) · expected to end .*late by 2h 00m so far/.test($('t-usual').textContent)")
	s.record(engine.Suspend("latecheck"))
	p.run(chromedp.Reload())
	p.until("/\\(1 run\\) · waits for a person: a step is suspended$/.test($('t-usual').textContent)")
}
