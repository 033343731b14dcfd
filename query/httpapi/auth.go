package httpapi

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Credentials holds the documented general parameters of a request, "" for missing
// ones. It contains secrets: do not log it. Its JSON is the value of [AuthHeader].
type Credentials struct {
	AppCode   string `json:"bk_app_code,omitempty"`
	AppSecret string `json:"bk_app_secret,omitempty"`
	Token     string `json:"bk_token,omitempty"`
	Username  string `json:"bk_username,omitempty"`
	// AccessToken names application and user at once.
	AccessToken string `json:"access_token,omitempty"`
}

// Identity is the caller of a request. It is logged.
type Identity struct {
	App  string // the application's code, "" without one
	User string
}

// Authenticator returns the caller of a request. An error that is or wraps an
// [*AuthError] refuses the request with 401 and its message; any other error means
// that the caller could not be determined, and refuses it with 503. For a stream of
// events, it is called again with the same request at each heartbeat; the stream ends
// when it is refused or the identity changes. It may be called from many goroutines.
type Authenticator interface {
	Authenticate(r *http.Request, g Credentials) (Identity, error)
}

// AuthError is the reason of a failed authentication. The client sees Message, so it
// must not hold secrets, or details that help to guess credentials.
type AuthError struct{ Message string }

// Error is the message.
func (e *AuthError) Error() string { return e.Message }

// NoAuth is an [Authenticator] that permits every request, with an empty identity.
// It is for tests and for services that listen only on loopback or are protected in
// another way.
type NoAuth struct{}

var _ Authenticator = NoAuth{}

// Authenticate implements [Authenticator].
func (NoAuth) Authenticate(*http.Request, Credentials) (Identity, error) { return Identity{}, nil }

// Applications authenticates by the documented general parameters: first the
// application by its code and secret, then the user, by a valid bk_token or, if the
// application is trusted, by bk_username alone. A valid token takes precedence over
// the user name. The zero Applications refuses every request. It must not be changed
// while it is in use.
type Applications struct {
	// Secrets maps each application's code to its secret, in plain text or hashed
	// by [HashSecret].
	Secrets map[string]string
	// Trusted is the white list: the codes of applications that may name the
	// user by bk_username.
	Trusted []string
	// VerifyToken returns the user of a token, "" if it is not valid. An
	// error says that this could not be determined. Nil: no token is valid.
	VerifyToken func(ctx context.Context, token string) (user string, err error)
	// VerifyAccessToken returns the identity of an access_token, which needs no
	// code and secret; the zero Identity if it is not valid. An error means that
	// this could not be determined. Nil: no access token is valid.
	VerifyAccessToken func(ctx context.Context, token string) (Identity, error)
}

var _ Authenticator = (*Applications)(nil)

const hashPrefix = "sha256:"

// HashSecret is the form of a secret for configurations: "sha256:" and the
// hexadecimal SHA-256 of the secret. Secrets must be random and long, because the
// hash is fast.
func HashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hashPrefix + hex.EncodeToString(sum[:])
}

// Tokens verifies tokens against a fixed table from token to user, for
// [Applications.VerifyToken]. The table is copied.
func Tokens(users map[string]string) func(context.Context, string) (string, error) {
	// By hash, so that the time of a look-up tells nothing about a token.
	byHash := make(map[[sha256.Size]byte]string, len(users))
	for token, user := range users {
		byHash[sha256.Sum256([]byte(token))] = user
	}
	return func(_ context.Context, token string) (string, error) {
		return byHash[sha256.Sum256([]byte(token))], nil
	}
}

// Validate returns an error for an invalid configuration: an empty code or secret, a
// malformed hash, or a trusted application without secret.
func (a *Applications) Validate() error {
	for code, secret := range a.Secrets {
		if code == "" || secret == "" {
			return errors.New("httpapi: an application with empty code or secret")
		}
		if digits, hashed := strings.CutPrefix(secret, hashPrefix); hashed {
			if sum, err := hex.DecodeString(digits); err != nil || len(sum) != sha256.Size {
				return fmt.Errorf("httpapi: application %q: the hash of the secret is not 64 hexadecimal digits", code)
			}
		}
	}
	for _, code := range a.Trusted {
		if _, ok := a.Secrets[code]; !ok {
			return fmt.Errorf("httpapi: trusted application %q has no secret", code)
		}
	}
	return nil
}

// Authenticate implements [Authenticator].
func (a *Applications) Authenticate(r *http.Request, g Credentials) (Identity, error) {
	if g.AccessToken != "" {
		return a.byAccessToken(r.Context(), g)
	}
	switch {
	case g.AppCode == "":
		return Identity{}, &AuthError{"bk_app_code is required"}
	case g.AppSecret == "":
		return Identity{}, &AuthError{"bk_app_secret is required"}
	case !a.secretMatches(g.AppCode, g.AppSecret):
		return Identity{}, &AuthError{"bk_app_code or bk_app_secret is wrong"}
	}
	if g.Token != "" && a.VerifyToken != nil {
		user, err := a.VerifyToken(r.Context(), g.Token)
		if err != nil {
			return Identity{}, fmt.Errorf("verify bk_token: %w", err)
		}
		if user != "" {
			return Identity{App: g.AppCode, User: user}, nil
		}
	}
	switch {
	case g.Username != "" && slices.Contains(a.Trusted, g.AppCode):
		return Identity{App: g.AppCode, User: g.Username}, nil
	case g.Token != "":
		return Identity{}, &AuthError{"bk_token is not valid"}
	case g.Username != "":
		return Identity{}, &AuthError{"this application may not name a user by bk_username, bk_token is required"}
	}
	return Identity{}, &AuthError{"bk_token or bk_username is required"}
}

// byAccessToken authenticates by an access token. A code or secret in the same
// request must be right.
func (a *Applications) byAccessToken(ctx context.Context, g Credentials) (who Identity, err error) {
	if a.VerifyAccessToken != nil {
		if who, err = a.VerifyAccessToken(ctx, g.AccessToken); err != nil {
			return Identity{}, fmt.Errorf("verify access_token: %w", err)
		}
	}
	switch {
	case who == (Identity{}):
		return Identity{}, &AuthError{"access_token is not valid"}
	case g.AppSecret != "" && !a.secretMatches(g.AppCode, g.AppSecret), g.AppCode != "" && who.App != "" && g.AppCode != who.App:
		return Identity{}, &AuthError{"bk_app_code or bk_app_secret is wrong"}
	}
	return who, nil
}

// secretMatches takes the same time for an unknown application as for a wrong
// secret.
func (a *Applications) secretMatches(code, secret string) bool {
	want, known := a.Secrets[code]
	hash := HashSecret(want)
	if strings.HasPrefix(want, hashPrefix) {
		hash = strings.ToLower(want)
	}
	equal := subtle.ConstantTimeCompare([]byte(hash), []byte(HashSecret(secret)))
	return known && equal == 1
}

// ParseCredentials reads general parameters from a JSON object of texts by their
// documented names, the form of the header [AuthHeader]. The error reports an unknown
// name or a value that is no text, and quotes no value.
func ParseCredentials(text string) (Credentials, error) {
	given := make(params)
	if err := given.readJSON([]byte(text)); err != nil {
		return Credentials{}, fmt.Errorf("httpapi: credentials: %w", err)
	}
	for name, v := range given {
		if !slices.Contains(generalNames, name) || strings.HasPrefix(name, "app_") || v.plain() == "" {
			return Credentials{}, fmt.Errorf("httpapi: credentials: %q is not bk_app_code, bk_app_secret, bk_token, bk_username or access_token, or has no text", shorten(name))
		}
	}
	return given.general(), nil
}
