package httpapi

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
)

// The codes of the envelope. Apart from 0 they are the codes of the documented
// service, so that clients can distinguish refusals as before.
const (
	codeSuccess     = 0
	codeInvalid     = 3540000 // an invalid parameter or request
	codeForbidden   = 3540100 // not authenticated, or no permission
	codeNotFound    = 3540400
	codeOperation   = 3545000 // an operation that is not possible now
	codeUnavailable = 3555000
	codeInternal    = 3599999
)

// requestIDHeader names the request, here and in the gateway in front.
const requestIDHeader = "X-Bkapi-Request-Id"

// ids name a request: its own name, and that of the trace it is part of.
type ids struct{ request, trace string }

// identify returns the IDs that a gateway gave to a request, and generates missing
// ones.
func identify(r *http.Request) ids {
	made := make([]byte, 32)
	rand.Read(made) // never fails
	n := ids{hex.EncodeToString(made[:16]), hex.EncodeToString(made[16:])}
	for _, name := range []string{requestIDHeader, "X-Request-Id"} {
		if given := r.Header.Get(name); plainID(given) {
			n.request = given
			break
		}
	}
	// See the W3C's recommendation Trace Context.
	if parts := strings.Split(r.Header.Get("Traceparent"), "-"); len(parts) >= 4 {
		if id, err := hex.DecodeString(parts[1]); err == nil && len(id) == 16 {
			n.trace = parts[1]
		}
	}
	return n
}

// plainID reports whether a name from outside may stand in answers and logs.
func plainID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// tail is the envelope after its data.
func (x *exchange) tail(code int, message string) []byte {
	b := appendJSON([]byte(`,"code":`), code)
	b = appendJSON(append(b, `,"message":`...), message)
	b = appendJSON(append(b, `,"request_id":`...), x.ids.request)
	return append(appendJSON(append(b, `,"trace_id":`...), x.ids.trace), '}')
}

// refusal is the envelope without data.
func (x *exchange) refusal(code int, message string) []byte {
	b := append([]byte(`{"result":false,"data":null`), x.extra...)
	return append(b, x.tail(code, message)...)
}
