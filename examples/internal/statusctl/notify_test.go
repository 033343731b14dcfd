package statusctl

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/examples/internal/hook/hooktest"
	"github.com/pipestatus/pipestatus/examples/internal/serving"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/query/notify"
	"github.com/pipestatus/pipestatus/store"
)

func TestNotifyDeliversTransitionsAfterItsPosition(t *testing.T) {
	secret := notify.NewSecret()
	db, e := filepath.Join(t.TempDir(), "a.db"), hooktest.New(t, secret)
	position, file := filepath.Join(t.TempDir(), "position"), filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret.Text()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"notify", e.URL, "-db", db, "-position", position, "-secret", "@" + file}
	succeed(t, `{"op":"create","biz":"2","task":"1"}`, "apply", "-db", db)
	succeed(t, "", args...)
	succeed(t, `{"op":"create","biz":"2","task":"2"}`, "apply", "-db", db)
	succeed(t, "", args...)
	succeed(t, "", args...)
	if got := e.Sequences(); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("it took %q", got)
	}
	t.Setenv("PIPESTATUS_WEBHOOK_SECRET", secret.Text())
	fromNow := []string{"notify", e.URL, "-db", db, "-position", position + "2", "-from-now"}
	succeed(t, "", fromNow...)
	succeed(t, `{"op":"create","biz":"2","task":"3"}`, "apply", "-db", db)
	succeed(t, "", fromNow...)
	if got := e.Sequences(); !slices.Equal(got, []string{"1", "2", "3"}) {
		t.Errorf("then it took %q", got)
	}
	e.Answer(http.StatusGone)
	if got := call(t.Context(), "", args...); got.code != exitFailed || !strings.Contains(got.stderr, "gone") {
		t.Errorf("%+v", got)
	}
	e.Answer(http.StatusBadGateway)
	if got := call(t.Context(), "", append(args, "-give-up", "1ms")...); got.code != exitFailed || !strings.Contains(got.stderr, "502") {
		t.Errorf("%+v", got)
	}
}

func TestNotifyFollowsARunningProgram(t *testing.T) {
	eng, err := engine.Open(t.Context(), store.NewMemory(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	server := httptest.NewServer(httpapi.New(eng, &httpapi.Options{Authenticator: httpapi.NoAuth{}, AuthorizeStore: serving.WholeStore}))
	defer server.Close()
	secret := notify.NewSecret()
	e, ended := hooktest.New(t, secret), make(chan outcome)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		ended <- call(ctx, "", "notify", "-db", server.URL, "-follow", "-position", filepath.Join(t.TempDir(), "p"), "-secret", secret.Text(), e.URL)
	}()
	for n := range 3 {
		if _, err := eng.Create(t.Context(), "2", string(rune('a'+n))); err != nil {
			t.Fatal(err)
		}
		for len(e.Sequences()) <= n {
			time.Sleep(time.Millisecond)
		}
	}
	stop()
	if got := <-ended; got.code != exitOK {
		t.Errorf("%+v", got)
	}
}

func TestNotifyRefusesInvalidArguments(t *testing.T) {
	db := told(t)
	position := filepath.Join(t.TempDir(), "position")
	for reason, args := range map[string][]string{
		"needs URL":                     {"-position", position},
		"needs -position FILE":          {"http://127.0.0.1:1"},
		"-follow needs a running":       {"http://127.0.0.1:1", "-position", position, "-follow"},
		"a secret is 24 to 64 bytes":    {"http://127.0.0.1:1", "-position", position, "-secret", "hunter2"},
		"secret: open /nowhere/secret:": {"http://127.0.0.1:1", "-position", position, "-secret", "@/nowhere/secret"},
	} {
		got := call(t.Context(), "", append([]string{"notify", "-db", db}, args...)...)
		if got.code != exitUsage || !strings.Contains(got.stderr, reason) || strings.Contains(got.stderr, "hunter2") {
			t.Errorf("%q: %+v", args, got)
		}
	}
}
