package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/query/httpapi/client"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/storetest"
)

// recorded is an engine with a task of business 2 and one of business 3, with
// the roots two and three.
func recorded(t *testing.T, s store.Store) *engine.Engine {
	t.Helper()
	e, err := engine.Open(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	for business, root := range map[string]string{"2": "two", "3": "three"} {
		if _, err := e.Create(t.Context(), business, "10", engine.ID(root)); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Start(t.Context(), root); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

func TestASocketWorksLikeAnAddress(t *testing.T) {
	c := overSocket(t, recorded(t, store.NewMemory()))
	snap, err := query.New(c, nil).Snapshot(t.Context(), "2", "two")
	if err != nil || snap.Tree.State(0) != state.Running {
		t.Errorf("%+v, %v", snap, err)
	}
}

// apps are the callers, by the business that they may see.
var apps = &httpapi.Applications{
	Secrets: map[string]string{"two": "s", "all": "s", "none": "s"}, Trusted: []string{"two", "all", "none"},
}

func as(app string) *client.Options {
	return &client.Options{Credentials: httpapi.Credentials{AppCode: app, AppSecret: "s", Username: "ann"}}
}

// questions are all methods of a reader that concern one business.
func questions(c *client.Client, business, root string) map[string]func(context.Context) error {
	key := state.Key{Business: business, Task: "10"}
	return map[string]func(context.Context) error{
		"load": func(ctx context.Context) error { _, err := c.Load(ctx, store.Ref{Key: key}); return err },
		"load by node": func(ctx context.Context) error {
			_, err := c.Load(ctx, store.ByNode(root))
			return err
		},
		"locate": func(ctx context.Context) error { _, err := c.Locate(ctx, store.Ref{Key: key}); return err },
		"locate by node": func(ctx context.Context) error {
			_, err := c.Locate(ctx, store.ByNode(root))
			return err
		},
		"list": func(ctx context.Context) error {
			_, err := c.List(ctx, store.ListQuery{Business: business})
			return err
		},
		"transitions": func(ctx context.Context) error { _, err := c.Transitions(ctx, key, 0, 0); return err },
		"attempts": func(ctx context.Context) error {
			_, err := c.Attempts(ctx, store.ByNode(root), store.AttemptQuery{})
			return err
		},
	}
}

// ofEverything are the methods that concern all businesses.
func ofEverything(c *client.Client) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"list": func(ctx context.Context) error { _, err := c.List(ctx, store.ListQuery{}); return err },
		"feed": func(ctx context.Context) error { _, err := c.Feed(ctx, store.Position{}, 0); return err },
		"watch": func(ctx context.Context) error {
			for _, err := range c.Watch(ctx, store.Position{}) {
				return err
			}
			return nil
		},
	}
}

// verdict is the outcome of an answer: "" or the name of a refusal.
func verdict(err error) string {
	var refused *client.Error
	switch {
	case err == nil:
		return ""
	case errors.Is(err, state.ErrNotFound):
		return "not found"
	case errors.As(err, &refused):
		return fmt.Sprint(refused.Status)
	}
	return err.Error()
}

func TestACallerLearnsNothingWithoutPermission(t *testing.T) {
	e := recorded(t, store.NewMemory())
	sees := func(_ context.Context, who httpapi.Identity, business string) bool {
		return who.App == "all" || who.App == "two" && business == "2"
	}
	everybodyReads := httpapi.Options{Authenticator: apps, Authorize: sees, AuthorizeStore: func(_ context.Context, who httpapi.Identity, business string) bool {
		return business != "" || who.App == "all"
	}}
	for app, want := range map[string]struct{ two, three, node, all string }{
		"all":  {},
		"two":  {"", "403", "not found", "403"},
		"none": {"403", "403", "not found", "403"},
	} {
		c := serve(t, e, everybodyReads, as(app))
		for business, root := range map[string]string{"2": "two", "3": "three"} {
			for name, ask := range questions(c, business, root) {
				wanted := want.three
				if business == "2" {
					wanted = want.two
				}
				if wanted != "" && (strings.HasSuffix(name, "by node") || name == "attempts") {
					wanted = want.node
				}
				if got := verdict(ask(t.Context())); got != wanted {
					t.Errorf("%s asks %s of business %s: %q, want %q", app, name, business, got, wanted)
				}
			}
		}
		for name, ask := range ofEverything(c) {
			if got := verdict(ask(t.Context())); got != want.all {
				t.Errorf("%s asks %s of everything: %q, want %q", app, name, got, want.all)
			}
		}
	}
	c := serve(t, e, everybodyReads, as("two"))
	hidden, err := c.Load(t.Context(), store.ByNode("three"))
	absent, absentErr := c.Load(t.Context(), store.ByNode("absent"))
	if err == nil || hidden.Tree != nil || absent.Tree != nil || strings.ReplaceAll(err.Error(), "three", "absent") != absentErr.Error() {
		t.Errorf("a node that may not be seen: %v, a missing one: %v", err, absentErr)
	}
	if snap, err := c.Load(t.Context(), store.ByKey("2", "10")); err != nil || snap.Position != (store.Position{}) {
		t.Errorf("a caller without permission for the feed gets its position %v, %v", snap.Position, err)
	}
}

func TestTheStoreIsReadOnlyWhereTheProgramAllowsIt(t *testing.T) {
	e := recorded(t, store.NewMemory())
	for name, o := range map[string]httpapi.Options{
		"nothing said": {Authenticator: apps},
		"only calls allowed": {Authenticator: apps, Authorize: func(context.Context, httpapi.Identity, string) bool {
			return true
		}},
		"calls refused": {Authenticator: apps, AuthorizeStore: everything, Authorize: func(context.Context, httpapi.Identity, string) bool {
			return false
		}},
	} {
		c := serve(t, e, o, as("all"))
		asked := questions(c, "2", "absent")
		if name != "calls refused" { // that says nothing of everything
			for method, ask := range ofEverything(c) {
				asked[method+" of everything"] = ask
			}
		}
		for method, ask := range asked {
			if got := verdict(ask(t.Context())); got != "403" && (name != "calls refused" || got != "not found") {
				t.Errorf("%s, %s: %q", name, method, got)
			}
		}
	}
	c := serve(t, e, httpapi.Options{Authenticator: apps, AuthorizeStore: everything}, as("stranger"))
	for method, ask := range questions(c, "2", "two") {
		if got := verdict(ask(t.Context())); got != "401" {
			t.Errorf("a stranger asks %s: %q", method, got)
		}
	}
}

func TestErrorsOfTheStoreKeepTheirIdentity(t *testing.T) {
	var failure error
	w := &storetest.Wrapper{Store: store.NewMemory(), BeforeRead: func(context.Context, string) error { return failure }}
	c := serve(t, w, httpapi.Options{AuthorizeStore: everything}, nil)
	asked := questions(c, "2", "two")
	asked["feed"] = ofEverything(c)["feed"]
	for _, want := range []error{
		state.ErrInvalidArgument, state.ErrNotFound, store.ErrTrimmed, store.ErrHistory, store.ErrFailed,
		store.ErrUnavailable, store.ErrCorrupt, store.ErrIncompatible, store.ErrClosed,
	} {
		failure = fmt.Errorf("%w: the detail", want)
		for method, ask := range asked {
			err := ask(t.Context())
			byNode := method == "attempts" || strings.HasSuffix(method, "by node") // whose detail is hidden
			if !errors.Is(err, want) || !byNode && !strings.Contains(err.Error(), "the detail") {
				t.Errorf("%s: %v, want one that matches %q", method, err, want)
			}
		}
	}
	failure = errors.New("a secret of the store")
	for method, ask := range asked {
		if err := ask(t.Context()); verdict(err) != "500" || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", method, err)
		}
	}
}

// parted is a store with an unreachable part.
type parted struct{ store.Store }

func (p *parted) List(ctx context.Context, q store.ListQuery) (store.ListPage, error) {
	page, err := p.Store.List(ctx, q)
	page.Missing = []error{fmt.Errorf("%w: member b", store.ErrUnavailable)}
	return page, err
}

func TestListsSayWhatIsMissing(t *testing.T) {
	s := store.NewMemory()
	recorded(t, s)
	c := serve(t, &parted{s}, httpapi.Options{AuthorizeStore: everything}, nil)
	page, err := c.List(t.Context(), store.ListQuery{})
	if err != nil || len(page.Tasks) == 0 {
		t.Fatalf("%d tasks, %v, want those of the other parts", len(page.Tasks), err)
	}
	if len(page.Missing) != 1 || !errors.Is(page.Missing[0], store.ErrUnavailable) || !strings.Contains(page.Missing[0].Error(), "member b") {
		t.Errorf("missing are %v, want one part, by its name", page.Missing)
	}
}

func TestVersionsThatDifferAreNamed(t *testing.T) {
	e := recorded(t, store.NewMemory())
	h := httpapi.New(e, &httpapi.Options{Authenticator: httpapi.NoAuth{}, AuthorizeStore: everything})
	later := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		q.Set("version", "99")
		r.URL.RawQuery = q.Encode()
		h.ServeHTTP(w, r)
	}))
	c := connect(t, later, later.URL, nil)
	if _, err := c.Load(t.Context(), store.ByNode("two")); !errors.Is(err, store.ErrIncompatible) || !strings.Contains(err.Error(), `"99"`) {
		t.Errorf("a server that speaks an earlier version: %v", err)
	}
	earlier := answering(t, `{"format":"pipestatus-store","version":99,"items":0,"news":1}`)
	if _, err := earlier.Load(t.Context(), store.ByNode("two")); !errors.Is(err, store.ErrIncompatible) || !strings.Contains(err.Error(), "99") {
		t.Errorf("a server that speaks a later version: %v", err)
	}
}

// answering is a client of a server that always answers with the same text.
func answering(t *testing.T, text string) *client.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson; charset=utf-8")
		fmt.Fprint(w, text)
	}))
	return connect(t, server, server.URL, &client.Options{MaxAnswer: 1 << 20})
}

func TestAnAnswerThatMakesNoSenseIsRefused(t *testing.T) {
	const head = `{"format":"pipestatus-store","version":3,"biz":"2","task":"10","revision":1,"items":`
	const root = `{"id":"a","index":0,"kind":"pipeline","declared":{},"state":"CREATED","loop":1,"updated":"2024-01-01T00:00:00Z","began":"create"}`
	ask := func(text string) (store.Snapshot, error) {
		return answering(t, text).Load(t.Context(), store.ByKey("2", "10"))
	}
	if snap, err := ask(head + "1}\n" + root + "\n"); err != nil || snap.Tree.ID(0) != "a" {
		t.Fatalf("a good answer: %v", err)
	}
	child := strings.NewReplacer(`"a"`, `"b"`, `"index":0`, `"index":1`, "pipeline", "service_activity", `{}`, `{"parent":"c"}`, `"create"`, `"declare"`,
		`"loop"`, `"version":"00000000000000000000000000000001","loop"`).Replace(root)
	for name, text := range map[string]string{
		"nothing":              "",
		"another format":       `{"format":"other","version":3}`,
		"no nodes":             head + "0}",
		"nodes missing":        head + "2}\n" + root,
		"a node cut off":       head + "1}\n" + root[:40],
		"a node too many":      head + "1}\n" + root + root,
		"fewer than nothing":   head + "-1}",
		"a sea of nodes":       head + "9000000000000000000}\n" + root,
		"an unknown field":     head + "1}\n" + strings.Replace(root, `"loop"`, `"more":1,"loop"`, 1),
		"an unknown state":     head + "1}\n" + strings.Replace(root, "CREATED", "READY", 1),
		"a state missing":      head + "1}\n" + strings.Replace(root, `"state":"CREATED",`, "", 1),
		"a change for a node":  head + "1}\n" + strings.Replace(root, `"declared":{},`, "", 1),
		"a time out of bounds": head + "1}\n" + strings.Replace(root, "2024-", "0000-", 1),
		"an index beyond":      strings.Replace(head, `"items"`, `"index":1,"items"`, 1) + "1}\n" + root,
		"an invalid position":  strings.Replace(head, `"items"`, `"position":"x","items"`, 1) + "1}\n" + root,
		"a child of nobody":    head + "2}\n" + root + child,
		"too much":             head + "1}\n" + strings.Repeat(" ", 1<<20) + root,
	} {
		if snap, err := ask(text); !errors.Is(err, client.ErrAnswer) || snap.Tree != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := answering(t, head+"1}\n{}\n")
	for method, ask := range questions(c, "2", "two") {
		if err := ask(t.Context()); !strings.HasPrefix(method, "locate") && method != "attempts" && !errors.Is(err, client.ErrAnswer) {
			t.Errorf("%s of an empty object: %v", method, err)
		}
	}
}

func TestConnectionErrorsDoNotContainCredentials(t *testing.T) {
	moved := httptest.NewServer(http.RedirectHandler("http://elsewhere.example/", http.StatusFound))
	c := connect(t, moved, moved.URL, &client.Options{Credentials: httpapi.Credentials{AccessToken: "hunter2"}})
	if _, err := c.Load(t.Context(), store.ByNode("two")); !errors.Is(err, client.ErrAnswer) || strings.Contains(err.Error(), "hunter") {
		t.Errorf("a redirect: %v", err)
	}
	moved.Close()
	if _, err := c.Load(t.Context(), store.ByNode("two")); err == nil || strings.Contains(err.Error(), "two") {
		t.Errorf("nobody there: %v", err)
	}
	for _, address := range []string{"", "127.0.0.1:80", "ftp://h", "http://", "unix://", "unix://s", "http://u:hunter2@h", "http://h/?x=hunter2", "http://%hunter2"} {
		if _, err := client.New(address, nil); err == nil || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestAWatchYieldsCommitsAtOnceAndEndsWithTheServer(t *testing.T) {
	e := recorded(t, store.NewMemory())
	h := httpapi.New(e, &httpapi.Options{Authenticator: httpapi.NoAuth{}, AuthorizeStore: everything, Heartbeat: time.Hour, Poll: time.Hour})
	server := httptest.NewServer(h)
	c := connect(t, server, server.URL, nil)
	seen, position := uint64(0), store.Position{}
	for event, err := range c.Watch(t.Context(), position) {
		if err != nil {
			if !errors.Is(err, store.ErrClosed) {
				t.Error(err)
			}
			break
		}
		if seen++; event.Sequence != seen || event.Position.Sequence != seen {
			t.Fatalf("transition %d at %s, want %d", event.Sequence, event.Position, seen)
		}
		position = event.Position
		switch {
		case seen < 4: // the earlier transitions
		case seen < 50:
			if _, err := e.Create(t.Context(), "2", fmt.Sprint("more ", seen)); err != nil {
				t.Fatal(err)
			}
		default:
			h.Shutdown()
		}
	}
	if seen != 50 || position != e.Position() {
		t.Errorf("%d transitions to %s, the engine is at %s", seen, position, e.Position())
	}
	for _, err := range c.Watch(t.Context(), position) {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("a watch of a server that shuts down: %v", err)
		}
	}
}

func TestAWatchThatWaitsOutlivesHeartbeatsAndEndsWithItsContext(t *testing.T) {
	e := recorded(t, store.NewMemory())
	ctx, cancel := context.WithCancel(t.Context())
	beats := 0
	counted := &client.Options{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if beats++; beats == 5 {
			cancel()
		}
		return http.DefaultTransport.RoundTrip(r)
	})}
	c := serve(t, e, httpapi.Options{AuthorizeStore: everything, Heartbeat: time.Millisecond}, counted)
	for event, err := range c.Watch(ctx, e.Position()) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%+v, %v", event, err)
		}
	}
	if beats != 5 {
		t.Errorf("%d requests", beats)
	}
	http.DefaultClient.CloseIdleConnections()
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestPositionsOfAnotherHistoryAreRefused(t *testing.T) {
	c := serve(t, recorded(t, store.NewMemory()), httpapi.Options{AuthorizeStore: everything}, nil)
	for _, err := range c.Watch(t.Context(), store.Position{History: store.NewHistory(), Sequence: 1}) {
		if !errors.Is(err, store.ErrHistory) {
			t.Error(err)
		}
	}
}
