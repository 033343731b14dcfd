package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/feed"
)

// Endpoint is the receiver of events.
type Endpoint struct {
	// URL takes the POST requests, http or https.
	URL string
	// Secrets sign each request, several while a receiver changes from one to
	// another. Without any, requests are not signed.
	Secrets []Secret
	// Header holds additional headers, such as Authorization.
	Header http.Header
}

// Options configure a delivery. A nil *Options and zero fields stand for the
// defaults.
type Options struct {
	// Source names the store in events, as a URI reference. Default: "pipestatus".
	Source string
	// Filter selects the transitions to deliver. Default: all.
	Filter func(*state.Transition) bool
	// Start is where a delivery without a bookmark begins: the zero position for
	// everything that the feed keeps, [store.End] for everything that is recorded
	// from now on.
	Start store.Position
	// Once ends the delivery, without error, after everything that was recorded
	// before the call.
	Once bool
	// AcrossGaps tells the endpoint of a gap in the feed and continues behind it.
	// Default: a gap ends the delivery.
	AcrossGaps bool
	// Concurrency bounds the requests at once. Events of one task always go one
	// after the other; with 1 all events do. Default: 8.
	Concurrency int
	// Timeout bounds one request. Default: 15 seconds.
	Timeout time.Duration
	// MinPause and MaxPause bound the pause after a failed attempt, which doubles
	// with each that fails in a row; half of it is random. Default: 1 second and 5
	// minutes.
	MinPause, MaxPause time.Duration
	// GiveUp ends the delivery with [ErrGivenUp] when the endpoint has accepted
	// nothing for this long. Default: never.
	GiveUp time.Duration
	// Poll is the interval for polling a store that cannot be watched. Default: 500
	// milliseconds.
	Poll time.Duration
	// Client sends the requests. Deliver disables redirects in a copy of it.
	// Default: a new client.
	Client *http.Client
	// Logger gets a line when an endpoint begins to fail and when it works again.
	// Default: no log.
	Logger *slog.Logger
}

const (
	defaultSource      = "pipestatus"
	defaultConcurrency = 8
	defaultTimeout     = 15 * time.Second
	defaultMinPause    = time.Second
	defaultMaxPause    = 5 * time.Minute

	// pageLimit bounds the transitions in memory for an endpoint, and those delivered
	// again after a crash.
	pageLimit = 100
)

var (
	// ErrGone says that the endpoint answered 410: it wants no more events.
	ErrGone = errors.New("notify: the endpoint is gone")
	// ErrGivenUp says that the endpoint accepted nothing for [Options.GiveUp].
	ErrGivenUp = errors.New("notify: given up")
)

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	d.Source = cmp.Or(d.Source, defaultSource)
	d.Concurrency = cmp.Or(d.Concurrency, defaultConcurrency)
	d.Timeout = cmp.Or(d.Timeout, defaultTimeout)
	d.MinPause = cmp.Or(d.MinPause, defaultMinPause)
	d.MaxPause = cmp.Or(d.MaxPause, max(defaultMaxPause, d.MinPause))
	if d.Filter == nil {
		d.Filter = func(*state.Transition) bool { return true }
	}
	if d.Client == nil {
		d.Client = &http.Client{Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: d.Concurrency, IdleConnTimeout: time.Minute,
		}}
	} else {
		own := *d.Client
		d.Client = &own
	}
	d.Client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return d
}

// Deliver delivers the transitions of a store to an endpoint, beginning at the
// bookmark, until ctx ends. It returns the context's error, an error of the store
// or of the bookmark, [ErrGone], [ErrGivenUp], or one that matches
// [state.ErrInvalidArgument] for an invalid endpoint or option. A bookmark
// belongs to one endpoint and store, and only one Deliver may use it at a time.
func Deliver(ctx context.Context, r store.Reader, to Endpoint, at feed.Bookmark, o *Options) error {
	d := &delivery{Options: o.withDefaults(), to: to, bookmark: at}
	d.outage.pause = feed.Backoff{Min: d.MinPause, Max: d.MaxPause}
	if err := d.check(); err != nil {
		return err
	}
	if o == nil || o.Client == nil {
		defer d.Client.CloseIdleConnections()
	}
	follow := &feed.Options{Start: d.Start, Limit: pageLimit, Poll: d.Poll}
	if d.AcrossGaps {
		follow.Gap = d.gap
	}
	var until *store.Position // the end of what was recorded before
	reached := false
	for page, err := range feed.Follow(ctx, r, at, follow) {
		if err != nil {
			return err
		}
		if d.Once && (len(page.Transitions) == 0 || reached) {
			return nil
		}
		if until == nil {
			until = &page.Last
		}
		if err := d.page(ctx, &page); err != nil {
			return err
		}
		reached = page.After().Lag(*until) == 0
	}
	return nil
}

// delivery is one endpoint with its progress.
type delivery struct {
	Options
	to       Endpoint
	bookmark feed.Bookmark
	outage   outage
}

// Check returns an error that matches [state.ErrInvalidArgument] if the URL is not
// one of http or https, or a secret has no key. [Deliver] calls it.
func (e *Endpoint) Check() error {
	if u, err := url.Parse(e.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("notify: %w: an endpoint is http://… or https://…", state.ErrInvalidArgument)
	}
	for _, s := range e.Secrets {
		if len(s.key) == 0 {
			return fmt.Errorf("notify: %w: a secret without key", state.ErrInvalidArgument)
		}
	}
	return nil
}

// shown is the URL without its user and query, which may be secret.
func (e *Endpoint) shown() string {
	u, err := url.Parse(e.URL)
	if err != nil {
		return "endpoint"
	}
	return u.Scheme + "://" + u.Host + u.EscapedPath()
}

// check refuses invalid options.
func (d *delivery) check() error {
	if d.Concurrency < 0 || d.Timeout < 0 || d.MinPause < 0 || d.MaxPause < d.MinPause || d.GiveUp < 0 {
		return fmt.Errorf("notify: %w: an option is negative, or the longest pause shorter than the shortest", state.ErrInvalidArgument)
	}
	return d.to.Check()
}

// gap tells the endpoint of a gap.
func (d *delivery) gap(ctx context.Context, after store.Position, reason error) error {
	event, err := ofGap(after, reason, d.Source, time.Now())
	if err != nil {
		return err
	}
	d.Logger.Warn("events are missing", "endpoint", d.to.shown(), "after", after.String(), "error", reason)
	for {
		err := d.send(ctx, event)
		if err == nil {
			d.outage.end(d)
			return nil
		}
		if err := d.pause(ctx, err); err != nil {
			return err
		}
	}
}
