package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/pipestatus/pipestatus/store/feed"
)

// refusal is an answer other than 2xx.
type refusal struct {
	status int
	after  time.Duration // that the endpoint asks to wait, 0 for none
}

func (r *refusal) Error() string {
	return fmt.Sprintf("the answer is %d %s", r.status, http.StatusText(r.status))
}

// send makes one attempt.
func (d *delivery) send(ctx context.Context, event *Event) error {
	body, err := json.Marshal(event)
	if err != nil {
		return err
	}
	timed, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(timed, http.MethodPost, d.to.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	maps.Copy(req.Header, d.to.Header)
	req.Header.Set("Content-Type", ContentType)
	req.Header.Set("User-Agent", "pipestatus")
	now := time.Now()
	sign(req.Header, event.ID, now, body, d.to.Secrets)
	answer, err := d.Client.Do(req)
	if err != nil {
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err // without the URL, which may hold secrets
		}
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	// Reading a short body lets the connection be reused.
	_, _ = io.CopyN(io.Discard, answer.Body, 4<<10)
	if answer.StatusCode/100 == 2 {
		return nil
	}
	return &refusal{status: answer.StatusCode, after: retryAfter(answer.Header.Get("Retry-After"), now)}
}

// longestWait bounds the wait that an endpoint may ask for.
const longestWait = time.Hour

// retryAfter reads the header of that name: seconds, or a date.
func retryAfter(text string, now time.Time) time.Duration {
	var wait time.Duration
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), longestWait)
}

// outage is the time since which an endpoint fails. The zero outage means that it
// works.
type outage struct {
	mu    sync.Mutex // protects everything below while a round runs
	pause feed.Backoff
	since time.Time // of the first failure
}

// end notes that the endpoint accepted an event.
func (o *outage) end(d *delivery) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pause.Failures() > 0 {
		d.Logger.Info("the endpoint works again", "endpoint", d.to.shown(), "failed", time.Since(o.since))
	}
	o.pause.Reset()
}

// pause waits after a failed attempt. Its error ends the delivery.
func (d *delivery) pause(ctx context.Context, failure error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var refused *refusal
	if errors.As(failure, &refused) && refused.status == http.StatusGone {
		return fmt.Errorf("%w: %s", ErrGone, d.to.shown())
	}
	if d.outage.pause.Failures() == 0 {
		d.outage.since = time.Now()
	}
	lasted := time.Since(d.outage.since)
	if d.GiveUp > 0 && lasted >= d.GiveUp {
		return fmt.Errorf("%w: %s: %w", ErrGivenUp, d.to.shown(), failure)
	}
	wait := d.outage.pause.Next()
	if refused != nil {
		wait = max(wait, refused.after)
	}
	if d.GiveUp > 0 { // which a long pause must not exceed
		wait = min(wait, d.GiveUp-lasted)
	}
	d.Logger.Warn("not delivered", "endpoint", d.to.shown(), "attempt", d.outage.pause.Failures(), "again in", wait, "error", failure)
	return feed.Sleep(ctx, wait)
}
