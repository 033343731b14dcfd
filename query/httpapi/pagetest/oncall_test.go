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
