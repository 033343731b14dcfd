package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/store"
)

// Options configure a client. A nil *Options and zero fields stand for the
// defaults.
type Options struct {
	// Credentials identify the caller. They are sent in a header of every
	// request. Default: none.
	Credentials httpapi.Credentials
	// Transport sends the requests. Default: a new one, which keeps connections
	// open until [Client.Close].
	Transport http.RoundTripper
	// MaxAnswer bounds, in bytes, what is read of one answer. Default: 1 GiB.
	MaxAnswer int64
}

// Client is a [store.Reader] and a [store.Watcher] that asks a server. Its
// methods may be called from many goroutines. Their errors are or wrap an [*Error] if
// the server refused, [ErrAnswer] if the answer is invalid, the context's error, or
// the error of the connection. Errors do not contain credentials.
type Client struct {
	http      http.Client
	base      string // of all paths, without a slash at the end
	header    string // the credentials, "" without them
	maxAnswer int64
}

var (
	_ store.Reader  = (*Client)(nil)
	_ store.Watcher = (*Client)(nil)
)

// New returns a client of the handler at an address: http://HOST:PORT or
// https://HOST:PORT, with the path where the handler is mounted, or unix:///PATH
// for a socket. It does not connect. The error describes the problem of the address
// without quoting parts that may be secret.
func New(address string, o *Options) (*Client, error) {
	var opts Options
	if o != nil {
		opts = *o
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, errors.New("the address is malformed, want http://HOST:PORT or unix:///PATH")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the address has more than host, port and path; credentials do not belong there")
	}
	c := &Client{maxAnswer: opts.MaxAnswer, header: headerOf(opts.Credentials)}
	if c.maxAnswer <= 0 {
		c.maxAnswer = 1 << 30
	}
	transport := newTransport()
	switch u.Scheme {
	case "http", "https":
		if u.Host == "" {
			return nil, fmt.Errorf("%s:// without a host", u.Scheme)
		}
		c.base = u.Scheme + "://" + u.Host + strings.TrimRight(u.EscapedPath(), "/")
		transport.DisableCompression = onThisMachine(u.Hostname())
	case "unix":
		if u.Host != "" || u.Path == "" {
			return nil, errors.New("a socket is written unix:///PATH")
		}
		c.base = "http://localhost"
		transport.DisableCompression = true
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", u.Path)
		}
	default:
		return nil, errors.New("the address must begin with http://, https:// or unix://")
	}
	c.http = http.Client{
		Transport: transport,
		// The credentials are not meant for another server.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if opts.Transport != nil {
		c.http.Transport = opts.Transport
	}
	return c, nil
}

// idleConnections is how many connections are kept for later requests.
const idleConnections = 64

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second, ForceAttemptHTTP2: true,
		MaxIdleConns: idleConnections, MaxIdleConnsPerHost: idleConnections, IdleConnTimeout: time.Minute,
	}
}

// onThisMachine reports whether compressing takes longer than sending.
func onThisMachine(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// headerOf is the header with the credentials.
func headerOf(g httpapi.Credentials) string {
	if g == (httpapi.Credentials{}) {
		return ""
	}
	text, _ := json.Marshal(g) // texts marshal
	return string(text)
}

// Close closes the connections that are not in use. It returns nil. The client
// can be used afterwards.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}
