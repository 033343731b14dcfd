package httpapi

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/store"
)

// Handler serves the calls in the package documentation. It may be used from many
// goroutines and needs no closing; see [Handler.Shutdown] for open streams.
type Handler struct {
	reader  store.Reader
	query   *query.Query
	opts    Options
	routes  map[string]route // by path
	gateway map[string]route // by the call's name
	origins crossOrigin
	policy  string // Content-Security-Policy of the page
	// boot is part of all entity tags: another handler may have other options
	// or another store.
	boot  string
	hosts hosts
	hub   *hub

	positions         *positions
	requests, streams *budget   // 1 each
	loads             *budget   // of trees being read, 1 each
	memory            *budget   // of answers being made
	held              *holdings // of streams
}

// New makes a handler on a store or an engine; o may be nil, but then it refuses every
// request. If r is a [store.Watcher], such as an engine, or a [store.Notifier], events
// are sent as they are committed; otherwise r is polled every [Options.Poll].
func New(r store.Reader, o *Options) *Handler {
	opts := o.withDefaults()
	h := &Handler{
		reader: r, query: query.New(r, opts.Query), opts: opts,
		boot: rand.Text()[:10], hosts: newHosts(&opts), positions: newPositions(opts.Key),
		requests: newBudget(int64(opts.MaxRequests)), streams: newBudget(int64(opts.MaxStreams)),
		loads: newBudget(loadsMost), memory: newBudget(opts.MaxMemory), held: newHoldings(r, opts.MaxMemory),
	}
	h.hub = newHub(r, opts.Poll, opts.Logger)
	h.gateway, h.routes = h.calls(), h.views()
	for name, call := range h.gateway {
		h.routes[opts.Prefix+"/"+name] = call
	}
	h.origins, h.policy = crossOrigin{opts.Origins}, statusPage.policy+opts.frames()
	if opts.Authenticator == nil {
		opts.Logger.Error("no authenticator configured: every request is refused")
	}
	return h
}

// Shutdown ends all streams of events after they have sent earlier commits, and
// refuses new ones with 503, so that [http.Server.Shutdown] need not wait for them:
// register it with [http.Server.RegisterOnShutdown]. Other requests are still
// answered.
func (h *Handler) Shutdown() { h.hub.shutdown() }

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{h: h, r: r, w: &countingWriter{ResponseWriter: w}, begin: time.Now(), ids: identify(r)}
	defer x.end()
	defer x.contain()
	secure(w.Header(), &h.opts)
	w.Header().Set(requestIDHeader, x.ids.request)
	x.limitBody()
	if err := h.serve(x); err != nil {
		x.refuse(err)
	}
}

// end releases the resources of the exchange and logs it. An answer that was cut must
// not look complete.
func (x *exchange) end() {
	x.leave()
	x.claim.end()
	x.log()
	if x.cut {
		panic(http.ErrAbortHandler)
	}
}

// leave releases the seat among the requests.
func (x *exchange) leave() {
	x.seat.end()
	x.seat = nil
}

func (h *Handler) serve(x *exchange) error {
	if !h.hosts.allow(x.r) {
		return errHost
	}
	if h.origins.greet(x.w, x.r) {
		return nil
	}
	route, inPath, err := h.find(x.r)
	if err != nil {
		return err
	}
	if route.changes && h.origins.intrudes(x.r) {
		return errIntruder
	}
	x.inPath = inPath != nil
	if h.opts.Authenticator == nil {
		return &AuthError{"this service has no authenticator configured and refuses everything"}
	}
	if !route.public {
		// A request takes no seat before it is authenticated.
		if err := h.authenticate(x, inPath); err != nil {
			return err
		}
		if x.seat = h.requests.now(x.client(), 1); x.seat == nil {
			return errTooMany
		}
	}
	if route.prepare != nil {
		if err := route.prepare(h, x); err != nil {
			return err
		}
	}
	return route.serve(h, x)
}

// authenticate reads the parameters and determines the caller.
func (h *Handler) authenticate(x *exchange, inPath params) (err error) {
	body, err := x.readBody()
	if err != nil {
		return err
	}
	if x.params.params, err = readParams(x.r, body, inPath); err != nil {
		return err
	}
	x.who, err = h.opts.Authenticator.Authenticate(x.r, x.params.general())
	var refused *AuthError
	if err != nil && !errors.As(err, &refused) {
		return &unavailableError{"the credentials cannot be checked now", err}
	}
	return err
}

// authorize takes the business that the request names and checks that the
// caller may see it, before anything is looked up.
func (h *Handler) authorize(x *exchange) error {
	if x.business = x.params.id("bk_biz_id"); x.params.err != nil {
		return x.params.err
	}
	if !h.allowed(x.r.Context(), x.who, x.business) {
		return h.forbidden("no permission for this business")
	}
	return nil
}

func (h *Handler) allowed(ctx context.Context, who Identity, business string) bool {
	return h.opts.Authorize == nil || h.opts.Authorize(ctx, who, business)
}

// forbidden refuses by status, or by the code that clients know.
func (h *Handler) forbidden(message string) error {
	if h.opts.ForbiddenCode != 0 {
		return &questionError{h.opts.ForbiddenCode, message}
	}
	return &requestError{http.StatusForbidden, message}
}

// target takes business and task.
func (h *Handler) target(x *exchange) error {
	err := h.authorize(x)
	x.task = x.params.id("task_id")
	return cmp.Or(err, x.params.err)
}

// exchange is one request and its answer.
type exchange struct {
	h        *Handler
	r        *http.Request
	w        *countingWriter
	begin    time.Time
	ids      ids
	inPath   bool // some parameters come from the path
	reading  bool // the store itself
	params   question
	who      Identity
	business string
	task     string
	extra    []byte // of the envelope, behind data: each field with a comma before it
	seat     *claim // among the requests
	claim    *claim // to the tree it loaded last, nil if it has none
	cut      bool   // the answer is not whole
	failure  error  // logged
}

// contain answers for a panic, which is a bug and costs this request only.
func (x *exchange) contain() {
	p := recover()
	if p == nil {
		return
	}
	x.h.opts.Logger.Error("panic", "path", x.r.URL.Path, "panic", p, "stack", string(debug.Stack()))
	if x.w.status == 0 {
		x.refuse(&internalError{errors.New("panic")})
	} else {
		x.cut = true
	}
}

// log writes the request's line, without parameters, which may be secret.
func (x *exchange) log() {
	level := slog.LevelInfo
	if x.w.status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	attrs := []slog.Attr{
		slog.String("request", x.ids.request), slog.String("method", x.r.Method), slog.String("path", x.r.URL.Path), slog.String("remote", x.r.RemoteAddr),
		slog.Int("status", x.w.status), slog.Int64("bytes", x.w.bytes), slog.Duration("took", time.Since(x.begin)),
	}
	for _, a := range []slog.Attr{
		slog.String("app", x.who.App), slog.String("user", x.who.User),
		slog.String("business", x.business), slog.String("task", x.task),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	if x.failure != nil {
		attrs = append(attrs, slog.Any("error", x.failure))
	}
	x.h.opts.Logger.LogAttrs(x.r.Context(), level, "request", attrs...)
}

// countingWriter records the status and the size of an answer.
type countingWriter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *countingWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap is for [http.ResponseController].
func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// secure sets the headers of every answer.
func secure(header http.Header, o *Options) {
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", "default-src 'none'; "+o.frames())
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	if len(o.Frames) == 0 {
		header.Set("X-Frame-Options", "DENY") // which knows no addresses
	}
}
