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
)

// gzipMin is the size from which an answer is worth compressing.
const gzipMin = 1 << 10

// buffers and compressors are what answers are made with.
var (
	buffers     = sync.Pool{New: func() any { return new([]byte) }}
	compressors = sync.Pool{New: func() any {
		z, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
		return z
	}}
)

// keepMax bounds the buffers that are kept for later answers.
const keepMax = 4 << 20

// respond makes an answer with build, which appends to a buffer, and sends it.
// nodes is how many nodes it is about: large answers wait for their turn.
func (x *exchange) respond(nodes int, tag string, build func([]byte) ([]byte, error)) error {
	buf := buffers.Get().(*[]byte)
	defer func() {
		if cap(*buf) <= keepMax {
			buffers.Put(buf)
		}
	}()
	body, err := x.make(nodes, buf, build)
	if err != nil {
		return err
	}
	if tag != "" {
		x.w.Header().Set("ETag", tag)
	}
	x.send(http.StatusOK, body)
	return nil
}

// make builds and compresses an answer. The turn ends before it is sent, so
// that clients who read slowly hold up nobody.
func (x *exchange) make(nodes int, buf *[]byte, build func([]byte) ([]byte, error)) ([]byte, error) {
	done, err := x.turn(nodes)
	if err != nil {
		return nil, err
	}
	defer done()
	if *buf, err = build((*buf)[:0]); err != nil {
		return nil, err
	}
	header := x.w.Header()
	header.Add("Vary", "Accept-Encoding")
	if len(*buf) < gzipMin || !acceptsGzip(x.r) {
		return *buf, nil
	}
	header.Set("Content-Encoding", "gzip")
	return compress(*buf), nil
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

// send writes an answer as a whole; what a client does not take in time is cut.
func (x *exchange) send(status int, body []byte) {
	header := x.w.Header()
	if header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/json; charset=utf-8")
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

// deadline gives the client the time to take what is written next. Writers
// that know no deadlines, as in tests, have none.
func (x *exchange) deadline() {
	err := http.NewResponseController(x.w).SetWriteDeadline(time.Now().Add(x.h.opts.WriteTimeout))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		x.failure = err
	}
}

// etag is the entity tag of a representation of a task at a revision. The
// address of the request names what is represented; the handler fixes how.
func (x *exchange) etag(revision uint64) string {
	tag := `"` + x.h.boot + "-" + strconv.FormatUint(revision, 36)
	if acceptsGzip(x.r) {
		tag += "-gz"
	}
	return tag + `"`
}

// unchanged reports whether the client has the representation with this tag,
// and if so says that to it.
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
			if candidate == "*" || strings.TrimPrefix(candidate, "W/") == tag {
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

// appendRefusal appends the documented envelope with a message.
func appendRefusal(dst []byte, message string) []byte {
	return append(appendJSON(append(dst, `{"result":false,"message":`...), message), '}')
}

// appendJSON appends a value that marshals without error. What is markup
// elsewhere is written as it is.
func appendJSON(dst []byte, v any) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return append(dst, "null"...)
	}
	return append(dst, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...)
}

// envelope appends the documented envelope around data.
func envelope(dst []byte, data func([]byte) []byte) []byte {
	return append(data(append(dst, `{"result":true,"data":`...)), '}')
}
