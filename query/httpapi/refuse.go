package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// methodError is a request with a method that its path does not answer.
type methodError struct{ route route }

func (*methodError) Error() string { return "the method is not allowed here" }

func (e *methodError) allow() string {
	switch {
	case e.route.get && e.route.post:
		return "GET, HEAD, POST"
	case e.route.post:
		return "POST"
	}
	return "GET, HEAD"
}

// unavailableError is what may be otherwise in a moment.
type unavailableError struct {
	message string
	cause   error // logged, nil if the message says it all
}

func (e *unavailableError) Error() string { return e.message }

func (e *unavailableError) Unwrap() error { return e.cause }

// internalError is nothing that the client can do anything about.
type internalError struct{ cause error }

func (e *internalError) Error() string { return "internal error" }

func (e *internalError) Unwrap() error { return e.cause }

var (
	errHost    = &requestError{http.StatusMisdirectedRequest, "this service is not to be asked for by the name in the Host header"}
	errLate    = &requestError{http.StatusRequestTimeout, "the body did not come in time"}
	errTooMany = &requestError{http.StatusTooManyRequests, "too many requests at once"}
	errBusy    = &unavailableError{message: "too many large answers are being made"}
	errEnding  = &unavailableError{message: "the service is shutting down"}
)

// statusClientGone is logged for clients that did not wait for their answer.
const statusClientGone = 499

// refuse answers for an error, if nothing has been answered yet.
func (x *exchange) refuse(err error) {
	if x.w.status != 0 {
		x.failure = err
		return
	}
	// A body that is late counts as the client's end for the server.
	if x.r.Context().Err() != nil && !errors.Is(err, errLate) {
		x.w.status = statusClientGone
		return
	}
	header := x.w.Header()
	status, message := http.StatusInternalServerError, (&internalError{}).Error()
	var (
		auth        *AuthError
		request     *requestError
		question    *questionError
		method      *methodError
		unavailable *unavailableError
		notFound    *query.NotFoundError
	)
	switch {
	case errors.As(err, &question):
		status, message = http.StatusOK, question.message
	case errors.As(err, &notFound):
		status, message = http.StatusOK, notFound.Error()
	case errors.As(err, &auth):
		status, message = http.StatusUnauthorized, auth.Message
		header.Set("WWW-Authenticate", `Bkapi realm="pipestatus"`)
	case errors.As(err, &request):
		status, message = request.status, request.message
	case errors.As(err, &method):
		status, message = http.StatusMethodNotAllowed, method.Error()
		header.Set("Allow", method.allow())
	case errors.As(err, &unavailable):
		status, message = http.StatusServiceUnavailable, unavailable.message
		x.failure = unavailable.cause
	case errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrFailed), errors.Is(err, context.DeadlineExceeded):
		status, message = http.StatusServiceUnavailable, "the store is not available"
		x.failure = err
	case errors.Is(err, state.ErrNotFound):
		// Deleted while it was being read.
		status, message = http.StatusOK, (&query.NotFoundError{Business: x.business, Task: x.task}).Error()
	case errors.Is(err, state.ErrInvalidArgument):
		// A cursor that no list returned; all else has been checked before.
		status, message = http.StatusOK, "cursor is malformed"
	default:
		x.failure = err
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		header.Set("Retry-After", "1")
	}
	x.send(status, appendRefusal(nil, message))
}
