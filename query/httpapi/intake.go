package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// limitBody bounds the size of a body and the time for reading it, even for a refused
// request, whose rest the server reads. Writers without deadlines, as in tests, have
// no limit.
func (x *exchange) limitBody() {
	if x.r.Body == nil || x.r.Body == http.NoBody {
		return
	}
	x.r.Body = http.MaxBytesReader(x.w, x.r.Body, x.h.opts.MaxBody)
	x.readDeadline(time.Now().Add(x.h.opts.ReadTimeout))
}

func (x *exchange) readDeadline(at time.Time) {
	err := http.NewResponseController(x.w).SetReadDeadline(at)
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		x.failure = err
	}
}

// readBody reads a body to its end, before authentication: a slow client occupies
// only its connection and the part of the body it has sent.
func (x *exchange) readBody() ([]byte, error) {
	if x.r.Body == nil || x.r.Body == http.NoBody {
		return nil, nil
	}
	var body bytes.Buffer
	to := io.Discard // what a GET has for a body means nothing
	if x.r.Method == http.MethodPost {
		to = &body
	}
	_, err := io.Copy(to, x.r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &requestError{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes", tooLarge.Limit)}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, errLate
	case err != nil:
		return nil, badRequest("the body cannot be read")
	}
	x.readDeadline(time.Time{}) // the server watches the connection from here on
	return body.Bytes(), nil
}
