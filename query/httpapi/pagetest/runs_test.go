package pagetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
)

// recordReleases records two runs of a pipeline with different names and one
// common label: the second has an additional step, lacks another one, and one
// of its steps took three attempts.
func recordReleases(s *service) {
	begin := time.Now().Add(-3 * time.Hour).Truncate(time.Second)
	for i, steps := range [][]string{{"build", "unit tests", "docs"}, {"build", "unit tests", "sign"}} {
		at := func(sec int) engine.Option { return engine.At(begin.Add(time.Duration(3600*i+sec) * time.Second)) }
		task := fmt.Sprint("release-", i+1)
		s.record(engine.Create("2", task, engine.ID(task), engine.Name("Release 1."+fmt.Sprint(i)), engine.Labels(map[string]string{"pipeline": "release", "n": fmt.Sprint(i)}), at(0)), engine.Start(task, at(0)),
			engine.Declare(task, state.Subprocess, engine.ID(task+"-sub"), engine.Name("Checks"), at(0)), engine.Start(task+"-sub", at(0)))
		for j, step := range steps {
			id := task + "-" + step
			s.record(engine.Declare(task+"-sub", state.ServiceActivity, engine.ID(id), engine.Name(step), at(60*j)), engine.Start(id, at(60*j)))
			if i == 1 && step == "unit tests" {
				for range 2 {
					s.record(engine.Fail(id, "flaky", at(60*j)), engine.Retry(id, at(60*j)), engine.Start(id, at(60*j)))
				}
			}
			s.record(engine.Finish(id, at(60*j+30+10*i)))
		}
		s.record(engine.Finish(task+"-sub", at(300)), engine.Finish(task, at(300)))
	}
}

func TestTwoRunsAreShownSideBySide(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	recordReleases(s)
	p := open(s, "#/task?bk_biz_id=2&task_id=release-2&tab=compare")
	// No other run has that name, but one has a common label.
	p.until("$('with').value === '' && !$('no-rows').hidden")
	p.run(chromedp.SetValue("#like", "pipeline=release", chromedp.ByQuery))
	p.eval("$('like').dispatchEvent(new Event('change')), 0", nil)
	p.until("$('with').value === 'release-1' && %s", row("build"))
	text := func(name string) string { return row(name) + "?.textContent" }
	p.until("%s?.includes('FINISHED30 s') && %s?.includes('FINISHED40 s') && %s?.includes('+10 s')", text("build"), text("build"), text("build"))
	p.until("%s?.includes('1 → 3 attempts') && %s?.includes('retried 2×')", text("unit tests"), text("unit tests"))
	p.until("%s?.querySelectorAll('.side')[0].textContent === '– not in this run'", row("sign"))
	p.until("%s?.querySelectorAll('.side')[1].textContent === '– not in this run'", row("Checks / docs"))
	p.until("!%s?.classList.contains('differs') && %s?.classList.contains('differs')", row("Checks"), row("build"))
	p.shot("compare")
	p.click("#only")
	p.until("!%s && %s", row("Checks"), row("sign"))
	p.until("location.hash.includes('with=release-1') && location.hash.includes('like=pipeline%%3Drelease') && location.hash.includes('only=1')")
	p.eval(row("sign")+".click(), 0", nil)
	p.until("$('d-name').textContent === 'sign'")
	p.run(chromedp.Reload())
	p.until("$('tab-compare').ariaSelected === 'true' && $('with').value === 'release-1' && !%s && %s && $('d-name').textContent === 'sign'", row("Checks"), row("sign"))

	// Any task can be named for comparison.
	s.record(engine.Create("2", "other", engine.ID("other")), engine.Start("other"))
	p.run(chromedp.SetValue("#with-other", "other", chromedp.ByQuery))
	p.eval("$('with-other').dispatchEvent(new Event('change')), 0", nil)
	p.until("$('with').value === 'other' && %s?.querySelectorAll('.side')[0].textContent === '– not in this run'", row("Checks"))
	p.run(chromedp.SetValue("#with-other", "absent", chromedp.ByQuery))
	p.eval("$('with-other').dispatchEvent(new Event('change')), 0", nil)
	p.until("!$('problem').hidden && $('problem').textContent.includes('absent')")
	p.run(chromedp.EmulateViewport(390, 800, chromedp.EmulateMobile))
	p.eval("compareView.choose(taskView, 'release-1'), compareView.load(taskView), taskView.choose(null), 0", nil)
	p.until("document.documentElement.scrollWidth <= 390 && %s && $('problem').hidden", row("sign"))
	p.shot("phone-compare")
}

// The comparison with a running task follows that task.
func TestAComparisonFollowsTheRun(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	for _, task := range []string{"a", "b"} {
		s.record(engine.Create("2", task, engine.ID(task), engine.Name("Sync")), engine.Start(task),
			engine.Declare(task, state.ServiceActivity, engine.ID(task+"1"), engine.Name("copy")), engine.Start(task+"1"))
	}
	p := open(s, "#/task?bk_biz_id=2&task_id=b&tab=compare")
	p.until("$('with').value === 'a' && %s?.querySelectorAll('.side .RUNNING').length === 2", row("copy"))
	s.record(engine.Fail("b1", "disk full"))
	p.until("%s?.querySelectorAll('.side .FAILED').length === 1 && %s.textContent.includes('disk full')", row("copy"), row("copy"))
}

func TestTheOutputOfANodeIsInItsDetails(t *testing.T) {
	t.Parallel()
	var lines []string
	for i := range 40 {
		lines = append(lines, fmt.Sprintf("line %d", i))
	}
	log := "\x1b[32m" + strings.Join(lines, "\n") + "\x1b[0m\n"
	s := newService(t, nil)
	s.record(engine.Create("2", "10", engine.ID("root")), engine.Start("root"))
	for id, output := range map[string][]byte{
		"text": []byte(log), "binary": {0xff, 0, 1},
		"json": []byte(`{"10":12345678901234567890,"9":1.0,"output":` + quote(log) + `}`),
	} {
		s.record(engine.Declare("root", state.ServiceActivity, engine.ID(id), engine.Name(id)), engine.Start(id, engine.Input([]byte(`{"first":"attempt"}`))),
			engine.Fail(id, "boom", engine.Output([]byte("first output"))), engine.Retry(id), engine.Start(id, engine.Input([]byte(`{"branch":"main"}`))), engine.Finish(id, engine.Output(output)))
	}
	p := open(s, deployPath)
	p.until("%s", row("text"))
	p.copied()
	const shown = "document.querySelector('#d-data pre')?.textContent"
	press := func(label string) {
		t.Helper()
		p.eval("[...document.querySelectorAll('#d-data button')].find(b => b.textContent === "+quote(label)+").click(), 0", nil)
	}
	p.eval(row("text")+".click(), 0", nil)
	p.until("%s", shown+" === "+quote(strings.Join(lines[32:], "\n")))
	p.until("$('d-data').textContent.includes('\"branch\": \"main\"')")
	p.until("$('d-attempts').textContent.includes('first output') && $('d-attempts').textContent.includes('\"first\": \"attempt\"')")
	p.shot("output")
	press("Show all 40 lines")
	p.until("%s", shown+".trimEnd() === "+quote(strings.Join(lines, "\n")))
	press("Copy output")
	p.until("window.copied === %s", quote(log))

	p.eval(row("json")+".click(), 0", nil)
	p.until(shown+"?.endsWith(%s)", quote("\nline 39\n\"\n}"))
	press("Show all 45 lines")
	p.until("%s", shown+".startsWith("+quote("{\n  \"10\": 12345678901234567890,\n  \"9\": 1.0,\n  \"output\": \"line 0\n")+")")
	p.shot("output-json")

	p.eval(row("binary")+".click(), 0", nil)
	p.until("$('d-data').textContent.includes('3 bytes that are no text')")
}
