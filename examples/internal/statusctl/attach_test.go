package statusctl

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/store/boltstore"
	"github.com/pipestatus/pipestatus/store/wire"
)

// reading are commands that only read, with times that do not move.
var reading = []string{
	"get 2 10", "get 2 10 -json", "get 2 nowhere", "get 2 10 -failed-first", "get 2 10 -at 2018-04-26T08:08:40Z",
	"list", "list -json", "list -unfinished", "list -biz 2 -state FAILED,RUNNING", "list -limit 1 -since 2000-01-01",
	"tree 2 10", "tree 2 10 -mermaid", "tree 2 nowhere", "history nowhere", "timeline 2 10", "timeline 2 10 -json",
	"watch", "watch -json", "watch -after 3", "export", "purge -keep 1 -dry-run",
}

// sameThrough runs the reading commands on a file and on the program that has it
// open at an address.
func sameThrough(t *testing.T, file, address string, flags ...string) {
	t.Helper()
	for _, line := range reading {
		at := func(db string) outcome {
			return call(t.Context(), "", append(append(strings.Fields(line), "-tz", "UTC", "-db", db), flags...)...)
		}
		want, got := at(file), at(address)
		want.stderr = strings.ReplaceAll(want.stderr, file, address)
		if strings.HasPrefix(line, "list -limit") { // cursors are enciphered
			want.stderr, _, _ = strings.Cut(want.stderr, "more:")
			got.stderr, _, _ = strings.Cut(got.stderr, "more:")
		}
		if got != want {
			t.Errorf("%s: through the program exit code %d\n%s%s\nfrom the file exit code %d\n%s%s",
				line, got.code, got.stdout, got.stderr, want.code, want.stdout, want.stderr)
		}
	}
	if got := call(t.Context(), "", append(flags, "check", "-db", address)...); got.stdout != address+" is sound\n" {
		t.Errorf("check: %+v", got)
	}
	if got := call(t.Context(), "", append(flags, "stats", "-json", "-db", address)...); !strings.HasPrefix(got.stdout, `{"tasks":3,`) {
		t.Errorf("stats: %+v", got)
	}
}

func TestEveryReadingCommandWorksThroughAServer(t *testing.T) {
	db := told(t)
	s := serve(t, "-db", db, "-no-auth", "-quiet")
	sameThrough(t, copyOf(t, db), s.url)
	s.end(t)
}

func TestEveryReadingCommandWorksThroughASocket(t *testing.T) {
	db, socket := told(t), "unix://"+filepath.Join(t.TempDir(), "s")
	s := serve(t, "-db", db, "-no-auth", "-quiet", "-addr", socket)
	if s.url != socket {
		t.Errorf("it says %q", s.url)
	}
	sameThrough(t, copyOf(t, db), socket)
	s.end(t)
	// One program at a time listens on a socket.
	again := serve(t, "-db", db, "-no-auth", "-quiet", "-addr", socket)
	if got := call(t.Context(), "", "serve", "-no-auth", "-db", copyOf(t, db), "-addr", socket); got.code != exitFailed {
		t.Errorf("a second server on the socket: %+v", got)
	}
	again.end(t)
}

func TestAServerCanServeTheStoreOfAnotherServer(t *testing.T) {
	db := told(t)
	first := serve(t, "-db", db, "-no-auth", "-quiet")
	second := serve(t, "-db", first.url, "-no-auth", "-quiet")
	sameThrough(t, copyOf(t, db), second.url)
	second.end(t)
	first.end(t)
}

func TestCredentialsAreReadFromAFlagAFileOrTheEnvironment(t *testing.T) {
	db, file := told(t), filepath.Join(t.TempDir(), "auth")
	if err := os.WriteFile(file, []byte(`{"bk_app_code":"web","bk_app_secret":"hunter2","bk_token":"T"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "-db", db, "-quiet", "-app", "web:hunter2", "-token", "T=ann", "-access-token", "A=eve")
	for _, tt := range []struct {
		auth, environment string
		code              int
		says              string
	}{
		{`{"access_token":"A"}`, "", exitOK, "BIZ"},
		{"@" + file, "", exitOK, "BIZ"},
		{"", "@" + file, exitOK, "BIZ"},
		{"", `{"access_token":"A"}`, exitOK, "BIZ"},
		{`{"access_token":"A"}`, "hunter", exitOK, "BIZ"},
		{"", "", exitFailed, "401"},
		{`{"access_token":"hunter3"}`, "", exitFailed, "access_token is not valid"},
		{`{"password":"hunter3"}`, "", exitUsage, `"password" is not bk_app_code`},
		{`hunter3`, "", exitUsage, "-auth: credentials: not a JSON object"},
		{"", `{"access_token":["hunter3"]}`, exitUsage, authVariable},
		{"@" + file + "-not", "", exitFailed, "no such file"},
	} {
		t.Setenv(authVariable, tt.environment)
		got := call(t.Context(), "", "list", "-db", s.url, "-auth", tt.auth)
		if said := got.stdout + got.stderr; got.code != tt.code || !strings.Contains(said, tt.says) || strings.Contains(said, "hunter") {
			t.Errorf("-auth %s, environment %s: exit code %d\n%s", tt.auth, tt.environment, got.code, said)
		}
	}
	s.end(t)
}

func TestCommandsThatWriteRefuseARunningProgram(t *testing.T) {
	exported := succeed(t, "", "export", "-db", told(t))
	for _, line := range []string{"apply", "import", "purge -keep 1", "backup x", "compact", "salvage x"} {
		got := call(t.Context(), exported, append(strings.Fields(line), "-db", "http://127.0.0.1:1")...)
		if got.code == exitOK || !strings.Contains(got.stdout+got.stderr, "can only be read") {
			t.Errorf("%s: %+v", line, got)
		}
	}
	for address, reason := range map[string]string{
		"http://": "without a host", "http://ann:hunter2@h": "credentials do not belong there", "unix://s": "unix:///PATH",
		"http://127.0.0.1:1": "127.0.0.1:1", "http://h?access_token=hunter2": "credentials do not belong there",
	} {
		got := call(t.Context(), "", "list", "-db", address)
		if got.code == exitOK || !strings.Contains(got.stderr, reason) || strings.Contains(got.stderr, "hunter") {
			t.Errorf("%s: %+v", address, got)
		}
	}
}

func TestAProgramWithoutPermissionIsNotRead(t *testing.T) {
	s, err := boltstore.Open(told(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	server := httptest.NewServer(httpapi.New(s, &httpapi.Options{Authenticator: httpapi.NoAuth{}}))
	defer server.Close()
	if got := call(t.Context(), "", "list", "-db", server.URL); got.code != exitFailed || !strings.Contains(got.stderr, "does not let its store be read") {
		t.Errorf("%+v", got)
	}
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	defer elsewhere.Close()
	if got := call(t.Context(), "", "list", "-db", elsewhere.URL); got.code != exitFailed || !strings.Contains(got.stderr, "no answer of a server") {
		t.Errorf("%+v", got)
	}
}

func TestTheMessageAboutAFileInUseNamesTheProgram(t *testing.T) {
	db := told(t)
	s, err := boltstore.Open(db, nil) // as its runner does
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := call(t.Context(), "", "list", "-db", db); got.code != exitFailed || !strings.Contains(got.stderr, "-db http://HOST:PORT instead of the file") {
		t.Errorf("%+v", got)
	}
}

func TestFollowingARunningProgramShowsEachTransitionAndEndsWithIt(t *testing.T) {
	s, err := boltstore.Open(filepath.Join(t.TempDir(), "a.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	e, err := engine.Open(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, err := e.Create(t.Context(), "2", "0"); err != nil {
		t.Fatal(err)
	}
	h := httpapi.New(e, &httpapi.Options{
		Authenticator:  httpapi.NoAuth{},
		AuthorizeStore: func(context.Context, httpapi.Identity, string) bool { return true },
	})
	server := httptest.NewServer(h)
	defer server.Close()
	out, stdout := io.Pipe()
	exit := make(chan int)
	go func() {
		exit <- (&tool{stdout: stdout, stderr: io.Discard}).call(t.Context(), []string{"watch", "-follow", "-json", "-db", server.URL})
		stdout.Close()
	}()
	lines := json.NewDecoder(out)
	for seq := range uint64(20) {
		var line wire.Transition
		if err := lines.Decode(&line); err != nil || line.Seq != seq+1 {
			t.Fatalf("line %+v, %v, want %d", line, err, seq+1)
		}
		if _, err := e.Create(t.Context(), "2", string(rune('a'+seq))); err != nil {
			t.Fatal(err)
		}
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	h.Shutdown()
	if code := <-exit; code != exitOK {
		t.Errorf("exit code %d", code)
	}
}
