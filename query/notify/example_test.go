package notify_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query/notify"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/feed"
)

// A receiver checks the signature, and answers 2xx once it has kept the event.
func ExampleDeliver() {
	secret := notify.NewSecret()
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = notify.Verify(r.Header, body, time.Now(), secret)
		}
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		fmt.Println(len(body) > 0, "event signed")
	}))
	defer receiver.Close()

	err := func() error {
		ctx := context.Background()
		e, err := engine.Open(ctx, store.NewMemory(), nil)
		if err != nil {
			return err
		}
		defer e.Close()
		if _, err := e.Create(ctx, "2", "10"); err != nil {
			return err
		}
		dir, err := os.MkdirTemp("", "")
		if err != nil {
			return err
		}
		to := notify.Endpoint{URL: receiver.URL, Secrets: []notify.Secret{secret}}
		at := feed.File(filepath.Join(dir, "hook.position"))
		return errors.Join(
			notify.Deliver(ctx, e, to, at, &notify.Options{Once: true}), // omit Once in a service
			os.RemoveAll(dir))
	}()
	fmt.Println(err)
	// Output:
	// true event signed
	// <nil>
}
