package pagetest

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/state"
)

// recordNights records two nightly runs of a pipeline, of which the second
// failed, a running task with another name, and a running task with failures.
func recordNights(s *service) {
	run := func(task string, begin time.Time, cause string) {
		at := func(sec int) engine.Option { return engine.At(begin.Add(time.Duration(sec) * time.Second)) }
		s.record(engine.Create("2", task, engine.ID(task), engine.Name("Nightly backup"), engine.Labels(map[string]string{"env": "prod"}), at(0)), engine.Start(task, at(0)),
			engine.Declare(task, state.ServiceActivity, engine.ID(task+"-dump"), engine.Name("dump"), at(0)), engine.Start(task+"-dump", at(0)), engine.Finish(task+"-dump", at(60)),
			engine.Declare(task, state.ServiceActivity, engine.ID(task+"-upload"), engine.Name("upload"), engine.After(task+"-dump"), at(60)), engine.Start(task+"-upload", at(60)))
		if cause == "" {
			s.record(engine.Finish(task+"-upload", at(90)), engine.Finish(task, at(90)))
		} else {
			s.record(engine.Fail(task+"-upload", cause, at(600)))
		}
	}
	now := time.Now()
	run("night-1", now.Add(-30*time.Hour), "")
	run("night-2", now.Add(-6*time.Hour), "Traceback\nIOError: bucket is full")
	s.record(engine.Create("2", "deploy", engine.ID("deploy"), engine.Name("Deploy"), engine.At(now.Add(-10*time.Minute))), engine.Start("deploy", engine.At(now.Add(-10*time.Minute))))
	for _, id := range []string{"slow", "quick"} {
		s.record(engine.Declare("deploy", state.ServiceActivity, engine.ID(id), engine.Name(id), engine.At(now.Add(-10*time.Minute))), engine.Start(id, engine.At(now.Add(-time.Duration(len(id))*time.Minute))))
	}
	s.record(engine.Declare("deploy", state.ServiceActivity, engine.ID("lint"), engine.Name("lint")), engine.Start("lint"), engine.Fail("lint", "3 warnings"))
}

// recordWeeks records a pipeline of business 3 that ran three times, and that runs
// since 70 minutes ago: its collecting, which takes an hour, has ended, its
// rendering, which takes half an hour, runs, and its index, which takes ten
// minutes, still runs. It returns when the run should end.
func recordWeeks(s *service) time.Time {
	week := func(task string, begin time.Time, until int) {
		at := func(minute int) engine.Option { return engine.At(begin.Add(time.Duration(minute) * time.Minute)) }
		s.record(engine.Create("3", task, engine.ID(task), engine.Name("Weekly report"), at(0)), engine.Start(task, at(0)))
		for _, step := range []struct {
			name     string
			from, to int
			ends     bool
		}{{"collect", 0, 60, true}, {"index", 0, 10, until > 80}, {"render", 60, 90, until > 90}} {
			id := task + "-" + step.name
			s.record(engine.Declare(task, state.ServiceActivity, engine.ID(id), engine.Name(step.name), at(step.from)), engine.Start(id, at(step.from)))
			if step.ends {
				s.record(engine.Finish(id, at(step.to)))
			}
		}
		if until > 90 {
			s.record(engine.Finish(task, at(90)))
		}
	}
	now := time.Now().Truncate(time.Second)
	for i := range 3 {
		week(fmt.Sprint("week-", i+1), now.AddDate(0, 0, -7*(3-i)), 100)
	}
	week("week-4", now.Add(-70*time.Minute), 70)
	return now.Add(20 * time.Minute)
}

// Each of an operator's questions takes at most two clicks or one command.
func TestAnOperatorsQuestionsTakeTwoClicksOrOneCommand(t *testing.T) {
	t.Parallel()
	s := newService(t, &httpapi.Options{
		Authenticator:  httpapi.NoAuth{},
		AuthorizeStore: func(context.Context, httpapi.Identity, string) bool { return true },
	})
	recordNights(s)
	end := recordWeeks(s)
	program := filepath.Join(t.TempDir(), "statusctl")
	build := exec.Command("go", "build", "-o", program, "./examples/statusctl")
	build.Dir = "../../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p := open(s, "")
	p.until(listed + " === 7")
	const task = "#/task?bk_biz_id=2&task_id="
	for _, question := range []struct {
		asked   string
		from    string // the address before the clicks
		clicks  []string
		shows   string   // true once the page answers
		command []string // of statusctl
		prints  []string
	}{
		{
			"why did last night's run fail?", "",
			[]string{"#f-states [data-count=FAILED]", "#task-rows a"},
			"document.querySelector('#rows').textContent.includes('IOError: bucket is full')",
			[]string{"why", "2", "night-2"},
			[]string{"Traceback", "IOError: bucket is full"},
		},
		{
			"what runs longest now?", task + "deploy",
			[]string{"#longest-running"},
			"$('d-name').textContent === 'quick'",
			[]string{"top", "-biz", "2", "-limit", "1"},
			[]string{"quick"},
		},
		{
			"which tasks failed today?", "",
			[]string{"[data-preset=today]", "#f-states [data-count=has_failures]"},
			"location.hash.includes('has_failures') && location.hash.includes('since=') && $('task-rows').textContent.includes('Deploy')",
			[]string{"list", "-failures", "-biz", "2", "-since", "yesterday"},
			[]string{"night-2", "deploy"},
		},
		{
			"how do two runs differ?", task + "night-2",
			[]string{"#tab-compare"},
			"$('with').value === 'night-1' && " + row("upload") + "?.textContent.includes('FINISHED30 s') && " + row("upload") + ".textContent.includes('FAILED9m 00s') && " +
				row("upload") + ".querySelector('.difference').textContent === 'IOError: bucket is full'",
			[]string{"diff", "2", "night-1", "night-2"},
			[]string{"upload", "FINISHED 30 s", "FAILED 9m 00s", "bucket is full"},
		},
		{
			"when will it end?", "#/task?bk_biz_id=3&task_id=week-4", nil,
			"$('t-usual').textContent.includes('usually 1h 30m (3 runs) · expected to end') && $('t-usual').textContent.includes(" + quote(end.In(s.opts.Query.Location).Format(time.TimeOnly)+", in 1") + ")",
			[]string{"stats", "3", "Weekly report", "-tz", "UTC"},
			[]string{"expected to end " + end.UTC().Format("2006-01-02 15:04:05 -0700") + ", in 1"},
		},
		{
			"what is late?", "#/task?bk_biz_id=3&task_id=week-4",
			[]string{"#next-late"},
			"$('d-name').textContent === 'index' && $('d-fields').textContent.includes('Remarkslate') && $('d-fields').textContent.includes('10m 00s, 95% within 10m 00s · 0 of 3 runs failed') && " +
				row("index") + ".querySelector('.notes').textContent === 'late'",
			[]string{"stats", "3", "Weekly report"},
			[]string{"late: index, 1h 1", "m so far, usually 10m 00s at most"},
		},
		{
			"what is the error text?", task + "night-2",
			[]string{"#next-failure"},
			"document.querySelector('#d-error pre')?.textContent.startsWith('Traceback')",
			[]string{"why", "2", "night-2", "-json"},
			[]string{`Traceback\nIOError`},
		},
		{
			"how do I share it?", task + "night-2&node_id=night-2-upload",
			[]string{"#copy-link"},
			"$('copy-link').textContent === 'Copied' && location.hash.includes('node_id=night-2-upload')", nil, nil,
		},
		{
			"what had happened then?", task + "night-2&as_of=" + time.Now().Add(-6*time.Hour+30*time.Second).UTC().Format(time.RFC3339), nil,
			"$('mark').textContent === 'in the past' && " + rowState("dump") + " === 'RUNNING'",
			[]string{"tree", "2", "night-2", "-at", time.Now().Add(-6*time.Hour + 30*time.Second).Format(time.RFC3339)},
			[]string{"RUNNING", "dump"},
		},
		{
			"where is the task of that name?", "#/?text=deploy", nil, listed + " === 1 && $('task-rows').textContent.includes('Deploy')",
			[]string{"list", "-name", "Deploy"},
			[]string{"deploy"},
		},
		{
			"which tasks have that label?", "",
			[]string{"#task-rows .label"},
			listed + " === 2 && $('f-labels').textContent.includes('env=prod')",
			[]string{"list", "-label", "env=prod"},
			[]string{"night-1", "night-2"},
		},
	} {
		if len(question.clicks) > 2 {
			t.Errorf("%s takes %d clicks", question.asked, len(question.clicks))
		}
		if question.shows != "" {
			p.run(chromedp.Navigate("about:blank"), chromedp.Navigate(p.base+question.from))
			for i, what := range question.clicks {
				if i > 0 { // wait for the effect of the click before
					p.until("$('mark').textContent === 'live' && tasksView.list")
				}
				p.click(what)
				if i == 0 && len(question.clicks) == 2 && strings.Contains(what, "FAILED") {
					p.until(listed + " === 1")
				}
			}
			p.until("%s", question.shows)
		}
		if question.command != nil {
			command := exec.Command(program, append(question.command, "-db", "http://"+s.addr)...)
			var problems bytes.Buffer
			command.Stderr = &problems
			out, err := command.Output()
			for _, part := range question.prints {
				if !strings.Contains(string(out), part) {
					t.Errorf("%s: statusctl %s does not print %q: %v\n%s%s", question.asked, strings.Join(question.command, " "), part, err, out, problems.String())
				}
			}
		}
	}
}

// Where the page may not operate a task, it offers the equivalent command.
func TestForbiddenOperationsAreCommandsToCopy(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	s.record(engine.Create("2", "10", engine.ID("root")), engine.Start("root"), engine.Declare("root", state.ServiceActivity, engine.ID("it's"), engine.Name("step")),
		engine.Start("it's"), engine.Fail("it's", "boom"))
	p := open(s, deployPath)
	p.until("%s", row("step"))
	p.eval(row("step")+".click()", nil)
	p.eval("window.copied = '', navigator.clipboard.writeText = async (t) => { window.copied = t; }, document.querySelector('#d-actions [data-copy=retry]').click(), 0", nil)
	p.until(`window.copied === %s`, quote(`echo '{"op":"retry","node":"it'\''s"}' | statusctl apply -db FILE`))
	p.until("$('d-command').offsetWidth > 0 && $('d-command').textContent.includes('FILE stands for')")
	p.until("document.querySelectorAll('#t-actions button').length === 0")
	p.until("!$('d-command').hidden && $('d-command').textContent.includes('stop the program or server that has the file open')")
}
