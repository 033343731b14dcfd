package statusctl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/query/httpapi/client"
	"github.com/pipestatus/pipestatus/store"
)

// authVariable holds the credentials if -auth does not.
const authVariable = "PIPESTATUS_AUTH"

// running reports whether -db is the address of a program that serves its store.
func (t *tool) running() bool {
	scheme, _, found := strings.Cut(t.db, "://")
	switch strings.ToLower(scheme) {
	case "http", "https", "unix":
		return found
	}
	return false
}

// errOnlyRead is the error of commands that would change a running program's store.
func (t *tool) errOnlyRead() error {
	return &usageError{problem: "works on files and servers; the running program at " + t.where() + " can only be read"}
}

// look calls f with a reader of -db: a database, which it opens with o and closes
// again, or the store of a running program.
func (t *tool) look(ctx context.Context, o opener, f func(store.Reader) error) error {
	if !t.running() {
		return t.with(ctx, o, func(s store.Store) error { return f(s) })
	}
	who, err := t.credentials()
	if err != nil {
		return err
	}
	c, err := client.New(t.db, &client.Options{Credentials: who})
	if err != nil {
		return &usageError{problem: "-db: " + err.Error()}
	}
	return errors.Join(f(c), c.Close())
}

// read is look for questions.
func (t *tool) read(ctx context.Context, f func(*reader) error) error {
	return t.look(ctx, forReading, func(r store.Reader) error { return f(newReader(r, t.zone)) })
}

// credentials are those from -auth or the environment.
func (t *tool) credentials() (who httpapi.Credentials, err error) {
	text, from := t.auth, "-auth"
	if text == "" {
		text, from = os.Getenv(authVariable), authVariable
	}
	if text == "" {
		return who, nil
	}
	if name, inFile := strings.CutPrefix(text, "@"); inFile {
		content, err := os.ReadFile(name)
		if err != nil {
			return who, fmt.Errorf("%s: %w", from, err)
		}
		text = string(content)
	}
	if who, err = httpapi.ParseCredentials(text); err != nil {
		err = &usageError{problem: from + ": " + strings.TrimPrefix(err.Error(), "httpapi: ")}
	}
	return who, err
}
