package pagetest

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/pipestatus/pipestatus/engine"
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
