package httpapi_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/store"
)

// hidden has the values that may depend on other businesses. They must reveal
// nothing.
var hidden = regexp.MustCompile(`("position":|"cursor":|^id: )"?[A-Za-z0-9_-]{22,}"?`)

// seen is everything that a caller of one business gets, after few or many
// events in another one.
func seen(t *testing.T, elsewhere int) map[string]string {
	f := serve(t, &httpapi.Options{
		Authenticator: httpapi.NoAuth{}, Key: []byte(fmt.Sprint("another ", elsewhere)),
		Query: &query.Options{Location: zone, Now: clock, Fields: query.AllFields},
	})
	for i := range elsewhere {
		f.record(engine.Create("3", fmt.Sprintf("other-%d", i)))
	}
	f.recordExample()
	for i := range elsewhere {
		f.record(engine.Create("3", fmt.Sprintf("more-%d", i)))
	}
	f.recordStory()
	answers := make(map[string]string)
	note := func(r *http.Request) {
		w := f.do(r)
		tag := w.Header().Get("ETag")
		if tag != "" && len(tag) < 24 {
			t.Errorf("%s: tag %s is short", r.URL, tag)
		}
		w.Header().Del("ETag")
		w.Header().Del("Content-Length")
		body := w.Body.String()
		if strings.Contains(body, `"revision"`) || strings.Contains(body, `"sequence"`) {
			t.Errorf("%s: %s", r.URL, body)
		}
		answers[r.Method+" "+r.URL.String()] = fmt.Sprint(w.Code, len(tag), w.Header(), hidden.ReplaceAllString(body, "$1"))
	}
	prefix := httpapi.DefaultPrefix
	for _, task := range []string{"10", "11", "12"} {
		for _, path := range []string{callPath, prefix + "/get_task_node_detail", "/api/task", "/api/status", "/api/history", "/api/timeline"} {
			note(request("GET", path, nil, "bk_biz_id", "2", "task_id", task, "node_id", "compile"))
		}
	}
	note(postJSON(prefix+"/get_tasks_status", `{"bk_biz_id":2,"task_id_list":[10,11],"include_children_status":true}`))
	note(request("GET", "/api/tasks", nil, "bk_biz_id", "2", "limit", "1"))
	note(request("GET", "/api/tasks", nil, "bk_biz_id", "2", "limit", "5"))

	s := subscribe(t, listen(t, f.handler).URL, "2", "11", "0")
	var events strings.Builder
	for n := 0; n < 12; {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(line, "data") {
			n++
		}
		events.WriteString(hidden.ReplaceAllString(line, "$1"))
	}
	answers["events"] = events.String()
	return answers
}

func TestACallerOfOneBusinessCannotCountEventsInOthers(t *testing.T) {
	quiet, busy := seen(t, 0), seen(t, 300)
	for what, answer := range quiet {
		if busy[what] != answer {
			t.Errorf("%s tells what happens elsewhere:\n%s\n%s", what, answer, busy[what])
		}
	}
}

func TestAPositionIsValidOnlyForItsTaskAndKey(t *testing.T) {
	const key = "a secret"
	known := make(map[string]bool)
	for _, task := range []string{"10", "11"} {
		for sequence := range uint64(200) {
			p := httpapi.Seal(key, "2", task, store.History{7}, sequence)
			if got, ok := httpapi.Open(key, "2", task, p); !ok || got != sequence || known[p] || len(p) != 54 {
				t.Fatalf("position %q of %d is opened as %d, %v", p, sequence, got, ok)
			}
			known[p] = true
			for _, other := range [][3]string{{key, "2", "12"}, {key, "21", task[1:]}, {"another", "2", task}} {
				if got, ok := httpapi.Open(other[0], other[1], other[2], p); ok {
					t.Fatalf("the position %q is good elsewhere, as %d", p, got)
				}
			}
		}
	}
	for _, text := range []string{"", "1", "17", strings.Repeat("A", 54), strings.Repeat("A", 53), strings.Repeat("=", 24)} {
		if got, ok := httpapi.Open(key, "2", "10", text); ok {
			t.Errorf("%q is a position, of %d", text, got)
		}
	}
}

// A restored store has different transitions at the same sequences.
func TestAPositionOfAnotherHistoryBeginsWithASnapshot(t *testing.T) {
	f := serve(t, nil)
	f.begin("1")
	f.record(engine.Fail("node-1", "x"), engine.Retry("node-1"))
	url := listen(t, f.handler).URL
	last := httpapi.Seal(testKey, "2", "1", store.NewHistory(), 3)
	if e := subscribe(t, url, "2", "1", last).must(t, "snapshot"); e.id != 6 {
		t.Errorf("the snapshot is at %d", e.id)
	}
}

func TestAnAlteredCursorIsRefused(t *testing.T) {
	f := serve(t, nil)
	for i := range 5 {
		f.record(engine.Create("2", fmt.Sprint("t", i)))
	}
	_, cursor := f.tasks("limit=2")
	if ids, _ := f.tasks("limit=2&cursor=" + cursor); strings.Join(ids, " ") != "t2 t1" {
		t.Errorf("the second page has %v", ids)
	}
	for _, altered := range []string{"n5", "5", cursor[:len(cursor)-2], cursor + "AA", "A" + cursor[1:], "*"} {
		if altered == cursor {
			continue
		}
		if m := refusal(t, f.get("/api/tasks", "cursor", altered)); m != "cursor is malformed" {
			t.Errorf("%s: %q", altered, m)
		}
	}
}
