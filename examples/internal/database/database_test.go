package database_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/examples/internal/database"
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
	} {
		if got := database.Shown(name); got != want {
			t.Errorf("%q is shown as %q, want %q", name, got, want)
		}
	}
}

func TestAProgramSaysWhichDatabasesItCannotOpen(t *testing.T) {
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
