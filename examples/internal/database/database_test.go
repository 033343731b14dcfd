package database_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/examples/internal/database"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/sharded"
)

func TestFileNamesAndServerURLsAreDistinguished(t *testing.T) {
	for name, want := range map[string]bool{
		"postgres://localhost/db": true, "PostgreSQL://h/d": true, "x+y-1.z://": true,
		"": false, "pipestatus.db": false, ":memory:": false, "/tmp/a:b//c": false, "://x": false, "a b://c": false, "./x://y": false,
	} {
		if got := database.OnServer(name); got != want {
			t.Errorf("%q on a server: %t", name, got)
		}
	}
}

func TestNoPasswordIsShown(t *testing.T) {
	for name, want := range map[string]string{
		"a.db":                                     "a.db",
		"postgres://h/d":                           "postgres://h/d",
		"postgres://ann:s3cret@h:5432/d":           "postgres://ann@h:5432/d",
		"postgres://ann@h/d?password=s3cret":       "postgres://ann@h/d",
		"postgres://:s3cret@h/d":                   "postgres://h/d",
		"postgresql://ann:s3cret@h:1,i:2/d#s3cret": "postgresql://ann@h:1,i:2/d",
		"postgres://ann:s3c%ret@h/d":               "postgres://ann@h/d",
		"postgres://ann:s3c@ret@h/d":               "postgres://ann@h/d",
		"postgres://ann:s3c?ret@h/d":               "postgres://…",
		"postgres://ann:s3c#ret@h/d":               "postgres://…",
		"postgres://ann@h?sslpassword=s3cret":      "postgres://ann@h",
		"postgres://ann:s3c/ret@h/d":               "postgres://…",
		"postgres:///d?host=/run/s&user=ann":       "postgres:///d",
		"postgres://ann:s3cret@h/d postgres://g/d": "postgres://ann@h/d postgres://g/d",
	} {
		if got := database.Shown(name); got != want {
			t.Errorf("%q is shown as %q, want %q", name, got, want)
		}
	}
}

func TestAProgramNamesTheDatabasesThatItCannotOpen(t *testing.T) {
	for name, want := range map[string]string{
		"postgres://ann:s3cret@h/d": "examples/postgres",
		"PostgreSQL://h/d":          "examples/postgres",
		"mysql://ann:s3cret@h/d":    "no database is opened by mysql://",
	} {
		_, err := (*database.Servers)(nil).Open(t.Context(), name, database.Options{})
		var unknown *database.UnknownError
		if !errors.As(err, &unknown) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSeveralServersAreOneStoreInTheirOrder(t *testing.T) {
	opened := make(map[string]*store.Memory)
	var mu sync.Mutex // protects opened
	servers := &database.Servers{Openers: map[string]database.Opener{
		"memory": func(_ context.Context, url string, _ database.Options) (store.Store, error) {
			mu.Lock()
			defer mu.Unlock()
			opened[url] = store.NewMemory()
			return opened[url], nil
		},
	}}
	s, err := servers.Open(t.Context(), "memory://a  memory://b", database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.Open(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if _, err := e.Create(t.Context(), fmt.Sprint(i), "10"); err != nil {
			t.Fatal(err)
		}
	}
	first, err := opened["memory://a"].List(t.Context(), store.ListQuery{Business: sharded.Directory})
	if err != nil || len(first.Tasks) != 20 {
		t.Errorf("the first member knows where %d businesses are, %v, want 20", len(first.Tasks), err)
	}
	second, err := opened["memory://b"].List(t.Context(), store.ListQuery{})
	if err != nil || len(second.Tasks) < 2 {
		t.Errorf("the second member has %d tasks, %v", len(second.Tasks), err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
