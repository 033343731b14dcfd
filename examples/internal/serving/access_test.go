package serving_test

import (
	"errors"
	"flag"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/examples/internal/serving"
	"github.com/pipestatus/pipestatus/query/httpapi"
)

// access parses flags.
func access(t *testing.T, args ...string) *serving.Access {
	t.Helper()
	a := new(serving.Access)
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	a.Bind(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return a
}

func TestEmptyOrContradictoryAccessFlagsAreRefused(t *testing.T) {
	hash := httpapi.HashSecret("hunter2")
	for name, tt := range map[string]struct {
		args   []string
		reason string
	}{
		"nothing":                      {nil, "nobody may send requests"},
		"a host name alone":            {[]string{"-host", "box"}, "nobody may send requests"},
		"everybody and an application": {[]string{"-no-auth", "-app", "web:hunter2"}, "have no effect"},
		"everybody and a token":        {[]string{"-no-auth", "-token", "hunter2=ann"}, "have no effect"},
		"an application without users": {[]string{"-app", "web:hunter2"}, "-trusted-app"},
		"a token of no application":    {[]string{"-token", "hunter2=ann"}, "-app CODE:SECRET"},
		"no code":                      {[]string{"-app", ":hunter2"}, "-app: want CODE:SECRET"},
		"no secret":                    {[]string{"-app", "hunter2:"}, "-app: want CODE:SECRET"},
		"no colon":                     {[]string{"-app", "hunter2"}, "-app: want CODE:SECRET"},
		"an application twice":         {[]string{"-app", "web:hunter2", "-app", "web:hunter3"}, `"web" comes twice`},
		"half a hash":                  {[]string{"-app", "web:" + hash[:40], "-trusted-app", "web"}, "64 hexadecimal digits"},
		"a trusted stranger":           {[]string{"-app", "web:hunter2", "-trusted-app", "robot"}, `"robot" has no secret`},
		"a trusted nobody":             {[]string{"-app", "web:hunter2", "-trusted-app", ""}, "-trusted-app: want CODE"},
		"no user":                      {[]string{"-app", "web:hunter2", "-token", "hunter2="}, "-token: want TOKEN=USER"},
		"no token":                     {[]string{"-app", "web:hunter2", "-token", "=hunter2"}, "-token: want TOKEN=USER"},
		"a token twice":                {[]string{"-app", "web:hunter2", "-token", "hunter2=ann", "-token", "hunter2=bob"}, "a token comes twice"},
		"an access token of nobody":    {[]string{"-access-token", "hunter2="}, "-access-token: want TOKEN=USER"},
		"everybody and access tokens":  {[]string{"-no-auth", "-access-token", "hunter2=ann"}, "have no effect"},
		"no host name":                 {[]string{"-no-auth", "-host", ""}, "-host: want a NAME"},
		"a host name with port":        {[]string{"-no-auth", "-host", "box:8080"}, "-host: want a NAME"},
		"an address for a host name":   {[]string{"-no-auth", "-host", "http://box"}, "-host: want a NAME"},
		"the first of two mistakes":    {[]string{"-app", "hunter2", "-token", "hunter2"}, "-app: want CODE:SECRET"},
	} {
		a, err := access(t, tt.args...).Authenticator()
		if a != nil || err == nil || !strings.Contains(err.Error(), tt.reason) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: %v, %v; want %q and no secret", name, a, err, tt.reason)
		}
	}
}

func TestFlagsPermitTheCallersTheyName(t *testing.T) {
	args := []string{
		"-app", "web:sec:ret", "-token", "dG9rZW4==ann",
		"-app", "robot:" + httpapi.HashSecret("other"), "-trusted-app", "robot", "-access-token", "YWNj==eve",
	}
	a, err := access(t, args...).Authenticator()
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		given httpapi.Credentials
		user  string // "" for a refusal
	}{
		"by a token":               {httpapi.Credentials{AppCode: "web", AppSecret: "sec:ret", Token: "dG9rZW4="}, "ann"},
		"by a token of any app":    {httpapi.Credentials{AppCode: "robot", AppSecret: "other", Token: "dG9rZW4="}, "ann"},
		"by a trusted app's word":  {httpapi.Credentials{AppCode: "robot", AppSecret: "other", Username: "bob"}, "bob"},
		"by another app's word":    {httpapi.Credentials{AppCode: "web", AppSecret: "sec:ret", Username: "bob"}, ""},
		"by half a secret":         {httpapi.Credentials{AppCode: "web", AppSecret: "sec", Token: "dG9rZW4="}, ""},
		"by half a token":          {httpapi.Credentials{AppCode: "web", AppSecret: "sec:ret", Token: "dG9rZW4"}, ""},
		"by the hash":              {httpapi.Credentials{AppCode: "robot", AppSecret: httpapi.HashSecret("other"), Username: "bob"}, ""},
		"by an access token":       {httpapi.Credentials{AccessToken: "YWNj="}, "eve"},
		"by it and a right secret": {httpapi.Credentials{AccessToken: "YWNj=", AppCode: "web", AppSecret: "sec:ret"}, "eve"},
		"by it and a wrong secret": {httpapi.Credentials{AccessToken: "YWNj=", AppCode: "web", AppSecret: "sec"}, ""},
		"by half an access token":  {httpapi.Credentials{AccessToken: "YWNj", AppCode: "web", AppSecret: "sec:ret", Token: "dG9rZW4="}, ""},
		"by nothing":               {httpapi.Credentials{}, ""},
	} {
		who, err := a.Authenticate(httptest.NewRequestWithContext(t.Context(), "GET", "/", nil), tt.given)
		var refused *httpapi.AuthError
		if who.User != tt.user || errors.As(err, &refused) != (tt.user == "") {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
	}
	if access(t, args...).Open() {
		t.Error("everybody is let in")
	}
}

func TestNoAuthPermitsEveryCallerUnderKnownHostNames(t *testing.T) {
	a := access(t, "-no-auth", "-host", "box.example", "-host", "box")
	if auth, err := a.Authenticator(); err != nil || auth != (httpapi.NoAuth{}) || !a.Open() || !a.Given() {
		t.Errorf("%v, %v", auth, err)
	}
	for _, tt := range []struct {
		args []string
		addr string
		want []string
	}{
		{[]string{"-no-auth"}, ":8080", nil},
		{[]string{"-no-auth"}, "build-box:8080", []string{"build-box"}},
		{[]string{"-no-auth", "-host", "box"}, "[::1]:8080", []string{"::1", "box"}},
		{[]string{"-no-auth", "-host", "box"}, "no address", []string{"box"}},
		{[]string{"-app", "web:s", "-trusted-app", "web"}, "build-box:8080", nil},
		{[]string{"-app", "web:s", "-trusted-app", "web", "-host", "box"}, "build-box:8080", []string{"build-box", "box"}},
	} {
		if got := access(t, tt.args...).Hosts(tt.addr); !slices.Equal(got, tt.want) {
			t.Errorf("%q at %s: hosts %q, want %q", tt.args, tt.addr, got, tt.want)
		}
	}
	if access(t).Given() {
		t.Error("flags are given that were not")
	}
	if !access(t, "-host", "box").Given() {
		t.Error("a host name is not taken for a flag")
	}
}
