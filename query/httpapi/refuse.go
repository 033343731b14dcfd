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

// unavailableError is a temporary error.
type unavailableError struct {
	message string
	cause   error // logged, nil if the message says it all
}

func (e *unavailableError) Error() string { return e.message }

func (e *unavailableError) Unwrap() error { return e.cause }

// internalError is an error that the client cannot fix.
type internalError struct{ cause error }

func (e *internalError) Error() string { return "internal error" }

func (e *internalError) Unwrap() error { return e.cause }

var (
	errHost     = &requestError{http.StatusMisdirectedRequest, "this service does not answer to the name in the Host header"}
	errIntruder = &requestError{http.StatusForbidden, "web pages of this origin may not do this"}
	errLate     = &requestError{http.StatusRequestTimeout, "the body did not come in time"}
	errTooMany  = &requestError{http.StatusTooManyRequests, "too many requests at once"}
	errBusy     = &unavailableError{message: "too many large answers are being made"}
	errEnding   = &unavailableError{message: "the service is shutting down"}
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
	status, code, message := x.verdict(err)
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		header.Set("Retry-After", "1")
	}
	if x.extra = nil; x.reading {
		x.extra = errorNames(err)
	}
	x.send(status, x.refusal(code, message))
}

// verdict is the answer to an error. It sets the headers of the answer and notes the
// text for the log.
func (x *exchange) verdict(err error) (status, code int, message string) {
	var (
		auth        *AuthError
		request     *requestError
		question    *questionError
		operation   *refusedOperation
		method      *methodError
		unavailable *unavailableError
		notFound    *query.NotFoundError
	)
	switch {
	case errors.As(err, &question):
		return http.StatusOK, question.code, question.message
	case errors.As(err, &operation):
		return http.StatusOK, operation.code(), operation.Error()
	case errors.As(err, &notFound):
		return http.StatusOK, codeNotFound, notFound.Error()
	case errors.As(err, &auth):
		x.w.Header().Set("WWW-Authenticate", `Bkapi realm="pipestatus"`)
		return http.StatusUnauthorized, codeForbidden, auth.Message
	case errors.As(err, &request):
		return request.status, codeOf(request.status), request.message
	case errors.As(err, &method):
		x.w.Header().Set("Allow", method.allow())
		return http.StatusMethodNotAllowed, codeInvalid, method.Error()
	case errors.As(err, &unavailable):
		x.failure = unavailable.cause
		return http.StatusServiceUnavailable, codeUnavailable, unavailable.message
	}
	x.failure = err
	if x.reading {
		return x.readingVerdict(err)
	}
	switch {
	case errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrFailed), errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable, codeUnavailable, "the store is not available"
	case errors.Is(err, state.ErrNotFound):
		// Deleted while it was being read.
		x.failure = nil
		return http.StatusOK, codeNotFound, (&query.NotFoundError{Business: x.business, Task: x.task}).Error()
	case errors.Is(err, state.ErrInvalidArgument):
		// A cursor that no list returned; everything else has been checked before.
		x.failure = nil
		return http.StatusOK, codeInvalid, "cursor is malformed"
	}
	return http.StatusInternalServerError, codeInternal, (&internalError{}).Error()
}

func codeOf(status int) int {
	switch status {
	case http.StatusForbidden:
		return codeForbidden
	case http.StatusNotFound:
		return codeNotFound
	case http.StatusTooManyRequests:
		return codeUnavailable
	}
	return codeInvalid
}
