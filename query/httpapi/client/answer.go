package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"

	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/wire"
)

// ErrAnswer says that an answer is not one of a server that lets programs read
// its store, or is damaged, incomplete or too large.
var ErrAnswer = errors.New("invalid answer")

// Error is a refusal. With [errors.Is] it matches the errors of packages state
// and store that the server's store returned, such as [state.ErrNotFound].
//
// [state.ErrNotFound]: https://pkg.go.dev/github.com/pipestatus/pipestatus/state#ErrNotFound
type Error struct {
	// Status is the HTTP status: 200 for refusals of the store itself, 401 without
	// valid credentials, 403 without permission or if the program does not allow
	// reading its store, 404 from a server without this feature.
	Status int
	// Message is the server's.
	Message string
	matches []error
}

// Error is the message, with the status if the store was not asked.
func (e *Error) Error() string {
	if e.Status == http.StatusOK {
		return e.Message
	}
	return fmt.Sprintf("the server refuses with HTTP status %d: %s", e.Status, e.Message)
}

// Unwrap returns the errors that e matches.
func (e *Error) Unwrap() []error { return e.matches }

// ask sends a question and gives the answer's head, then each of its items, to
// functions that read it.
func (c *Client) ask(ctx context.Context, method string, asked url.Values, items func(head *wire.Head, next func(item any) error) error) error {
	asked.Set("version", strconv.Itoa(wire.Version))
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/api/store/"+method+"?"+asked.Encode(), nil)
	if err != nil {
		return err
	}
	if c.header != "" {
		r.Header.Set(httpapi.AuthHeader, c.header)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // without what was asked
		}
		return fmt.Errorf("%s: %w", c.base, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body := http.MaxBytesReader(nil, resp.Body, c.maxAnswer)
	if t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || t != "application/x-ndjson" || resp.StatusCode != http.StatusOK {
		return refusal(resp.StatusCode, body)
	}
	if err := read(body, items); err != nil {
		return fmt.Errorf("%s: %w", c.base, err)
	}
	return nil
}

// read reads an answer to its end.
func read(body io.Reader, items func(head *wire.Head, next func(item any) error) error) error {
	dec := json.NewDecoder(body)
	var head wire.Head
	if err := dec.Decode(&head); err != nil {
		return senseless(err)
	}
	if head.Format != wire.Format || head.Items < 0 {
		return fmt.Errorf("%w: it begins with %q, not with %q", ErrAnswer, head.Format, wire.Format)
	}
	if head.Version != wire.Version {
		return fmt.Errorf("%w: the server speaks version %d of the format %s, this program version %d", store.ErrIncompatible, head.Version, wire.Format, wire.Version)
	}
	dec.DisallowUnknownFields()
	err := items(&head, func(item any) error {
		if err := dec.Decode(item); err != nil {
			return senseless(err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: more lines than the first one says", ErrAnswer)
	}
	return nil
}

// senseless wraps an error of reading an answer, unless the context has ended.
func senseless(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if most := (*http.MaxBytesError)(nil); errors.As(err, &most) {
		err = fmt.Errorf("it is larger than %d bytes", most.Limit)
	}
	return fmt.Errorf("%w: %w", ErrAnswer, err)
}

// refusalMost bounds what is read of an answer that is a refusal.
const refusalMost = 1 << 20

func refusal(status int, body io.Reader) error {
	var envelope struct {
		Result  *bool
		Message string
		Errors  []string
	}
	err := json.NewDecoder(io.LimitReader(body, refusalMost)).Decode(&envelope)
	switch {
	case err != nil && status == http.StatusOK:
		return senseless(err)
	case err != nil || envelope.Result == nil || *envelope.Result:
		return fmt.Errorf("%w: HTTP status %d, and no answer of a server with a store", ErrAnswer, status)
	case status == http.StatusNotFound:
		envelope.Message += " (it is older than this program, or mounted elsewhere)"
	}
	return &Error{Status: status, Message: envelope.Message, matches: wire.Errors(envelope.Errors)}
}
