package httpapi

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

const jsonType = "application/json; charset=utf-8"

// gzipMin is the size from which an answer is worth compressing.
const gzipMin = 1 << 10

// buffers and compressors are pools for making answers.
var (
	buffers     = sync.Pool{New: func() any { return new([]byte) }}
	compressors = sync.Pool{New: func() any {
		z, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
		return z
	}}
)

// keepMax bounds the buffers that are kept for later answers.
const keepMax = 4 * pieceBytes

// respond answers with the output of data, in the documented envelope. A short answer
// is sent at once, a longer one in pieces while it is made. An error after the first
// piece cuts the connection, so that a client notices an incomplete answer.
func (x *exchange) respond(tag string, data func(*sink) error) error {
	return x.deliver(&answer{exchange: x, tag: tag, contentType: jsonType}, func(s *sink) error {
		s.text(`{"result":true,"data":`)
		err := data(s)
		s.text(string(x.extra) + string(x.tail(codeSuccess, "")))
		return err
	})
}

// deliver answers with the output of content, like respond, unless the request has a
// malformed parameter.
func (x *exchange) deliver(a *answer, content func(*sink) error) error {
	if x.params.err != nil {
		return x.params.err
	}
	buf := buffers.Get().(*[]byte)
	s := &sink{buf: (*buf)[:0], spill: a.piece}
	defer func() {
		a.release()
		if *buf = s.buf; cap(*buf) <= keepMax {
			buffers.Put(buf)
		}
	}()
	err := content(s)
	if err == nil {
		err = s.err
	}
	if err == nil {
		err = a.end(s.buf)
	}
	switch {
	case errors.Is(err, errHead):
		return nil
	case err != nil && x.w.status != 0:
		x.failure, x.cut = err, true
		return nil
	}
	return err
}

// answer sends the pieces of a sink.
type answer struct {
	*exchange
	tag         string
	contentType string
	z           *gzip.Writer // nil: not compressed
	begun       bool
	allowed     int64 // bytes that the deadline allows for
}

// errHead ends the answer to a HEAD request after its headers.
var errHead = errors.New("only the headers are wanted")

// piece sends a part of an answer that is too long to be sent as a whole.
func (a *answer) piece(p []byte) (err error) {
	if !a.begun {
		a.begin()
		if a.r.Method == http.MethodHead {
			return errHead
		}
	}
	for len(p) > 0 && err == nil {
		if a.allowed <= 0 {
			a.allowed = slackBytes
			a.deadline()
		}
		part := p[:min(len(p), pieceBytes)]
		p = p[len(part):]
		a.allowed -= int64(len(part))
		err = a.claim.write(func() error {
			if a.z != nil {
				_, err := a.z.Write(part)
				return err
			}
			_, err := a.w.Write(part)
			return err
		}, a.hurry)
	}
	return err
}

// hurry ends a write that is in progress.
func (a *answer) hurry() {
	_ = http.NewResponseController(a.w).SetWriteDeadline(time.Now())
}

// slackBytes is the part of an answer that a client must read in the time for one
// event, see [Options].WriteTimeout.
const slackBytes = 8 << 20

func (a *answer) begin() {
	a.begun = true
	header := a.describe()
	if acceptsGzip(a.r) {
		header.Set("Content-Encoding", "gzip")
		a.z = compressors.Get().(*gzip.Writer)
		a.z.Reset(a.w)
	}
	a.w.WriteHeader(http.StatusOK)
}

func (a *answer) describe() http.Header {
	header := a.w.Header()
	header.Set("Content-Type", a.contentType)
	header.Add("Vary", "Accept-Encoding")
	if a.tag != "" {
		header.Set("ETag", a.tag)
	}
	return header
}

// end sends the rest, which is all if nothing has been sent.
func (a *answer) end(rest []byte) error {
	if a.begun {
		err := a.piece(rest)
		if err == nil && a.z != nil {
			err = a.z.Close()
		}
		return err
	}
	header := a.describe()
	if len(rest) >= gzipMin && acceptsGzip(a.r) {
		header.Set("Content-Encoding", "gzip")
		rest = compress(rest)
	}
	a.send(http.StatusOK, rest)
	return nil
}

func (a *answer) release() {
	if a.z != nil {
		a.z.Reset(io.Discard)
		compressors.Put(a.z)
	}
}

func compress(body []byte) []byte {
	var out bytes.Buffer
	z := compressors.Get().(*gzip.Writer)
	defer compressors.Put(z)
	z.Reset(&out)
	// A bytes.Buffer takes everything.
	_, _ = z.Write(body)
	_ = z.Close()
	return out.Bytes()
}

// send writes a whole answer; it is cut if the client does not read it in time.
func (x *exchange) send(status int, body []byte) {
	header := x.w.Header()
	if header.Get("Content-Type") == "" {
		header.Set("Content-Type", jsonType)
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	x.deadline()
	x.w.WriteHeader(status)
	if x.r.Method == http.MethodHead {
		return
	}
	if _, err := x.w.Write(body); err != nil {
		x.failure = err
	}
}

// deadline gives the client time to read the next write. Writers without deadlines,
// as in tests, have no limit.
func (x *exchange) deadline() {
	err := http.NewResponseController(x.w).SetWriteDeadline(time.Now().Add(x.h.opts.WriteTimeout))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		x.failure = err
	}
}

// etag is the entity tag of a representation of a task at a revision. The URL of the
// request identifies the resource, and the handler the representation. It is a weak
// tag, since the envelope names the request.
func (x *exchange) etag(key state.Key, revision uint64) string {
	tag := `W/"` + x.h.boot + "-" + x.h.positions.seal(key, store.History{}, revision)
	if acceptsGzip(x.r) {
		tag += "-gz"
	}
	return tag + `"`
}

// unchanged reports whether the client has the representation with this tag, and if
// so answers that it is unchanged.
func (x *exchange) unchanged(tag string) bool {
	if x.r.Method == http.MethodPost || !matches(x.r.Header.Values("If-None-Match"), tag) {
		return false
	}
	header := x.w.Header()
	header.Set("ETag", tag)
	header.Add("Vary", "Accept-Encoding")
	x.w.WriteHeader(http.StatusNotModified)
	return true
}

// matches compares weakly, as If-None-Match does.
func matches(lists []string, tag string) bool {
	for _, list := range lists {
		for candidate := range strings.SplitSeq(list, ",") {
			candidate = strings.TrimSpace(candidate)
			if candidate == "*" || strings.TrimPrefix(candidate, "W/") == strings.TrimPrefix(tag, "W/") {
				return true
			}
		}
	}
	return false
}

func acceptsGzip(r *http.Request) bool {
	for _, list := range r.Header.Values("Accept-Encoding") {
		for coding := range strings.SplitSeq(list, ",") {
			name, weight, _ := strings.Cut(coding, ";")
			if name = strings.TrimSpace(name); name != "gzip" && name != "*" {
				continue
			}
			q, hasQ := strings.CutPrefix(strings.ReplaceAll(weight, " ", ""), "q=")
			if value, err := strconv.ParseFloat(q, 64); hasQ && (err != nil || value <= 0) {
				return false
			}
			return true
		}
	}
	return false
}

// appendJSON appends a value that marshals without error. It does not escape markup.
func appendJSON(dst []byte, v any) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return append(dst, "null"...)
	}
	return append(dst, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...)
}
