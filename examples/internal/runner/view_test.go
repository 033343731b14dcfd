package runner

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// viewedTree is a task with something of everything, a second a step.
func viewedTree(t *testing.T) (tree *state.Tree, now time.Time) {
	t.Helper()
	now = time.Date(2018, 4, 26, 16, 8, 34, 0, time.UTC)
	clock := func() time.Time { return now }
	s := store.NewMemory()
	e, err := engine.Open(t.Context(), s, &engine.Options{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	record := func(ops ...engine.Op) {
		t.Helper()
		if _, err := e.Record(t.Context(), ops...); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Second)
	}
	enter := func(parent, id string, k state.Kind, name string) {
		t.Helper()
		record(engine.Declare(parent, k, engine.ID(id), engine.Name(name)), engine.Start(id))
	}
	record(engine.Create("1", "1", engine.ID("root"), engine.Name("Release")), engine.Start("root"))
	enter("root", "s", state.StartEvent, "")
	record(engine.Finish("s"))
	enter("root", "sub", state.Subprocess, "Build")
	enter("sub", "bad", state.ServiceActivity, "编译 \x1b[2Jcompile")
	record(engine.Fail("bad", "exit status 1\nmore\nlast words", engine.RetryAt(now.Add(11*time.Second))))
	enter("root", "skipped", state.ServiceActivity, "Lint")
	record(engine.Fail("skipped", "x"))
	record(engine.Skip("skipped"))
	enter("root", "ignored", state.ServiceActivity, "Docs")
	record(engine.Fail("ignored", "no pages", engine.Ignore()))
	enter("root", "looped", state.ServiceActivity, "Roll out")
	record(engine.Finish("looped"))
	record(engine.Loop("looped"))
	snap, err := e.Load(t.Context(), store.ByKey("1", "1"))
	if err != nil {
		t.Fatal(err)
	}
	return snap.Tree, now
}

func texts(lines []viewLine) (texts []string) {
	for _, l := range lines {
		texts = append(texts, l.text)
	}
	return texts
}

func TestTheViewShowsUnusualFacts(t *testing.T) {
	tree, now := viewedTree(t)
	v := view{tree: tree, now: now, columns: 100}
	want := []string{
		"RUNNING   Release  14 s",
		"FINISHED  ├─ start event",
		"RUNNING   ├─ Build  11 s",
		"FAILED    │  └─ 编译 compile  1.0 s  retry in 2.0 s  last words",
		"FINISHED  ├─ Lint  0 s  skipped",
		"FINISHED  ├─ Docs  1.0 s  error ignored  no pages",
		"RUNNING   └─ Roll out  1.0 s  loop 2",
	}
	if got := texts(v.lines()); !slices.Equal(got, want) {
		t.Errorf("view is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTheViewFitsTheTerminal(t *testing.T) {
	tree, now := viewedTree(t)
	v := view{tree: tree, now: now, columns: 20, color: true}
	for _, line := range append(texts(v.lines()), v.summary()) {
		plain := picture.Printable(line)
		if taken := len([]rune(plain)) + strings.Count(plain, "编") + strings.Count(plain, "译"); taken > 19 {
			t.Errorf("%q takes %d columns", plain, taken)
		}
		if strings.Count(line, "\x1b[3") != strings.Count(line, "\x1b[0m") || strings.HasPrefix(plain, "RUNNING") && !strings.HasPrefix(line, "\x1b[34m") {
			t.Errorf("%q is not colored", line)
		}
	}
	v.columns, v.color = 46, false
	want := []string{"FAILED    │  └─ 编译 com…  1.0 s  retry in 2…", "          │        last words"}
	if got := texts(v.lines())[3:5]; !slices.Equal(got, want) {
		t.Errorf("a long name leaves no room: %q, want %q", got, want)
	}
	v.columns = 100
	for rows, want := range map[int][]string{
		7: {"Release", "start", "Build", "compile", "Lint", "Docs", "Roll out"},
		6: {"Release", "… 2 finished", "Build", "compile", "Docs", "Roll out"},
		5: {"Release", "… 3 finished", "Build", "compile", "Roll out"},
		3: {"Release", "… 3 finished, 2 more below", "Build"},
		1: {"Release", "… 3 finished, 3 more below"},
	} {
		got := texts(fitted(v.lines(), rows))
		if len(got) != len(want) {
			t.Errorf("%d rows: %q", rows, got)
			continue
		}
		for i := range want {
			if !strings.Contains(got[i], want[i]) {
				t.Errorf("%d rows: line %d is %q, want %q", rows, i, got[i], want[i])
			}
		}
	}
}

func TestAnErrorIsReadableOnANarrowTerminal(t *testing.T) {
	const cause = "ConnectionError: no route to the database db-7.example.com, tried 3 times"
	for columns, want := range map[int][]string{
		120: {"FAILED    └─ connect  0 s  " + cause},
		60: {
			"FAILED    └─ connect  0 s",
			"                ConnectionError: no route to the database",
			"                db-7.example.com, tried 3 times",
		},
		30: {
			"FAILED    └─ connect  0 s",
			"  ConnectionError: no route",
			"  to the database db-7.examp…",
		},
		8: {"FAILED…", "  Conne", "  ctio…"},
	} {
		v := view{tree: failedTree(t, cause), columns: columns}
		if got := texts(v.lines())[1:]; !slices.Equal(got, want) {
			t.Errorf("%d columns:\n%s\nwant\n%s", columns, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// failedTree is a task whose only step has failed.
func failedTree(t *testing.T, cause string) *state.Tree {
	t.Helper()
	e, err := engine.Open(t.Context(), store.NewMemory(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	at := engine.At(time.Unix(1524730114, 0))
	if _, err := e.Record(t.Context(), engine.Create("1", "1", engine.ID("root"), at), engine.Start("root", at),
		engine.Declare("root", state.ServiceActivity, engine.ID("a"), engine.Name("connect"), at), engine.Start("a", at), engine.Fail("a", "trace\n"+cause, at)); err != nil {
		t.Fatal(err)
	}
	snap, err := e.Load(t.Context(), store.ByKey("1", "1"))
	if err != nil {
		t.Fatal(err)
	}
	return snap.Tree
}

func TestTheLastLineSumsUp(t *testing.T) {
	tree, now := viewedTree(t)
	v := view{tree: tree, now: now, columns: 80}
	if got, want := v.summary(), "3 of 5 steps finished, 1 failed, 1 running"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	v.columns = 20
	if got, want := v.summary(), "3 of 5 steps finis…"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
