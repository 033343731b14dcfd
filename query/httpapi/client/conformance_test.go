package client_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/query/httpapi/client"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// remote is a store that is written directly and read through a server.
type remote struct {
	store.Store
	*client.Client
}

func (r *remote) Close() error { return r.Store.Close() }

func (r *remote) Load(ctx context.Context, ref store.Ref) (store.Snapshot, error) {
	return r.Client.Load(ctx, ref)
}

func (r *remote) Locate(ctx context.Context, ref store.Ref) (store.Location, error) {
	return r.Client.Locate(ctx, ref)
}

func (r *remote) List(ctx context.Context, q store.ListQuery) (store.ListPage, error) {
	return r.Client.List(ctx, q)
}

func (r *remote) Transitions(ctx context.Context, key state.Key, after uint64, limit int) ([]*state.Transition, error) {
	return r.Client.Transitions(ctx, key, after, limit)
}

func (r *remote) Attempts(ctx context.Context, ref store.Ref, q store.AttemptQuery) ([]store.Attempt, error) {
	return r.Client.Attempts(ctx, ref, q)
}

func (r *remote) Feed(ctx context.Context, after store.Position, limit int) (store.FeedPage, error) {
	return r.Client.Feed(ctx, after, limit)
}

// everything permits all callers to read the store.
func everything(context.Context, httpapi.Identity, string) bool { return true }

// serve serves a store and returns a client of it, which ends with the test.
func serve(t testing.TB, r store.Reader, o httpapi.Options, as *client.Options) *client.Client {
	t.Helper()
	if o.Authenticator == nil {
		o.Authenticator = httpapi.NoAuth{}
	}
	h := httpapi.New(r, &o)
	server := httptest.NewServer(h)
	server.Config.RegisterOnShutdown(h.Shutdown)
	return connect(t, server, server.URL, as)
}

func connect(t testing.TB, server *httptest.Server, address string, as *client.Options) *client.Client {
	t.Helper()
	c, err := client.New(address, as)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	return c
}

func TestAClientKeepsTheContractOfAReader(t *testing.T) {
	storetest.Run(t, storetest.Factory{New: func(t testing.TB) store.Store {
		s := store.NewMemory()
		return &remote{s, serve(t, s, httpapi.Options{AuthorizeStore: everything, MaxRequests: 1 << 16}, nil)}
	}})
}

// overSocket serves a store on a socket.
func overSocket(t *testing.T, r store.Reader) *client.Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	h := httpapi.New(r, &httpapi.Options{Authenticator: httpapi.NoAuth{}, AuthorizeStore: everything})
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
	server.Start()
	return connect(t, server, "unix://"+path, nil)
}
