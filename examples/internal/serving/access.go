// Package serving is shared by the example programs that serve get_task_status over
// HTTP: flags for access control, and a server that can be stopped even while
// streams of events are open.
package serving

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"strings"

	"github.com/pipestatus/pipestatus/query/httpapi"
)

// Access is a set of permitted callers. The zero Access permits nobody.
type Access struct {
	secrets map[string]string
	trusted []string
	tokens  map[string]string
	access  map[string]string // access tokens
	hosts   []string
	all     bool
	err     error // the first invalid flag
}

// Bind declares the flags that fill a. [Access.Authenticator] reports errors in
// them, since package flag would print secrets in its messages.
func (a *Access) Bind(flags *flag.FlagSet) {
	a.secrets, a.tokens, a.access = make(map[string]string), make(map[string]string), make(map[string]string)
	add := func(name, usage string, set func(value string) error) {
		flags.Func(name, usage, func(value string) error {
			if err := set(value); err != nil && a.err == nil {
				a.err = fmt.Errorf("-%s: %w", name, err)
			}
			return nil
		})
	}
	add("app", "let in an application by `CODE:SECRET` or CODE:sha256:HASH (repeatable)", a.addApp)
	add("trusted-app", "let the application `CODE` name its user by bk_username alone (repeatable)", a.addTrusted)
	add("token", "let in a user by bk_token, as `TOKEN=USER` (repeatable)", func(value string) error { return addToken(a.tokens, value) })
	add("access-token", "let in a user by access_token alone, as `TOKEN=USER` (repeatable)", func(value string) error { return addToken(a.access, value) })
	add("host", "with -no-auth, answer also requests to the host `NAME` (repeatable)", a.addHost)
	flags.BoolVar(&a.all, "no-auth", false, "let in everybody who can reach the address")
}

func (a *Access) addApp(value string) error {
	code, secret, _ := strings.Cut(value, ":")
	if code == "" || secret == "" {
		return errors.New("want CODE:SECRET")
	}
	if _, twice := a.secrets[code]; twice {
		return fmt.Errorf("application %q comes twice", code)
	}
	a.secrets[code] = secret
	return nil
}

func (a *Access) addTrusted(code string) error {
	if code == "" {
		return errors.New("want CODE")
	}
	a.trusted = append(a.trusted, code)
	return nil
}

func addToken(users map[string]string, value string) error {
	// Tokens may end in "=", as base64 does.
	at := strings.LastIndexByte(value, '=')
	if at < 1 || at == len(value)-1 {
		return errors.New("want TOKEN=USER")
	}
	if _, twice := users[value[:at]]; twice {
		return errors.New("a token comes twice")
	}
	users[value[:at]] = value[at+1:]
	return nil
}

func (a *Access) addHost(name string) error {
	if _, _, err := net.SplitHostPort(name); err == nil || name == "" || strings.ContainsAny(name, "/ ") {
		return errors.New("want a NAME without port")
	}
	a.hosts = append(a.hosts, name)
	return nil
}

// Given reports whether any of the flags was.
func (a *Access) Given() bool {
	return a.all || a.named() || len(a.hosts) > 0 || a.err != nil
}

func (a *Access) named() bool {
	return len(a.secrets)+len(a.trusted)+len(a.tokens)+len(a.access) > 0
}

// Open reports whether every caller is permitted.
func (a *Access) Open() bool { return a.all }

// WholeStore is the [httpapi.Options.AuthorizeStore] of programs where every
// permitted caller may see all tasks.
func WholeStore(context.Context, httpapi.Identity, string) bool { return true }

// Hosts are the [httpapi.Options.Hosts] of a server on addr. If names are checked,
// the name in addr is allowed.
func (a *Access) Hosts(addr string) []string {
	if !a.all && len(a.hosts) == 0 {
		return nil
	}
	if host, _, err := net.SplitHostPort(addr); err == nil && host != "" {
		return append([]string{host}, a.hosts...)
	}
	return a.hosts
}

// Authenticator returns the authenticator for the flags. The error names missing or
// invalid flags: by default nobody is permitted.
func (a *Access) Authenticator() (httpapi.Authenticator, error) {
	users := httpapi.Tokens(a.access)
	apps := &httpapi.Applications{
		Secrets: a.secrets, Trusted: a.trusted, VerifyToken: httpapi.Tokens(a.tokens),
		VerifyAccessToken: func(ctx context.Context, token string) (httpapi.Identity, error) {
			user, err := users(ctx, token)
			return httpapi.Identity{User: user}, err
		},
	}
	switch {
	case a.err != nil:
		return nil, a.err
	case !a.all && !a.named():
		return nil, errors.New("nobody may send requests: give -app CODE:SECRET with -token TOKEN=USER or -trusted-app CODE, or -no-auth to let everybody in")
	case a.all && a.named():
		return nil, errors.New("-no-auth lets everybody in: -app, -trusted-app, -token and -access-token have no effect")
	case a.all:
		return httpapi.NoAuth{}, nil
	case len(a.secrets)+len(a.trusted)+len(a.tokens) == 0: // access tokens suffice
	case len(a.secrets) == 0:
		return nil, errors.New("-token and -trusted-app need an application: give -app CODE:SECRET")
	case len(a.trusted)+len(a.tokens)+len(a.access) == 0:
		return nil, errors.New("an application asks for a user: give -token TOKEN=USER, or -trusted-app CODE to take its word for it")
	}
	if err := apps.Validate(); err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "httpapi: "))
	}
	return apps, nil
}
