// Package hook is shared by the example programs that send notifications: it reads
// an endpoint and its secret from the command line.
package hook

import (
	"fmt"
	"os"
	"strings"

	"github.com/pipestatus/pipestatus/query/notify"
)

// SecretVariable is the environment variable that holds the secret if no flag does.
const SecretVariable = "PIPESTATUS_WEBHOOK_SECRET"

// Usage describes a flag for the secret.
const Usage = "sign with the `SECRET` whsec_… or @FILE (default: " + SecretVariable + ")"

// Endpoint returns the endpoint at a URL, with the secret that a flag or else the
// environment gives. Errors do not repeat the secret.
func Endpoint(url, secret string) (notify.Endpoint, error) {
	to := notify.Endpoint{URL: url}
	if secret == "" {
		secret = os.Getenv(SecretVariable)
	}
	if name, inFile := strings.CutPrefix(secret, "@"); inFile {
		content, err := os.ReadFile(name)
		if err != nil {
			return to, fmt.Errorf("secret: %w", err)
		}
		secret = strings.TrimSpace(string(content))
	}
	if secret == "" {
		return to, nil
	}
	key, err := notify.ParseSecret(secret)
	to.Secrets = []notify.Secret{key}
	return to, err
}
