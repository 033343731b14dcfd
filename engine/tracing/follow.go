package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/feed"
)

// Options configure [Follow]. A nil *Options and zero fields stand for the
// defaults.
type Options struct {
	// Feed sets the start without a bookmark, the page size (default: 500
	// transitions), the polling interval, and the behavior at a gap.
	Feed feed.Options
	// Resource describes the program in the spans, its service name for example.
	// Default: [resource.Default].
	Resource *resource.Resource
	// Once ends Follow, without error, when it has exported everything.
	Once bool
	// Timeout bounds one export. Default: 30 seconds.
	Timeout time.Duration
	// Logger gets exports that fail, and tasks that were deleted before their spans
	// could be made. Default: silent.
	Logger *slog.Logger
}

const (
	pageLimit      = 500
	exportAtOnce   = 512 // spans, the default of the SDK
	defaultTimeout = 30 * time.Second
	minPause       = time.Second
	maxPause       = time.Minute
)

// Follow exports the spans of a store, beginning at the bookmark, until ctx ends. It
// repeats a failed export, with growing pauses, until it succeeds. It returns the
// context's error, or one of the store or the bookmark. It does not shut the
// exporter down. Only one Follow at a time may use a bookmark.
func Follow(ctx context.Context, r store.Reader, at feed.Bookmark, exporter sdktrace.SpanExporter, o *Options) error {
	f := &follower{exporter: exporter, retry: feed.Backoff{Min: minPause, Max: maxPause}}
	if o != nil {
		f.Options = *o
	}
	if f.Feed.Limit <= 0 {
		f.Feed.Limit = pageLimit
	}
	if f.Timeout <= 0 {
		f.Timeout = defaultTimeout
	}
	if f.Logger == nil {
		f.Logger = slog.New(slog.DiscardHandler)
	}
	if f.Resource == nil {
		f.Resource = resource.Default()
	}
	made := newMaker(f.Resource)
	tasks := newTasks(r)
	for page, err := range feed.Follow(ctx, r, at, &f.Feed) {
		if err != nil {
			return err
		}
		for _, tr := range page.Transitions {
			tree, err := tasks.after(ctx, tr)
			if errors.Is(err, errDeleted) {
				f.Logger.Warn("no spans for a deleted task", "task", tr.Task, "sequence", tr.Sequence)
				continue
			}
			if err != nil {
				return fmt.Errorf("tracing: %w", err)
			}
			made.attempts(tree, tr)
			for len(made.spans) >= exportAtOnce {
				if err := f.export(ctx, made.take(exportAtOnce)); err != nil {
					return err
				}
			}
		}
		if err := f.export(ctx, made.take(exportAtOnce)); err != nil {
			return err
		}
		if f.Once && len(page.Transitions) == 0 {
			return nil
		}
	}
	return nil
}

type follower struct {
	Options
	exporter sdktrace.SpanExporter
	retry    feed.Backoff
}

// export exports spans, however often it takes.
func (f *follower) export(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if len(spans) == 0 {
		return nil
	}
	for {
		timed, cancel := context.WithTimeout(ctx, f.Timeout)
		err := f.exporter.ExportSpans(timed, spans)
		cancel()
		if err == nil {
			f.retry.Reset()
			return nil
		}
		pause := f.retry.Next()
		f.Logger.Warn("spans not exported", "spans", len(spans), "again in", pause, "error", err)
		if err := feed.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}
