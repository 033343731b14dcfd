//go:build unix

package runner

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/examples/internal/hook"
	"github.com/pipestatus/pipestatus/query/notify"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

// heard is an endpoint that notes the sequences of the events it takes.
type heard struct {
	*httptest.Server
	mu        sync.Mutex // protects everything below
	sequences []string
	down      bool
}

func listener(t *testing.T, secret notify.Secret) *heard {
	h := new(heard)
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = notify.Verify(r.Header, body, time.Now(), secret)
		}
		var event notify.Event
		if err == nil {
			err = json.Unmarshal(body, &event)
		}
		if err != nil {
			t.Error(err)
		}
		if h.down {
			w.WriteHeader(http.StatusGone)
			return
		}
		if !slices.Contains(h.sequences, event.Sequence) {
			h.sequences = append(h.sequences, event.Sequence)
		}
	}))
	t.Cleanup(h.Close)
	return h
}

// everything is the sequences of what a database holds.
func everything(t *testing.T, db string) (all []string) {
	t.Helper()
	s, err := boltstore.Open(db, &boltstore.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	page, err := s.Feed(t.Context(), store.Position{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, tr := range page.Transitions {
		all = append(all, fmt.Sprintf("%020d", tr.Sequence))
	}
	return all
}

func TestEndpointsGetAllTransitionsAfterARestart(t *testing.T) {
	secret, db := notify.NewSecret(), filepath.Join(t.TempDir(), "p.db")
	t.Setenv(hook.SecretVariable, secret.Text())
	lively, later := listener(t, secret), listener(t, secret)
	flaky := filepath.Join(t.TempDir(), "flaky")
	tree := newTree("p")
	activity(tree, "a", "test -e "+flaky)
	chain(tree, "p_start", "a", "p_end")
	later.down = true
	args := []string{"-db", db, "-task", "t1", "-notify", lively.URL, "-notify", later.URL}
	first := callRunner(t, append(args, write(t, tree))...)
	if first.code != exitFailed || !strings.Contains(first.stderr, "endpoint 2 of -notify: notify: the endpoint is gone") {
		t.Errorf("exit code %d", first.code)
	}
	if want := everything(t, db); !slices.Equal(lively.sequences, want) || len(later.sequences) > 0 {
		t.Errorf("the endpoints have %q and %q, want %q and none", lively.sequences, later.sequences, want)
	}
	if err := os.WriteFile(flaky, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	later.down = false
	if o := callRunner(t, append(args, "-resume")...); o.code != exitFinished {
		t.Errorf("exit code %d", o.code)
	}
	for _, h := range []*heard{lively, later} {
		if want := everything(t, db); !slices.Equal(h.sequences, want) {
			t.Errorf("an endpoint has %q, want %q", h.sequences, want)
		}
	}
}

func TestNotifyFlagsThatMakeNoSense(t *testing.T) {
	for reason, args := range map[string][]string{
		"the endpoint comes twice":   {"-notify", "http://h", "-notify", "http://h"},
		"-notify-secret needs":       {"-notify-secret", "x"},
		"an endpoint is http://":     {"-notify", "h:80"},
		"a secret is 24 to 64 bytes": {"-notify", "http://h", "-notify-secret", "hunter2"},
	} {
		if o := callRunner(t, args...); o.code != exitUsage || !strings.Contains(o.stderr, reason) || strings.Contains(o.stderr, "hunter2") {
			t.Errorf("%q: exit code %d", args, o.code)
		}
	}
}
