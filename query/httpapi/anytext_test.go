package httpapi_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
)

// Every stored text is unchanged in every answer and event.
func TestTextOfAnyCharactersBreaksNoAnswerAndNoStream(t *testing.T) {
	texts := []string{
		"\u202atx\u202bt.\u202dexe\u202e\u202c", "\u2066a\u2067b\u2068c\u2069\u2069", "\u200b\u200d\ufeff\u3164",
		"one\u2028two\u2029three\u0085four", "\x00\x1b[2J\x7f\u009b", "\r\ndata: {}\n\nevent: gone\r", "a\xffb\xed\xa0\x80",
		"\ufffe\U0010ffff\U000e0041", "</script><!--<script>", strings.Repeat("\u2028\u202e", state.MaxErrorBytes/3),
	}
	for _, text := range texts {
		f := serve(t, nil)
		task, leaf, name, failure := "10", "leaf", "name", state.CutError(text)
		if state.CheckID("ID", text) == nil {
			task, leaf = text, text
		}
		if utf8.ValidString(text) && len(text) <= state.MaxNameBytes {
			name = text
		}
		f.record(engine.Create("2", task, engine.ID("root"), engine.Name(name)), engine.Start("root"),
			engine.Declare("root", state.ServiceActivity, engine.ID(leaf), engine.Name(name)), engine.Start(leaf), engine.Fail(leaf, text),
			engine.Retry(leaf), engine.Start(leaf))
		stream := subscribe(t, listen(t, f.handler).URL, "2", task, "")
		expectStrings(t, "snapshot", stream.must(t, "snapshot").data, name, leaf)
		f.record(engine.Fail(leaf, text))
		expectStrings(t, "transition", stream.must(t, "transition").data, leaf, failure)
		for path, want := range map[string][]string{
			callPath: {name, leaf}, "/api/status": {name, leaf}, "/api/task": {name, leaf, failure}, "/api/timeline": {failure},
			"/api/history": {failure}, "/api/tasks": {name, task},
		} {
			query := []string{"bk_biz_id", "2", "task_id", task, "node_id", leaf}
			switch path {
			case "/api/tasks":
				query = query[:2]
			case "/api/history":
			default:
				query = query[:4]
			}
			w := f.get(path, query...)
			var data any
			if err := json.Unmarshal(w.Body.Bytes(), &data); err != nil || w.Code != 200 || !utf8.Valid(w.Body.Bytes()) {
				t.Errorf("%s: %d, %v: %.300q", path, w.Code, err, w.Body)
			}
			expectStrings(t, path, data, want...)
			for _, values := range w.Header() {
				if strings.ContainsFunc(strings.Join(values, ""), func(r rune) bool { return r < 0x20 || r > 0x7e }) {
					t.Errorf("%s: headers %q", path, w.Header())
				}
			}
		}
		if w := f.get(callPath, "bk_biz_id", text, "task_id", text); !json.Valid(w.Body.Bytes()) || strings.ContainsAny(w.Body.String(), "\x00\x1b\x7f\u202e\u2028") {
			t.Errorf("refusal %.300q", w.Body)
		}
	}
}

// expectStrings expects strings somewhere in decoded JSON, as keys or values.
func expectStrings(t *testing.T, what string, data any, want ...string) {
	t.Helper()
	found := make(map[string]bool)
	var search func(v any)
	search = func(v any) {
		switch v := v.(type) {
		case string:
			found[v] = true
		case []any:
			for _, e := range v {
				search(e)
			}
		case map[string]any:
			for k, e := range v {
				found[k] = true
				search(e)
			}
		}
	}
	search(data)
	for _, s := range want {
		if !found[s] {
			t.Errorf("%s does not have %.100q: %.500v", what, s, data)
		}
	}
}
