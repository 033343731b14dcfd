package query_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/internal/stories"
	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// anyTexts are texts that a caller may give as a name, an ID or an error.
var anyTexts = map[string]string{
	"overrides":          "\u202atx\u202bt.\u202dexe\u202e\u202c",
	"isolates":           "\u2066a\u2067b\u2068c\u2069\u2069",
	"marks of direction": "\u200ea\u200fb\u061cc",
	"nothing to see":     "\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u115f\u3164\uffa0",
	"separators":         "one\u2028two\u2029three\u0085four",
	"lines":              "one\r\ntwo\nthree\vfour\ffive",
	"NUL":                "\x00a\x00",
	"control characters": "\x1b[2J\x1b]0;title\x07\b\x7f\u009b31m",
	"no UTF-8":           "a\xffb\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80\xe2\x80",
	"tags and private":   "\U000e0041\U000e007f\ue000\U0010ffff\ufffe",
	"a byte order mark":  "\ufeff\"quoted\"",
	"markup":             `</script><b>&amp;"'\`,
	"as long as an ID":   strings.Repeat("é", state.MaxIDBytes/2),
	"longer than an ID":  strings.Repeat("é", state.MaxIDBytes/2) + "x",
	"as long as a name":  strings.Repeat("\u202e", state.MaxNameBytes/3) + "x",
	"longer than a name": strings.Repeat("\u202e", state.MaxNameBytes/3) + "xy",
	"longer than errors": strings.Repeat("\u2028", state.MaxErrorBytes),
	"much longer":        strings.Repeat("\xff\u202e", state.MaxErrorBytes),
}

// anyStory holds the stored forms of a text that was given in every text field.
type anyStory struct {
	business, task, root, leaf string // IDs
	name, failure              string
}

// tellAny records a text in every field that accepts it, and expects the other
// fields to refuse it.
func tellAny(t *testing.T, e *engine.Engine, number int, text string) anyStory {
	t.Helper()
	isID := state.CheckID("ID", text) == nil
	isActor := state.CheckActor(text) == nil
	s := anyStory{business: "2", task: fmt.Sprint(number), root: fmt.Sprintf("root-%d", number), leaf: fmt.Sprintf("leaf-%d", number)}
	s.name, s.failure = state.CutName(text), state.CutError(text)
	refused := func(kept bool, ops ...engine.Op) {
		t.Helper()
		_, err := e.Record(t.Context(), ops...)
		if kept && err != nil || !kept && !errors.Is(err, state.ErrInvalidArgument) {
			t.Errorf("error %v; may it be kept: %t", err, kept)
		}
		if err != nil {
			inert(t, "error", err.Error(), 1)
		}
	}
	if isID {
		s.business, s.task, s.leaf = text, text, text
	} else {
		refused(false, engine.Create(text, "1"))
		refused(false, engine.Create("2", text))
		refused(false, engine.Create("2", "1", engine.ID(text)))
		refused(false, engine.Start(text))
	}
	record(t, e,
		engine.Create(s.business, s.task, engine.ID(s.root), engine.Name(text)), engine.Start(s.root),
		engine.Declare(s.root, state.ServiceActivity, engine.ID(s.leaf), engine.Name(text)), engine.Start(s.leaf), engine.Fail(s.leaf, text))
	refused(isActor, engine.Retry(s.leaf, engine.Actor(text)))
	if !isActor {
		record(t, e, engine.Retry(s.leaf))
	}
	record(t, e, engine.Start(s.leaf), engine.Fail(s.leaf, text))
	return s
}

// inert expects a text for terminals to have so many lines and no control
// sequences.
func inert(t *testing.T, what, text string, lines int) {
	t.Helper()
	for _, r := range text {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("%s has %U: %.200q", what, r, text)
			return
		}
	}
	if n := strings.Count(strings.TrimSuffix(text, "\n"), "\n") + 1; n != lines || !utf8.ValidString(text) {
		t.Errorf("%s has %d lines, want %d: %.200q", what, n, lines, text)
	}
}

func TestTextWithAnyBytesNeverBreaksAnAnswer(t *testing.T) {
	stories := make(map[string]anyStory)
	tell := func(t *testing.T, e *engine.Engine) {
		number := 0
		for name, text := range anyTexts {
			stories[name] = tellAny(t, e, number, text)
			number++
		}
	}
	onEach(t, tell, func(t *testing.T, r store.Reader) {
		o := options
		o.Fields = query.FieldExData | query.FieldKind
		q := query.New(r, &o)
		for name, s := range stories {
			t.Run(name, func(t *testing.T) { s.expect(t, q, anyTexts[name]) })
		}
	})
}

// expect compares every answer about the text with its stored forms.
func (s *anyStory) expect(t *testing.T, q *query.Query, text string) {
	shownName := func(kind state.Kind) string {
		if s.name == "" {
			return kind.Class()
		}
		return s.name
	}
	answer, err := q.AppendJSON(t.Context(), nil, s.business, s.task)
	if err != nil || !utf8.Valid(answer) || strings.ContainsAny(string(answer), "\n\r\x00\u2028\u2029") {
		t.Errorf("%.200q, %v", answer, err)
	}
	type node struct {
		ID       string            `json:"id"`
		Name     string            `json:"name"`
		ExData   map[string]string `json:"ex_data"`
		Children map[string]node   `json:"children"`
	}
	var got struct{ Data node }
	if err := json.Unmarshal(answer, &got); err != nil {
		t.Fatal(err)
	}
	want := node{
		s.root, shownName(state.Pipeline),
		map[string]string{s.leaf: s.failure},
		map[string]node{s.leaf: {s.leaf, shownName(state.ServiceActivity), nil, map[string]node{}}},
	}
	if diff := cmp.Diff(want, got.Data); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	list, err := q.List(t.Context(), store.ListQuery{Business: s.business})
	if err != nil {
		t.Fatal(err)
	}
	listed := false
	for _, task := range list.Tasks {
		listed = listed || task.Business == s.business && task.Task == s.task && task.ID == s.root && task.Name == shownName(state.Pipeline)
	}
	if !listed {
		t.Errorf("it is not in the list: %+v", list.Tasks)
	}
	if past, err := collect(q.History(t.Context(), store.ByNode(s.leaf))); err != nil || len(past) != 1 || past[0].Error != s.failure {
		t.Errorf("history %.200v, %v", past, err)
	}
	spans, err := q.Timeline(t.Context(), s.business, s.task)
	if err != nil || len(spans) != 3 || spans[0].Name != shownName(state.Pipeline) || spans[2].Node != s.leaf || spans[1].Error != s.failure || spans[2].Error != s.failure {
		t.Fatalf("timeline %.200v, %v", spans, err)
	}
	svg := picture.AppendTimeline(nil, spans, nil)
	inert(t, "SVG", string(svg), strings.Count(string(svg), "\n"))
	stories.WellFormed(t, svg)
	snap, err := q.Snapshot(t.Context(), s.business, s.task)
	if err != nil {
		t.Fatal(err)
	}
	tree := string(picture.AppendText(nil, snap.Tree, 0, nil))
	inert(t, "tree", tree, 3)
	if _, nodes, _ := strings.Cut(tree, "\n"); strings.ContainsAny(nodes, "\u034f\u115f\u3164\uffa0") {
		t.Errorf("the tree contains invisible characters:\n%s", tree)
	}
	inert(t, "subtree", string(picture.AppendText(nil, snap.Tree, 1, nil)), 2)
	chart := picture.AppendMermaid(nil, snap.Tree, 0, nil)
	inert(t, "Mermaid", string(chart), strings.Count(string(chart), "\n"))

	// A request for an unknown task names it in the answer.
	answer, err = q.AppendJSON(t.Context(), nil, "nobody", text)
	var refusal query.Response
	if err != nil || json.Unmarshal(answer, &refusal) != nil || refusal.Result || len(answer) > 4*len(text)*3+200 {
		t.Errorf("%.200q, %v", answer, err)
	}
	inert(t, "refusal", refusal.Message, 1)
}
