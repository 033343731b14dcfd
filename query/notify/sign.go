package notify

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/state"
)

// The headers of a signed request, as Standard Webhooks names them.
const (
	HeaderID        = "webhook-id"
	HeaderTimestamp = "webhook-timestamp"
	HeaderSignature = "webhook-signature"
)

// Secret is a key that an endpoint shares with the sender. It prints as "whsec_…",
// without the key.
type Secret struct{ key []byte }

const (
	secretPrefix = "whsec_"
	secretLeast  = 24 // bytes, as Standard Webhooks has it
	secretMost   = 64
)

// NewSecret returns a random secret.
func NewSecret() Secret {
	key := make([]byte, 32)
	rand.Read(key) // never fails
	return Secret{key}
}

// ParseSecret reads a secret: 24 to 64 bytes in base64, by custom after "whsec_".
// For anything else, the error matches [state.ErrInvalidArgument] and does not
// contain the text.
func ParseSecret(text string) (Secret, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, secretPrefix))
	if err != nil || len(key) < secretLeast || len(key) > secretMost {
		return Secret{}, fmt.Errorf("%w: a secret is %d to %d bytes in base64 after %q", state.ErrInvalidArgument, secretLeast, secretMost, secretPrefix)
	}
	return Secret{key}, nil
}

// Text is the secret as [ParseSecret] reads it.
func (s Secret) Text() string { return secretPrefix + base64.StdEncoding.EncodeToString(s.key) }

// String hides the key.
func (Secret) String() string { return secretPrefix + "…" }

// GoString hides the key.
func (s Secret) GoString() string { return s.String() }

// signature is that of one secret, without its version.
func (s Secret) signature(id, timestamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

const signatureVersion = "v1,"

// sign sets the headers of a request, with one signature for each secret.
func sign(h http.Header, id string, now time.Time, body []byte, secrets []Secret) {
	timestamp := strconv.FormatInt(now.Unix(), 10)
	h.Set(HeaderID, id)
	h.Set(HeaderTimestamp, timestamp)
	signatures := make([]string, len(secrets))
	for i, s := range secrets {
		signatures[i] = signatureVersion + base64.StdEncoding.EncodeToString(s.signature(id, timestamp, body))
	}
	if len(signatures) > 0 {
		h.Set(HeaderSignature, strings.Join(signatures, " "))
	}
}

// ErrSignature says that a request is not signed by any of the receiver's secrets,
// or was signed at another time.
var ErrSignature = errors.New("notify: the signature does not match")

// tolerance is how far a sender's clock may be from the receiver's.
const tolerance = 5 * time.Minute

// Verify checks the signature of a request for a receiver. The error matches
// [ErrSignature] if none of the secrets signed the request, or if it was signed
// more than five minutes before or after now. Pass several secrets while changing
// from one to another.
func Verify(h http.Header, body []byte, now time.Time, secrets ...Secret) error {
	id, timestamp := h.Get(HeaderID), h.Get(HeaderTimestamp)
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > tolerance {
		return fmt.Errorf("%w: signed at another time", ErrSignature)
	}
	for given := range strings.FieldsSeq(h.Get(HeaderSignature)) {
		encoded, known := strings.CutPrefix(given, signatureVersion)
		signature, err := base64.StdEncoding.DecodeString(encoded)
		if !known || err != nil {
			continue
		}
		for _, s := range secrets {
			if len(s.key) > 0 && hmac.Equal(signature, s.signature(id, timestamp, body)) {
				return nil
			}
		}
	}
	return ErrSignature
}
