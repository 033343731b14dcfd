package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// event is one server-sent event, or a comment.
type event struct {
	name, comment string
	id            uint64
	position      string // unparsed
	data          map[string]any
}

// subscription is an open stream.
type subscription struct {
	resp   *http.Response
	lines  *bufio.Reader
	cancel context.CancelFunc

	business, task string
}

// subscribe opens a stream after a sequence; with last "" it begins with a
// snapshot.
func subscribe(t *testing.T, url, business, task, last string) *subscription {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", url+"/api/events?bk_biz_id="+business+"&task_id="+task, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := strconv.ParseUint(last, 10, 64); err == nil && n > 0 {
		last = httpapi.Seal(testKey, business, task, store.History{}, n)
	}
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" {
		t.Fatalf("status %d, %v", resp.StatusCode, resp.Header)
	}
	return &subscription{resp, bufio.NewReader(resp.Body), cancel, business, task}
}

// next reads an event or a comment; the stream's end is an error.
func (s *subscription) next() (e event, err error) {
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			return e, err
		}
		line = strings.TrimSuffix(line, "\n")
		field, value, _ := strings.Cut(line, ": ")
		switch field {
		case "":
			if line != "" {
				e.comment = value
			}
			if e.name != "" || e.comment != "" {
				return e, nil
			}
		case "event":
			e.name = value
		case "id":
			var ok bool
			e.position = value
			if e.id, ok = httpapi.Open(testKey, s.business, s.task, value); !ok {
				err = fmt.Errorf("the ID %q is no position", value)
			}
		case "data":
			err = json.Unmarshal([]byte(value), &e.data)
		case "retry":
		default:
			err = fmt.Errorf("line %q", line)
		}
		if err != nil {
			return e, err
		}
	}
}

// must reads the next event with a name and skips comments.
func (s *subscription) must(t *testing.T, name string) event {
	t.Helper()
	for {
		e, err := s.next()
		if err != nil {
			t.Fatalf("instead of %s: %v", name, err)
		}
		if e.comment != "" {
			continue
		}
		if e.name != name {
			t.Fatalf("%s %d instead of %s", e.name, e.id, name)
		}
		return e
	}
}

func TestAStreamBeginsWithASnapshotAndHasEveryTransition(t *testing.T) {
	f := serve(t, nil)
	f.recordExample()
	server := listen(t, f.handler)
	s := subscribe(t, server.URL, "2", "10", "")
	snapshot := s.must(t, "snapshot")
	if snapshot.id != 8 || snapshot.data["state"] != "FAILED" || len(snapshot.data["nodes"].([]any)) != 3 {
		t.Errorf("snapshot %+v", snapshot)
	}
	f.record(engine.Create("2", "other"), engine.Retry(exampleActivity, engine.Actor("ann")))
	e := s.must(t, "transition")
	nodes := e.data["nodes"].([]any)
	changed, root := nodes[0].(map[string]any), nodes[1].(map[string]any)
	if e.id != 10 || e.data["op"] != "retry" || e.data["actor"] != "ann" || changed["state"] != "CREATED" || root["state"] != "RUNNING" || len(nodes) != 2 {
		t.Errorf("transition %+v", e)
	}
	superseded := e.data["superseded"].([]any)[0].(map[string]any)
	if superseded["node_id"] != exampleActivity || superseded["state"] != "FAILED" || superseded["error"] != "<b>no route</b> & more" {
		t.Errorf("superseded %v", superseded)
	}
	f.record(engine.Label("2", "10", engine.Labels(map[string]string{"env": "prod", "team": "a"})), engine.Label("2", "10", engine.Unlabel("env", "team")))
	for _, want := range []string{"map[env:prod team:a]", "map[]"} {
		e = s.must(t, "transition")
		if e.data["op"] != "label" || len(e.data["nodes"].([]any)) != 0 || fmt.Sprint(e.data["labels"]) != want {
			t.Errorf("labels are to be %s: %+v", want, e)
		}
	}
}

// pump changes a task n times.
func (f *fixture) pump(task string, loops int) {
	node := "node-" + task
	for i := range loops {
		ops := []engine.Op{engine.Fail(node, "x"), engine.Retry(node), engine.Start(node)}
		if _, err := f.engine.Record(context.Background(), ops[i%3]); err != nil {
			f.Error(err)
			return
		}
	}
}

func (f *fixture) begin(task string) {
	f.record(engine.Create("2", task, engine.ID("root-"+task)), engine.Start("root-"+task),
		engine.Declare("root-"+task, state.ServiceActivity, engine.ID("node-"+task)), engine.Start("node-"+task))
}

// sequences are those of all transitions of a task.
func (f *fixture) sequences(task string) (list []uint64) {
	for after := uint64(0); ; {
		page, err := f.engine.Transitions(f.Context(), state.Key{Business: "2", Task: task}, after, 0)
		if err != nil {
			f.Fatal(err)
		}
		if len(page) == 0 {
			return list
		}
		for _, tr := range page {
			list = append(list, tr.Sequence)
			after = tr.Sequence
		}
	}
}

func TestAClientThatReconnectsHasNoGapAndNoDuplicate(t *testing.T) {
	const tasks, loops = 3, 300
	f := serve(t, nil)
	server := listen(t, f.handler)
	for i := range tasks {
		f.begin(strconv.Itoa(i))
	}
	var clients sync.WaitGroup
	for c := range 2 * tasks {
		task := strconv.Itoa(c % tasks)
		clients.Go(func() {
			seen := f.follow(server.URL, task, 4+loops)
			if want := f.sequences(task); !slices.Equal(seen, want) {
				t.Errorf("client %d: %d transitions seen, %d recorded: %v", c, len(seen), len(want), seen)
			}
		})
	}
	for i := range tasks {
		clients.Go(func() { f.pump(strconv.Itoa(i), loops) })
	}
	clients.Wait()
}

// follow reads so many transitions of a task from the first on, and sometimes
// breaks the connection.
func (f *fixture) follow(url, task string, want int) (seen []uint64) {
	last := "0"
	for len(seen) < want {
		s := subscribe(f.T, url, "2", task, last)
		for range 40 {
			e, err := s.next()
			if err != nil {
				f.Error(err)
				return seen
			}
			if e.name != "transition" {
				f.Errorf("%s instead of a transition", e.name)
				return seen
			}
			seen = append(seen, e.id)
			last = e.position
			if len(seen) == want {
				break
			}
		}
		s.cancel()
		s.resp.Body.Close()
	}
	return seen
}

func TestAPromptEventShowsTheTreeOfItsTransition(t *testing.T) {
	f := serve(t, nil)
	f.begin("1")
	server := listen(t, f.handler)
	s := subscribe(t, server.URL, "2", "1", "")
	s.must(t, "snapshot")
	// Both transitions are in one commit, so the tree in memory is already at
	// the second.
	if _, err := f.engine.Record(t.Context(), engine.Fail("node-1", "x"), engine.Retry("node-1")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"FAILED", "RUNNING"} {
		if e := s.must(t, "transition"); e.data["state"] != want {
			t.Errorf("after %v the task shows %v, want %s", e.data["op"], e.data["state"], want)
		}
	}
}

func TestAClientTooFarBehindGetsASnapshot(t *testing.T) {
	f := serve(t, nil)
	f.begin("1")
	server := listen(t, f.handler)
	begin := subscribe(t, server.URL, "2", "1", "0")
	last := begin.must(t, "transition").position
	begin.cancel()
	f.pump("1", store.DefaultLimit)
	for _, last := range []string{last, "999999999", "1", "what nobody gave"} {
		e := subscribe(t, server.URL, "2", "1", last).must(t, "snapshot")
		if want := f.sequences("1"); e.id != want[len(want)-1] {
			t.Errorf("from %s: snapshot at %d", last, e.id)
		}
	}
}

func TestADeletedTaskIsNotFoundAndItsSuccessorIsAnotherTask(t *testing.T) {
	f := serve(t, nil)
	f.recordExample()
	server := listen(t, f.handler)
	s := subscribe(t, server.URL, "2", "10", "")
	s.must(t, "snapshot")
	f.record(engine.Revoke(exampleRoot))
	last := s.must(t, "transition").id
	if err := f.engine.Delete(t.Context(), "2", "10"); err != nil {
		t.Fatal(err)
	}
	s.must(t, "gone")
	if _, err := s.next(); err == nil {
		t.Error("the stream continues")
	}
	f.record(engine.Create("2", "10", engine.ID("successor")), engine.Start("successor"))
	e := subscribe(t, server.URL, "2", "10", strconv.FormatUint(last, 10)).must(t, "snapshot")
	if e.data["node_id"] != "successor" {
		t.Errorf("snapshot %+v", e)
	}
}

// atRest hides the Watch method of an engine.
type atRest struct{ store.Reader }

func TestAStoreWithoutWatchIsAskedForChanges(t *testing.T) {
	f := serve(t, nil)
	f.begin("1")
	f.handler = handlerOn(atRest{f.engine}, &httpapi.Options{Authenticator: httpapi.NoAuth{}, Poll: time.Millisecond})
	server := listen(t, f.handler)
	s := subscribe(t, server.URL, "2", "1", "")
	s.must(t, "snapshot")
	for range 5 {
		f.record(engine.Fail("node-1", "x"), engine.Retry("node-1"), engine.Start("node-1"))
		for _, op := range []string{"fail", "retry", "start"} {
			if e := s.must(t, "transition"); e.data["op"] != op {
				t.Errorf("%v instead of %s", e.data["op"], op)
			}
		}
	}
}

// trimming is a feed that sometimes has lost the requested transitions.
type trimming struct {
	store.Reader
	left atomic.Int64
}

func (r *trimming) Feed(ctx context.Context, after store.Position, limit int) (store.FeedPage, error) {
	if after != store.End && r.left.Add(-1) >= 0 {
		return store.FeedPage{}, store.ErrTrimmed
	}
	return r.Reader.Feed(ctx, after, limit)
}

func TestAFeedThatWasTrimmedLosesNothing(t *testing.T) {
	f := serve(t, nil)
	f.begin("1")
	reader := &trimming{Reader: f.engine}
	reader.left.Store(20)
	f.handler = handlerOn(reader, &httpapi.Options{Authenticator: httpapi.NoAuth{}, Poll: time.Millisecond})
	server := listen(t, f.handler)
	go f.pump("1", 90)
	if seen := f.follow(server.URL, "1", 94); !slices.Equal(seen, f.sequences("1")) {
		t.Errorf("seen %v", seen)
	}
}
