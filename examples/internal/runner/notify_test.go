//go:build unix

package runner

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/examples/internal/hook"
	"github.com/pipestatus/pipestatus/examples/internal/hook/hooktest"
	"github.com/pipestatus/pipestatus/query/notify"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

// everything lists the sequences of a database.
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
		all = append(all, strconv.FormatUint(tr.Sequence, 10))
	}
	return all
}

// distinct lists the sequences that an endpoint accepted, without repeats.
func distinct(e *hooktest.Endpoint) (sequences []string) {
	for _, s := range e.Sequences() {
		if !slices.Contains(sequences, s) {
			sequences = append(sequences, s)
		}
	}
	return sequences
}

func TestEndpointsGetAllTransitionsAfterARestart(t *testing.T) {
	secret, db := notify.NewSecret(), filepath.Join(t.TempDir(), "p.db")
	t.Setenv(hook.SecretVariable, secret.Text())
	lively, later := hooktest.New(t, secret), hooktest.New(t, secret)
	flaky := filepath.Join(t.TempDir(), "flaky")
	tree := newTree("p")
	activity(tree, "a", "test -e "+flaky)
	chain(tree, "p_start", "a", "p_end")
	later.Answer(http.StatusGone)
	args := []string{"-db", db, "-task", "t1", "-notify", lively.URL, "-notify", later.URL}
	first := callRunner(t, append(args, write(t, tree))...)
	if first.code != exitFailed || !strings.Contains(first.stderr, "endpoint 2 of -notify: notify: the endpoint is gone") {
		t.Errorf("exit code %d", first.code)
	}
	if want := everything(t, db); !slices.Equal(distinct(lively), want) || len(distinct(later)) > 0 {
		t.Errorf("the endpoints have %q and %q, want %q and none", distinct(lively), distinct(later), want)
	}
	if err := os.WriteFile(flaky, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	later.Answer(http.StatusOK)
	if o := callRunner(t, append(args, "-resume")...); o.code != exitFinished {
		t.Errorf("exit code %d", o.code)
	}
	for _, e := range []*hooktest.Endpoint{lively, later} {
		if want := everything(t, db); !slices.Equal(distinct(e), want) {
			t.Errorf("an endpoint has %q, want %q", distinct(e), want)
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
