package pagetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"github.com/pipestatus/pipestatus/engine"
)

// The rows change at the next frame. Until then, a click is about the node that is
// still drawn.
func TestAClickIsAboutTheNodeThatIsDrawn(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	recordImport(s)
	recordReleases(s)
	for name, part := range map[string]struct{ path, ready, change, clicked, chosen string }{
		"tree":     {deployPath, row("verify sums"), "$('find').value = 'verify', finding.text = 'verify', finding.filtered()", row("verify sums"), "sums"},
		"timeline": {deployPath + "&tab=timeline", row("verify sums"), "finding.fold('prepare', true), taskView.drawRows()", row("verify sums"), "sums"},
		"fold":     {deployPath, row("Verify"), "finding.fold('prepare', true), taskView.drawRows()", row("Verify") + ".querySelector('.fold')", "verify"},
		"tab":      {deployPath, row("verify sums"), "taskView.show('compare')", row("verify sums"), "sums"},
		"compare": {
			"#/task?bk_biz_id=2&task_id=release-2&tab=compare&with=release-1", row("sign"),
			"compareView.only = true, taskView.draw()", row("sign"), "release-2-sign",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(s.within(t), part.path)
			p.until("%s && $('mark').textContent === 'live'", part.ready)
			var chosen string
			p.eval(fmt.Sprintf("target = %s, %s, target.click(), taskView.chosen || [...finding.folded].at(-1)", part.clicked, part.change), &chosen)
			if chosen != part.chosen {
				t.Errorf("the click on %s meets %s", part.chosen, chosen)
			}
		})
	}
}

// A running task is drawn again all the time. A click that begins before and ends
// after that counts, and a selection stays.
func TestDrawingAgainTakesNoClickAndNoSelection(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	recordDeploy(s)
	s.record(engine.Label("2", "10", engine.Labels(map[string]string{"env": "prod"})))
	p := open(s, deployPath)
	press := func(what, again, done string) {
		t.Helper()
		p.until("%s && $('mark').textContent === 'live'", what)
		var at []float64
		p.eval("(r => [r.left + r.width / 2, r.top + r.height / 2])(("+what+").getBoundingClientRect())", &at)
		mouse := func(kind input.MouseType) {
			p.run(input.DispatchMouseEvent(kind, at[0], at[1]).WithButton(input.Left).WithClickCount(1))
		}
		mouse(input.MousePressed)
		p.eval("window.drawn = false, ("+again+"), requestAnimationFrame(() => requestAnimationFrame(() => window.drawn = true)), 0", nil)
		p.until("window.drawn")
		mouse(input.MouseReleased)
		p.until("%s", done)
	}
	// The page draws the change: the node then has another duration.
	const redraw = "clockAhead += 60000, taskView.draw()"
	name := row("migrate database")
	press(name+"?.querySelector('.name')", redraw, "$('d-name').textContent === 'migrate database'")
	p.eval("taskView.choose(null), 0", nil)
	press(name+"?.querySelector('.duration')", redraw, "$('d-name').textContent === 'migrate database'")
	p.eval("const id = [...document.querySelectorAll('#d-fields bdi')].find(e => e.textContent === 'migrate'); getSelection().selectAllChildren(id); clockAhead += 60000, taskView.draw(), 0", nil)
	p.until("getSelection().toString() === 'migrate'")
	press("document.querySelector('#t-labels a')", redraw, "!$('tasks').hidden && location.hash.includes('label=env')")
	p.until(listed + " === 1")
	press("document.querySelector('#task-rows a.clamp')", "clockAhead += 60000, tasksView.drawRows()", "!$('task').hidden && location.hash.includes('task_id=10')")
}

// A task that is recorded while the list is open moves the others: the keyboard stays
// on its row.
func TestTheFocusStaysOnItsTask(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	for i := range 3 {
		s.record(engine.Create("2", fmt.Sprint("t-", i)))
	}
	p := open(s, "")
	p.until(listed + " === 3")
	p.run(chromedp.Focus("#task-rows tr:nth-child(2) a.clamp", chromedp.ByQuery))
	s.record(engine.Create("2", "new", engine.At(time.Now())))
	p.eval("tasksView.refresh(), 0", nil)
	p.until(listed + " === 4 && document.activeElement === document.querySelector('#task-rows tr:nth-child(3) a.clamp') && document.activeElement.textContent === 't-1'")
}
