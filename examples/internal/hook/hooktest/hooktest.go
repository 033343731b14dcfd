// Package hooktest has an endpoint for tests of programs that send notifications.
package hooktest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/query/notify"
)

// Endpoint accepts signed events and records their sequences.
type Endpoint struct {
	*httptest.Server

	mu        sync.Mutex // protects everything below
	sequences []string
	status    int
}

// New starts an endpoint that answers 200 until the test ends. The test fails if an
// event is not signed with the secret.
func New(t *testing.T, secret notify.Secret) *Endpoint {
	e := &Endpoint{status: http.StatusOK}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = notify.Verify(r.Header, body, time.Now(), secret)
		}
		var event notify.Event
		if err == nil {
			err = json.Unmarshal(body, &event)
		}
		if err != nil {
			t.Errorf("%s: %v", body, err)
		}
		if w.WriteHeader(e.status); e.status == http.StatusOK {
			e.sequences = append(e.sequences, strings.TrimLeft(event.Sequence, "0"))
		}
	}))
	t.Cleanup(e.Close)
	return e
}

// Answer sets the status of later answers. Events are recorded only with 200.
func (e *Endpoint) Answer(status int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status = status
}

// Sequences are those of the accepted events, in order and with repeats.
func (e *Endpoint) Sequences() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.sequences)
}
