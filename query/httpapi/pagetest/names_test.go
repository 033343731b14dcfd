package pagetest

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
)

// No name, ID, label, key, note, actor or error text puts control sequences of
// terminals, or marks that change the direction of a line, into any part of the
// page.
func TestNoTextOfAPipelineKeepsControlsAnywhereOnThePage(t *testing.T) {
	t.Parallel()
	s := newService(t, nil)
	const evil = "\x1b[31mre\u202ed\u200f\u061c\x1b[0m\u009b1m\x07x"
	turned := "a\u202eb\u2066c"
	labels := map[string]string{"k": turned}
	for _, task := range []string{turned, "again"} {
		root, step, sub := task+"-root", task+"-step", task+"-sub"
		s.record(engine.Create("2", task, engine.ID(root), engine.Name(evil), engine.Labels(labels)), engine.Start(root),
			engine.Declare(root, state.Subprocess, engine.ID(sub), engine.Name(evil)), engine.Start(sub),
			engine.Declare(sub, state.ServiceActivity, engine.ID(step), engine.Name(evil), engine.Key(turned)), engine.Start(step),
			engine.Fail(step, evil, engine.Actor(turned)))
	}
	const clean = `(() => {
		const bad = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/;
		const seen = [document.title.replace(/[\u2068\u2069]/g, "")];
		const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
		while (walk.nextNode()) {
			const e = walk.currentNode;
			if (e.nodeType === Node.TEXT_NODE) e.parentElement.tagName === "SCRIPT" || seen.push(e.data);
			else for (const a of ["title", "aria-label", "aria-valuetext"]) seen.push(e.getAttribute(a) || "");
		}
		return seen.filter((text) => bad.test(text)).map(escape);
	})()`
	check := func(p *tab, place string) {
		t.Helper()
		var found []string
		if p.eval(clean, &found); len(found) > 0 {
			t.Errorf("%s shows %q", place, found)
		}
	}
	p := open(s, "#/?label=k%3D"+"a%E2%80%AEb%E2%81%A6c")
	p.until(listed + " === 2")
	check(p, "the list")
	p.click("#task-rows a")
	p.until("taskView.live?.nodes.length === 3 && document.querySelectorAll('.row:not([hidden])').length === 3")
	p.eval("taskView.reveal(taskView.live.nodes[2].id)", nil)
	p.until("document.querySelectorAll('#d-attempts li').length === 1 && $('d-error').textContent.includes('re\ufffdd')")
	for _, name := range []string{"tree", "timeline", "graph", "compare", "json"} {
		p.click("#tab-" + name)
		p.until("taskView.tab === %s && taskView.order", quote(name))
		switch name {
		case "compare":
			p.until("compareView.nodes.length === 3 && document.querySelectorAll('.row:not([hidden]) .side').length > 3")
		case "json":
			p.until("$('rows').textContent.includes('\\\\u202e')")
		case "graph":
			p.until("document.querySelectorAll('.gnode').length === 2")
		}
		check(p, "the tab "+name)
	}
	p.click("#tab-tree")
	p.slide(500)
	p.until("$('mark').textContent === 'in the past'")
	check(p, "the past")
	p.eval("location.hash = '#/task?bk_biz_id=2&task_id=%1b[1mno%E2%80%AEne', 0", nil)
	p.until("!$('nothing').hidden")
	check(p, "an unknown task")
}

// The page and the other tools write durations in the same form.
func TestThePageWritesDurationsAsTheToolsDo(t *testing.T) {
	t.Parallel()
	table, err := os.ReadFile("../../picture/testdata/durations.json")
	if err != nil {
		t.Fatal(err)
	}
	var durations []struct {
		Milliseconds float64
		Shown        string
	}
	if err := json.Unmarshal(table, &durations); err != nil || len(durations) == 0 {
		t.Fatal(err)
	}
	p := open(newService(t, nil), "")
	for _, d := range durations {
		var got string
		if p.eval("showDuration("+quote(d.Milliseconds)+")", &got); got != d.Shown {
			t.Errorf("%v ms read %q, want %q", d.Milliseconds, got, d.Shown)
		}
	}
	p.until("showDuration(NaN) === '' && [0, 999, 5400, 59999, 60000, 90 * 60000, 50 * 3600000].map(ms => showAgo(serverNow() - ms)).join() === 'just now,just now,5 s ago,59 s ago,1m ago,1h ago,2d ago'")
}

// The page and the other tools find the same line of an error text.
func TestThePageFindsTheCauseThatTheToolsFind(t *testing.T) {
	t.Parallel()
	table, err := os.ReadFile("../../picture/testdata/causes.json")
	if err != nil {
		t.Fatal(err)
	}
	var causes map[string]string
	if err := json.Unmarshal(table, &causes); err != nil || len(causes) == 0 {
		t.Fatal(err)
	}
	p := open(newService(t, nil), "")
	for text, want := range causes {
		var got string
		if p.eval("cause("+quote(text)+")", &got); got != want {
			t.Errorf("of %q the cause is %q, want %q", text, got, want)
		}
	}
}
