package picture_test

import (
	"flag"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/internal/stories"
	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Short names for the fixtures.
var (
	at, clock          = stories.At, stories.Clock
	begin, noon        = stories.Begin, stories.Noon
	openEngine, record = stories.Open, stories.Record
	options            = query.Options{Location: stories.Shanghai, Now: func() time.Time { return noon }}
	look               = picture.Options{Location: stories.Shanghai, Now: options.Now}
)

func golden(t *testing.T, name string, got []byte) { t.Helper(); stories.Golden(t, *update, name, got) }

// hostile names and errors contain control sequences and markup for terminals,
// Mermaid, HTML and XML.
func hostile(t *testing.T, e *engine.Engine) {
	texts := []string{
		"\x1b[2J\x1b[31mred\x1b[0m \x1b]0;title\x07 \r\noverwritten\b\b\u202egnp.exe\u200b",
		`"]; click n0 "javascript:alert(1)" %% <img src=x onerror=alert(1)> & #quot; ` + "`md` $$x$$",
		"style fill:#f00; classDef x:#0; end subgraph --> n0 |x| 1. item **bold**",
		`</title></text><script>alert("1")</script><!-- ]]> &amp; 'q'`,
		"\ufb02°°34¶ß 部署到生产环境的一个非常长的名称，长到没有一列可以容纳它，所以必须在某处截断才能显示 😀",
		"\uffff\ufffe\x00\u2028\u2029\u0085\t ok",
	}
	record(t, e, engine.Create("2", "\u202e10", engine.ID("<root>"), engine.Name("hostile"), at(0)), engine.Start("<root>", at(0)))
	for i, text := range texts {
		id := fmt.Sprintf(`"<&%d>`, i)
		record(t, e, engine.Declare("<root>", state.ServiceActivity, engine.ID(id), engine.Name(text), at(i)),
			engine.Start(id, at(i)), engine.Fail(id, text, at(2*i+1)))
	}
}

// flowing is a pipeline with recorded flows: a loop back to a branch, and a
// subprocess.
func flowing(t *testing.T, e *engine.Engine) {
	leaf := func(parent, id string, kind state.Kind, from, to int, after ...string) {
		record(t, e, engine.Declare(parent, kind, engine.ID(id), engine.Name(id), engine.After(after...), at(from)))
		if to > 0 {
			record(t, e, engine.Start(id, at(from)), engine.Finish(id, at(to)))
		}
	}
	record(t, e, engine.Create("2", "12", engine.ID("root"), engine.Name("Deploy"), at(0)), engine.Start("root", at(0)))
	leaf("root", "begin", state.StartEvent, 0, 1)
	record(t, e, engine.Declare("root", state.Subprocess, engine.ID("build"), engine.Name("build"), engine.After("begin"), at(2)), engine.Start("build", at(2)))
	leaf("build", "fetch", state.ServiceActivity, 2, 5)
	leaf("build", "compile", state.ServiceActivity, 5, 9, "fetch")
	record(t, e, engine.Finish("build", at(9)))
	leaf("root", "fork", state.ParallelGateway, 9, 10, "build")
	leaf("root", "test", state.ServiceActivity, 10, 20, "fork")
	leaf("root", "docs", state.ServiceActivity, 10, 14, "fork")
	leaf("root", "join", state.ConvergeGateway, 20, 21, "test", "docs", "begin")
	leaf("root", "choose", state.ExclusiveGateway, 21, 22, "join")
	leaf("root", "ship", state.ServiceActivity, 22, 0, "choose")
	record(t, e, engine.Loop("test", engine.From("choose"), at(23)), engine.Fail("test", "Traceback\nValueError: <no> & \"way\"", at(30)))
}

func pictured(t *testing.T, record func(*testing.T, *engine.Engine)) store.Reader {
	t.Helper()
	m := store.NewMemory()
	record(t, openEngine(t, m, &engine.Options{Now: clock()}))
	return m
}

func TestPicturesMatchTheirGoldenFiles(t *testing.T) {
	for name, c := range map[string]struct {
		record func(*testing.T, *engine.Engine)
		task   string
	}{
		"documented": {stories.Documented, "10"}, "various": {stories.Various, "11"}, "sub": {stories.Various, "sub"}, "leaf": {stories.Various, "flaky"},
		"later": {stories.Various, "later"}, "flowing": {flowing, "12"}, "hostile": {hostile, "<root>"},
	} {
		t.Run(name, func(t *testing.T) {
			q := query.New(pictured(t, c.record), &options)
			snap, err := q.Snapshot(t.Context(), "2", c.task)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", picture.AppendText(nil, snap.Tree, snap.Index, &look))
			golden(t, name+".mmd", picture.AppendMermaid(nil, snap.Tree, snap.Index, &look))
			spans, err := q.Timeline(t.Context(), "2", c.task)
			if err != nil {
				t.Fatal(err)
			}
			graph := picture.AppendGraph(nil, snap.Tree, snap.Index, &look)
			golden(t, name+".graph.svg", graph)
			stories.WellFormed(t, graph)
			svg := picture.AppendTimeline(nil, spans, &look)
			golden(t, name+".svg", svg)
			stories.WellFormed(t, svg)
		})
	}
}

func TestColorsAreTheOnlyControlSequences(t *testing.T) {
	for _, tell := range []func(*testing.T, *engine.Engine){hostile, stories.Various} {
		q := query.New(pictured(t, tell), &options)
		list, err := q.List(t.Context(), store.ListQuery{})
		if err != nil {
			t.Fatal(err)
		}
		snap, err := q.Snapshot(t.Context(), "2", list.Tasks[0].Task)
		if err != nil {
			t.Fatal(err)
		}
		plain := string(picture.AppendText(nil, snap.Tree, 0, &look))
		color := string(picture.AppendText(nil, snap.Tree, 0, &picture.Options{Location: look.Location, Now: look.Now, Color: true}))
		stripped := regexp.MustCompile("(?m)^\x1b\\[[0-9]+m(. [A-Z]+)\x1b\\[0m").ReplaceAllString(color, "$1")
		if stripped != plain {
			t.Errorf("without its colors:\n%s\nplain:\n%s", stripped, plain)
		}
		if lines := strings.Count(plain, "\n"); lines != snap.Tree.Len()+1 {
			t.Errorf("%d lines for %d nodes", lines, snap.Tree.Len())
		}
		for _, r := range plain {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Errorf("%U in\n%s", r, plain)
			}
		}
	}
}

func TestNothingInALabelIsMermaidSyntax(t *testing.T) {
	q := query.New(pictured(t, hostile), &options)
	snap, err := q.Snapshot(t.Context(), "2", "<root>")
	if err != nil {
		t.Fatal(err)
	}
	// A label has letters, digits, spaces, numeric entities and our own breaks.
	line := regexp.MustCompile(`^    (n0 --- )?n[0-9]+[\[({]"((\pL|\p{Nd}| |#[0-9]+;|<br/>)*)"[\])}]$`)
	boxes := 0
	for text := range strings.Lines(string(picture.AppendMermaid(nil, snap.Tree, 0, &look))) {
		text = strings.TrimSuffix(text, "\n")
		switch {
		case line.MatchString(text):
			boxes++
			if strings.Contains(text, "\ufb02") || strings.Count(text, "<br/>") > 2 {
				t.Error(text)
			}
		case text == "flowchart LR" || strings.HasPrefix(text, "    class"):
		default:
			t.Errorf("neither box nor style: %s", text)
		}
	}
	if boxes != snap.Tree.Len() {
		t.Errorf("%d boxes for %d nodes", boxes, snap.Tree.Len())
	}
}

func TestPicturesOfALargeTaskAreBounded(t *testing.T) {
	e := openEngine(t, store.NewMemory(), &engine.Options{Now: clock()})
	ops := []engine.Op{engine.Create("2", "10", engine.ID("root"), at(0)), engine.Start("root", at(0))}
	for i := range 3000 {
		id := fmt.Sprint("n", i)
		ops = append(ops, engine.Declare("root", state.ServiceActivity, engine.ID(id), engine.Name(strings.Repeat("<", 1000)), at(i)), engine.Start(id, at(i)))
	}
	if _, err := e.Record(t.Context(), ops...); err != nil {
		t.Fatal(err)
	}
	q := query.New(e, &options)
	snap, err := q.Snapshot(t.Context(), "2", "10")
	if err != nil {
		t.Fatal(err)
	}
	mermaid := string(picture.AppendMermaid(nil, snap.Tree, 0, &look))
	drawn := strings.Count(mermaid, "CREATED") + strings.Count(mermaid, "<br/>RUNNING")
	if len(mermaid) > 50_000 || drawn < 100 || !strings.Contains(mermaid, fmt.Sprintf(`more["%d more nodes"]`, 3001-drawn)) {
		t.Errorf("%d bytes, %d nodes: …%s", len(mermaid), drawn, mermaid[len(mermaid)-300:])
	}
	spans, err := q.Timeline(t.Context(), "2", "10")
	if err != nil {
		t.Fatal(err)
	}
	svg := picture.AppendTimeline(nil, spans, &picture.Options{MaxNodes: 100, Width: 1, Now: look.Now})
	graph := picture.AppendGraph(nil, snap.Tree, 0, &look)
	if n := stories.WellFormed(t, graph); n["title"] != 401 || !strings.Contains(string(graph), "and 2600 more") {
		t.Errorf("%v", n)
	}
	if n := stories.WellFormed(t, svg); n["rect"] != 101 || !strings.Contains(string(svg), "and 2901 more nodes") {
		t.Errorf("%v", n)
	}
}

func TestATimelineOfAnyLengthIsDrawn(t *testing.T) {
	year := func(n int) time.Time { return time.Date(n, 1, 1, 0, 0, 0, 1, time.UTC) }
	for name, spans := range map[string][]query.Span{
		"none": nil, "nothing started": {{Parent: -1}}, "no time at all": {{Parent: -1, Start: begin, End: begin}},
		"all there is": {{Parent: -1, Start: year(1), End: year(9999)}}, "backwards": {{Parent: -1, Start: begin, End: begin.Add(-time.Hour)}},
		"a nanosecond": {{Parent: -1, Start: begin, End: begin.Add(1)}}, "in the future": {{Parent: -1, Start: noon.Add(time.Hour)}},
		"circles": {{Index: 1, Parent: 2}, {Index: 2, Parent: 1}, {Index: 3, Parent: 3}},
	} {
		svg := picture.AppendTimeline([]byte("<!-- kept -->"), spans, &look)
		if n := stories.WellFormed(t, svg); n["line"] > 11 || strings.Contains(string(svg), "NaN") || strings.Contains(string(svg), "Inf") || !strings.HasPrefix(string(svg), "<!-- kept -->") {
			t.Errorf("%s: %v\n%s", name, n, svg)
		}
	}
}

func TestATextTreeShowsKeysEdgesThatLeadBackAndNotes(t *testing.T) {
	r := pictured(t, func(t *testing.T, e *engine.Engine) { stories.Flow(t, e) })
	snap, err := r.Load(t.Context(), store.ByKey("2", "flow"))
	if err != nil {
		t.Fatal(err)
	}
	o := look
	golden(t, "flow_ids.txt", picture.AppendText(nil, snap.Tree, snap.Index, &o))
	o.Keys = true
	golden(t, "flow.txt", picture.AppendText(nil, snap.Tree, snap.Index, &o))
}

func TestANarrowTextTreeLeavesOutIDsToShowErrors(t *testing.T) {
	r := pictured(t, func(t *testing.T, e *engine.Engine) {
		id := strings.Repeat("0123", 8)
		stories.Record(t, e,
			engine.Create("2", "10", engine.ID(id)), engine.Start(id),
			engine.Declare(id, state.ServiceActivity, engine.ID("of-"+id), engine.Key("deploy")), engine.Start("of-"+id),
			engine.Fail("of-"+id, "connection refused"))
	})
	snap, err := r.Load(t.Context(), store.ByKey("2", "10"))
	if err != nil {
		t.Fatal(err)
	}
	o := look
	o.Keys = true
	for columns, withIDs := range map[int]bool{0: true, 72: false, 120: true} {
		o.Columns = columns
		text := string(picture.AppendText(nil, snap.Tree, 0, &o))
		if strings.Contains(text, "0123") != withIDs || !strings.Contains(text, "deploy  ") || !strings.Contains(text, "connection refused") {
			t.Errorf("in %d columns:\n%s", columns, text)
		}
	}
}
