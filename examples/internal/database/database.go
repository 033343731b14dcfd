// Package database tells what the examples' flag -db names: a file, or a store
// on a database server, by its URL. How servers are reached is the matter of
// the programs that have their drivers.
package database

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/store"
)

// Options say what a store on a server is opened for.
type Options struct {
	// Create makes the store if the database has none.
	Create bool
	// Run holds leases of tasks, as a runner does; tools do not.
	Run bool
	// Owner and Lease are those of the leases: whose they are, and how long
	// they last when they are not renewed. Their zero values are the store's
	// defaults.
	Owner string
	Lease time.Duration
}

// Opener opens the store that a URL names. Without Create an error that matches
// [io/fs.ErrNotExist] says that there is none. No error repeats a password.
type Opener func(ctx context.Context, url string, o Options) (store.Store, error)

// Servers are the database servers that a program can open stores on; nil for
// none.
type Servers struct {
	// Openers are by the scheme of their URLs, in lower case.
	Openers map[string]Opener
	// Usage is lines on how to write URLs, for a program's usage.
	Usage string
}

// programs are those that open other URLs than this one does.
var programs = map[string]string{
	"postgres":   "PostgreSQL is opened by the programs of examples/postgres",
	"postgresql": "PostgreSQL is opened by the programs of examples/postgres",
}

// Open opens the store that a URL names. The error is an [*UnknownError] if s
// does not have its kind of server.
func (s *Servers) Open(ctx context.Context, name string, o Options) (store.Store, error) {
	scheme, _ := schemeOf(name)
	if s != nil && s.Openers[scheme] != nil {
		return s.Openers[scheme](ctx, scheme+name[len(scheme):], o)
	}
	if where := programs[scheme]; where != "" {
		return nil, &UnknownError{fmt.Sprintf("%s: this program opens files; %s", Shown(name), where)}
	}
	return nil, &UnknownError{fmt.Sprintf("%s: no database is opened by %s://", Shown(name), scheme)}
}

// UnknownError says that a program cannot open a kind of database.
type UnknownError struct{ problem string }

func (e *UnknownError) Error() string { return e.problem }

// OnServer reports whether a name is a URL, and not that of a file.
func OnServer(name string) bool {
	_, ok := schemeOf(name)
	return ok
}

func schemeOf(name string) (string, bool) {
	scheme, _, found := strings.Cut(name, "://")
	for _, r := range scheme {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("+.-", r) {
			return "", false
		}
	}
	return strings.ToLower(scheme), found && scheme != ""
}

// Shown is a name as it may be printed: a URL without its password, and without
// parameters, which may hold one too. It may be of several hosts, which
// [net/url] does not take, and it may be malformed.
func Shown(name string) string {
	scheme, ok := schemeOf(name)
	if !ok {
		return name
	}
	rest := name[len(scheme)+len("://"):]
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	if strings.Contains(rest[end:], "@") { // who knows where a password ends
		return scheme + "://…"
	}
	authority, path := rest[:end], rest[end:]
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		user, _, _ := strings.Cut(authority[:at], ":")
		authority = strings.TrimPrefix(user+authority[at:], "@")
	}
	if end := strings.IndexAny(path, "?#"); end >= 0 {
		path = path[:end]
	}
	return scheme + "://" + authority + path
}
