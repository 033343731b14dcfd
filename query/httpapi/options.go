package httpapi

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/query"
)

// DefaultPrefix is the path under which the documented calls are by default.
const DefaultPrefix = "/api/c/compapi/v2/sops"

// Options configure a handler. A nil *Options and zero fields stand for the
// defaults.
type Options struct {
	// Authenticator returns the caller of a request. Default: none, and every
	// request is refused with 401. See [Applications] and [NoAuth].
	Authenticator Authenticator
	// Authorize reports whether a caller may see the tasks of a business. It is
	// called before anything is looked up, and again at each heartbeat of a stream
	// of events. A list of the tasks of all businesses is read first, and then
	// leaves out tasks of other businesses. It must be quick, must take the same
	// time for all businesses, and may be called from many goroutines. Default:
	// every authenticated caller may see all tasks.
	Authorize func(ctx context.Context, who Identity, business string) bool
	// AuthorizeStore reports whether a caller may read the store itself: the tasks
	// of a business, after Authorize, or with business "" the list of all tasks
	// and the feed of all changes. The answers contain sequences, which count the
	// transitions of all businesses. It is called like Authorize. Default: nobody
	// may, and [client.Client] is refused.
	//
	// [client.Client]: https://pkg.go.dev/github.com/pipestatus/pipestatus/query/httpapi/client#Client
	AuthorizeStore func(ctx context.Context, who Identity, business string) bool
	// Operator, if set, is the runner for operate_task and operate_node, which do
	// not exist otherwise.
	Operator Operator
	// AuthorizeOperation reports whether a caller may carry out an operation,
	// after Authorize. It is called before an operation looks anything up, except
	// that operate_node with IDs in its path may first look for the task. It is
	// also called, with the action [Pause], for each task of api/task,
	// get_task_list and get_task_detail. Default: nobody may operate anything.
	AuthorizeOperation func(ctx context.Context, who Identity, op Operation) bool
	// ForbiddenCode, if not 0, is the code of an answer to a caller without
	// permission, which then has HTTP status 200 like other refusals. Default:
	// HTTP status 403.
	ForbiddenCode int
	// Origins are the origins, such as https://portal.example, whose web pages
	// may read answers and send requests; "*" stands for all. Default: none.
	Origins []string
	// Frames are the origins whose pages may show the status page in a frame.
	// Default: none.
	Frames []string
	// Hosts are the names, without port, that the Host header may have, in
	// addition to localhost and IP addresses (over loopback, only loopback
	// addresses). Requests for another name are refused with 421; "*" stands for
	// all. Default: with [NoAuth] none, so that no web page can read data by
	// making its own name resolve to this address (DNS rebinding); otherwise all,
	// since such a page has no credentials.
	Hosts []string

	// Key is a secret, random and at least 16 bytes long, that hides sequences in
	// positions, event IDs, entity tags and cursors, because sequences count the
	// transitions of all businesses. Handlers with the same key accept each
	// other's positions. Default: a random key, so that positions are valid for
	// one handler.
	Key []byte

	// Query configures answers: location, convention, extra fields of the
	// documented calls, clock. [query.FieldRevision] is ignored, as it is a
	// sequence. Default: the defaults of [query.New].
	Query *query.Options
	// Prefix is the path of the documented calls. Default: [DefaultPrefix].
	Prefix string
	// GatewayPrefix is the path of the calls in the form of API gateways, with IDs
	// in the path. Default: "", the mount point of the handler.
	GatewayPrefix string
	// Logger gets a line for each request, with business and task but without
	// other parameters, and errors. Default: no log.
	Logger *slog.Logger

	// MaxBody bounds the body of a request, in bytes. Default: 64 KiB.
	MaxBody int64
	// ReadTimeout bounds how long a client may take to send a body. Headers
	// are read before the handler is called: bound those with
	// [http.Server.ReadHeaderTimeout]. Default: 10 s.
	ReadTimeout time.Duration
	// MaxRequests bounds the requests in progress, except streams; more are
	// refused with 429. A request counts from its authentication. One client (an
	// identity, or with [NoAuth] an address) gets at most half of them. Default:
	// 1024.
	MaxRequests int
	// MaxStreams bounds the streams of events as MaxRequests does requests.
	// Default: 1024.
	MaxStreams int
	// MaxMemory bounds, in bytes, the trees and pages of records for answers in
	// progress, and separately the trees of streams. An input or output counts
	// eight times, since it is in memory in several forms while it is sent.
	// Answers themselves are sent in pieces. One client gets at most half of it,
	// but always one answer of any size. A request waits for its share up to
	// WriteTimeout and is then refused with 503; a stream is refused with 429 at
	// once. While one waits, answers whose clients have not read for a sixth of
	// that time are cut, the slowest first. An eighth is reserved for small
	// answers. Default: 256 MiB.
	MaxMemory int64
	// WriteTimeout bounds how long a client may take to read an event, or each
	// 8 MiB of an answer. Default: 30 s.
	WriteTimeout time.Duration
	// Heartbeat is how often a stream gets a comment, in addition to its events.
	// Default: 15 s.
	Heartbeat time.Duration
	// Poll is the polling interval, while there are streams, for a store that can
	// neither be watched nor notify. Default: 1 s.
	Poll time.Duration
}

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	q := query.Options{}
	if d.Query != nil {
		q = *d.Query
	}
	q.Fields &^= query.FieldRevision
	d.Query = &q
	if d.Prefix == "" {
		d.Prefix = DefaultPrefix
	}
	d.Prefix = "/" + strings.Trim(d.Prefix, "/")
	if d.GatewayPrefix = strings.Trim(d.GatewayPrefix, "/"); d.GatewayPrefix != "" {
		d.GatewayPrefix = "/" + d.GatewayPrefix
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	orDefault(&d.MaxBody, 64<<10)
	orDefault(&d.MaxRequests, 1024)
	orDefault(&d.MaxStreams, 1024)
	orDefault(&d.MaxMemory, 256<<20)
	orDefault(&d.ReadTimeout, 10*time.Second)
	orDefault(&d.WriteTimeout, 30*time.Second)
	orDefault(&d.Heartbeat, 15*time.Second)
	orDefault(&d.Poll, time.Second)
	return d
}

// frames is the part of a policy that says which sites may frame the page. It leaves
// out origins with characters that would end the part.
func (o *Options) frames() string {
	policy := "frame-ancestors"
	for _, origin := range o.Frames {
		if origin != "" && !strings.ContainsAny(origin, "; ,\t\r\n") {
			policy += " " + origin
		}
	}
	if policy == "frame-ancestors" {
		policy += " 'none'"
	}
	return policy
}

func orDefault[T int | int64 | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}
