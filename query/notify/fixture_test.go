package notify_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query/notify"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store/wire"
)

func TestMain(m *testing.M) {
	if os.Getenv(victimFile) != "" {
		victim()
		return
	}
	goleak.VerifyTestMain(m)
}

// receiver is an endpoint that records the events it accepts.
type receiver struct {
	t       testing.TB
	secrets []notify.Secret
	// answer decides the status of the nth request, from 1, or 0 if it closed
	// the connection; nil accepts everything.
	answer func(w http.ResponseWriter, r *http.Request, n int, e *notify.Event) int

	mu       sync.Mutex // protects everything below
	requests int
	taken    []notify.Event
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the sender was killed
	}
	var event notify.Event
	if err := json.Unmarshal(body, &event); err != nil {
		r.t.Errorf("%q: %v", body, err)
	}
	if len(r.secrets) > 0 {
		if err := notify.Verify(req.Header, body, time.Now(), r.secrets...); err != nil {
			r.t.Error(err)
		}
	}
	if id := req.Header.Get(notify.HeaderID); id != event.ID {
		r.t.Errorf("the header names %q, the event is %q", id, event.ID)
	}
	r.mu.Lock()
	r.requests++
	n := r.requests
	r.mu.Unlock()
	status := http.StatusNoContent
	if r.answer != nil {
		status = r.answer(w, req, n, &event)
	}
	if status/100 == 2 {
		r.mu.Lock()
		r.taken = append(r.taken, event)
		r.mu.Unlock()
	}
	if status != 0 {
		w.WriteHeader(status)
	}
}

func (r *receiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests
}

// sequences returns the sequences of the accepted events, without repeats.
func (r *receiver) sequences() (all []uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := make(map[string]bool)
	for i := range r.taken {
		if !seen[r.taken[i].ID] {
			seen[r.taken[i].ID] = true
			all = append(all, transition(r.t, &r.taken[i]).Seq)
		}
	}
	return all
}

// inOrder checks that every event arrived, those of a task in order, except for
// repeats.
func (r *receiver) inOrder(last uint64) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	seen, latest := make(map[uint64]bool), make(map[string]uint64)
	for i := range r.taken {
		tr := transition(r.t, &r.taken[i])
		if seen[tr.Seq] {
			continue
		}
		seen[tr.Seq] = true
		if tr.Seq < latest[tr.Task] {
			r.t.Errorf("transition %d of task %s came after %d", tr.Seq, tr.Task, latest[tr.Task])
		}
		latest[tr.Task] = tr.Seq
	}
	for s := uint64(1); s <= last; s++ {
		if !seen[s] {
			r.t.Errorf("transition %d is missing", s)
		}
	}
}

func transition(t testing.TB, e *notify.Event) (tr wire.Transition) {
	t.Helper()
	if err := json.Unmarshal(e.Data, &tr); err != nil {
		t.Errorf("%s: %v", e.Data, err)
	}
	return tr
}

// inMemory is a client whose requests go to a handler without a network, so that
// the clock of a synctest bubble moves.
func inMemory(h http.Handler) *http.Client { return &http.Client{Transport: transport{h}} }

type transport struct{ http.Handler }

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	w := &answer{header: make(http.Header)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.ServeHTTP(w, req)
	}()
	select {
	case <-done:
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	return &http.Response{StatusCode: w.status, Header: w.header, Body: io.NopCloser(strings.NewReader("")), Request: req}, nil
}

type answer struct {
	header http.Header
	status int
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) Write(p []byte) (int, error) { return len(p), nil }
func (a *answer) WriteHeader(status int)      { a.status = status }

// record runs n tasks of three nodes and returns the last sequence.
func record(t testing.TB, e *engine.Engine, n int) uint64 {
	t.Helper()
	ctx := context.Background()
	try := func(r engine.Result, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return r.Node
	}
	for range n {
		task := strconv.FormatUint(e.Position().Sequence+1, 10)
		root := try(e.Create(ctx, "2", task))
		try(e.Start(ctx, root))
		node := try(e.Enter(ctx, root, state.ServiceActivity, engine.Name("compile")))
		try(e.Fail(ctx, node, "no space left on device"))
	}
	return e.Position().Sequence
}
