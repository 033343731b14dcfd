// Package database interprets the examples' flag -db: the name of a file, or the
// URL of a store on a database server. Programs with a driver for a server register
// it here.
package database

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/sharded"
)

// Options configure the opening of a store on a server.
type Options struct {
	// Create makes the store if the database does not have one.
	Create bool
	// Run holds leases of tasks, as a runner does; tools do not.
	Run bool
	// Owner is the owner of the leases, and Lease their duration without
	// renewal. Zero values mean the store's defaults.
	Owner string
	Lease time.Duration
}

// Opener opens the store that a URL names. Without Create, the error matches
// [io/fs.ErrNotExist] if there is no store. Errors do not contain passwords.
type Opener func(ctx context.Context, url string, o Options) (store.Store, error)

// Servers are the database servers on which a program can open stores, or nil.
type Servers struct {
	// Openers are by the scheme of their URLs, in lower case.
	Openers map[string]Opener
	// Usage is lines on how to write URLs, for a program's usage.
	Usage string
	// Lease is the default of [Options].
	Lease time.Duration
}

// programs lists programs that open other kinds of URLs.
var programs = map[string]string{
	"postgres":   "PostgreSQL is opened by the programs of examples/postgres",
	"postgresql": "PostgreSQL is opened by the programs of examples/postgres",
}

// Open opens the store that a URL names. The error is an [*UnknownError] if s
// does not have its kind of server. Several URLs with spaces between them are the
// members of one store, see [sharded.Open], named 1, 2 and so on.
func (s *Servers) Open(ctx context.Context, name string, o Options) (store.Store, error) {
	if urls := several(name); urls != nil {
		var members []sharded.Member
		for i, url := range urls {
			members = append(members, sharded.Member{
				Name: strconv.Itoa(i + 1),
				Open: func(ctx context.Context) (store.Store, error) { return s.Open(ctx, url, o) },
			})
		}
		return sharded.Open(ctx, members, nil)
	}
	scheme, _ := schemeOf(name)
	if s != nil && s.Openers[scheme] != nil {
		return s.Openers[scheme](ctx, scheme+name[len(scheme):], o)
	}
	if where := programs[scheme]; where != "" {
		return nil, &UnknownError{fmt.Sprintf("%s: this program opens files; %s", Shown(name), where)}
	}
	return nil, &UnknownError{fmt.Sprintf("%s: no database is opened by %s://", Shown(name), scheme)}
}

// several are the URLs in a name, nil if there are not several.
func several(name string) []string {
	urls := strings.Fields(name)
	if len(urls) < 2 || slices.ContainsFunc(urls, func(url string) bool { return !OnServer(url) }) {
		return nil
	}
	return urls
}

// UnknownError says that a program cannot open a kind of database.
type UnknownError struct{ problem string }

func (e *UnknownError) Error() string { return e.problem }

// OnServer reports whether a name is a URL, and not the name of a file.
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

// Shown is a name in a form that is safe to print: a URL without its password and
// parameters, which may contain a password too. The URL may have several hosts,
// which [net/url] refuses, and it may be malformed.
func Shown(name string) string {
	if urls := several(name); urls != nil {
		for i, url := range urls {
			urls[i] = Shown(url)
		}
		return strings.Join(urls, " ")
	}
	scheme, ok := schemeOf(name)
	if !ok {
		return name
	}
	rest := name[len(scheme)+len("://"):]
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	if strings.Contains(rest[end:], "@") { // the end of the password is unknown
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
