package serving_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/pipestatus/pipestatus/examples/internal/serving"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/query/httpapi/client"
	"github.com/pipestatus/pipestatus/store"
)

func TestASocketIsPrivateAndRemovedAtTheEnd(t *testing.T) {
	e, path := recorded(t), filepath.Join(t.TempDir(), "s")
	// A socket that a killed program left behind.
	left, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	handler := func() *httpapi.Handler {
		return httpapi.New(e, &httpapi.Options{Authenticator: httpapi.NoAuth{}, AuthorizeStore: serving.WholeStore})
	}
	s, err := serving.Listen(t.Context(), "unix://"+path, handler())
	if err != nil {
		t.Fatal(err)
	}
	if s.URL() != "unix://"+path || !s.Loopback() {
		t.Errorf("it is at %s, loopback %t", s.URL(), s.Loopback())
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if other, err := serving.Listen(t.Context(), "unix://"+path, handler()); err == nil {
		t.Error("two programs listen", other.Close())
	}
	c, err := client.New(s.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if snap, err := c.Load(t.Context(), store.ByKey("2", "10")); err != nil || snap.Tree.ID(0) != "root" {
		t.Error(err)
	}
	c.Close()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

func TestOnlySocketsAreRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := serving.Listen(t.Context(), "unix://"+path, httpapi.New(store.NewMemory(), nil)); err == nil {
		t.Error("it listens on a file", s.Close())
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "mine" {
		t.Errorf("%q, %v", text, err)
	}
}
