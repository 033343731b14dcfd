package notify_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pipestatus/pipestatus/engine/enginetest"
	"github.com/pipestatus/pipestatus/query/notify"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store/feed"
)

// attributeName matches the attribute names that CloudEvents 1.0 allows: lower-case
// letters and digits of ASCII.
var attributeName = regexp.MustCompile(`^[a-z0-9]+$`)

// The rules are those of CloudEvents 1.0.2, sections "Naming conventions",
// "Required attributes" and "Optional attributes", and of its JSON format.
func TestEventsAreCloudEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := enginetest.Engine(t)
		record(t, e, 3)
		other, err := e.Create(t.Context(), "a/b ü", "c?d")
		if err != nil {
			t.Fatal(err)
		}
		ids := make(map[string]bool)
		events := &receiver{t: t}
		check := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("Content-Type"); got != "application/cloudevents+json; charset=utf-8" || r.Method != http.MethodPost {
				t.Errorf("%s with content type %q", r.Method, got)
			}
			events.ServeHTTP(w, r)
		})
		o := &notify.Options{Once: true, Client: inMemory(check), Source: "https://ci.example/runners/7"}
		if err := notify.Deliver(t.Context(), e, notify.Endpoint{URL: "http://test"}, new(feed.Memory), o); err != nil {
			t.Fatal(err)
		}
		for i := range events.taken {
			text, err := json.Marshal(&events.taken[i])
			if err != nil {
				t.Fatal(err)
			}
			var attributes map[string]any
			if err := json.Unmarshal(text, &attributes); err != nil {
				t.Fatal(err)
			}
			for _, required := range []string{"id", "source", "specversion", "type"} {
				if value, ok := attributes[required].(string); !ok || value == "" {
					t.Errorf("%s is %v", required, attributes[required])
				}
			}
			for name, value := range attributes {
				if _, isText := value.(string); !attributeName.MatchString(name) || name != "data" && (!isText || value == "") {
					t.Errorf("attribute %q is %v", name, value)
				}
			}
			if attributes["specversion"] != "1.0" || attributes["datacontenttype"] != "application/json" {
				t.Errorf("%s", text)
			}
			if _, err := url.Parse(attributes["source"].(string)); err != nil {
				t.Error(err)
			}
			if _, err := time.Parse(time.RFC3339, attributes["time"].(string)); err != nil {
				t.Error(err)
			}
			if id := attributes["id"].(string); ids[id] || strings.Contains(id, ".") {
				t.Errorf("ID %q is not unique, or Standard Webhooks cannot sign it", id)
			} else {
				ids[id] = true
			}
			tr := transition(t, &events.taken[i])
			if want := fmt.Sprintf("%020d", tr.Seq); attributes["sequence"] != want {
				t.Errorf("sequence is %v, want %s", attributes["sequence"], want)
			}
			if want := notify.TypeTransition + tr.Op; attributes["type"] != want {
				t.Errorf("type is %v, want %s", attributes["type"], want)
			}
			if value, err := tr.Value(); err != nil || value.Validate() != nil {
				t.Errorf("%s: %v", events.taken[i].Data, err)
			}
		}
		last := slices.IndexFunc(events.taken, func(e notify.Event) bool { return transition(t, &e).Seq == other.Sequence })
		if got := events.taken[last]; got.Subject != "a%2Fb%20%C3%BC/c%3Fd" || got.Source != o.Source {
			t.Errorf("subject %q, source %q", got.Subject, got.Source)
		}
	})
}

// The example comes from the reference libraries of the Standard Webhooks
// specification: this secret, ID, timestamp and payload have this signature.
func TestSignaturesAreThoseOfStandardWebhooks(t *testing.T) {
	secret, err := notify.ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{}
	header.Set("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
	header.Set("webhook-timestamp", "1614265330")
	header.Set("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
	body, now := []byte(`{"test": 2432232314}`), time.Unix(1614265330, 0)
	if err := notify.Verify(header, body, now, secret); err != nil {
		t.Error(err)
	}
}

func TestVerifyRefusesForeignAndOldSignatures(t *testing.T) {
	e, old, current := enginetest.Engine(t), notify.NewSecret(), notify.NewSecret()
	record(t, e, 1)
	var header http.Header
	var body []byte
	take := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header, body = r.Header, make([]byte, r.ContentLength)
		if _, err := r.Body.Read(body); err != nil && len(body) == 0 {
			t.Error(err)
		}
		w.WriteHeader(http.StatusOK)
	})
	to := notify.Endpoint{URL: "http://test", Secrets: []notify.Secret{old, current}}
	if err := notify.Deliver(t.Context(), e, to, new(feed.Memory), &notify.Options{Once: true, Client: inMemory(take)}); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for _, known := range [][]notify.Secret{{old}, {current}, {notify.NewSecret(), current}} {
		if err := notify.Verify(header, body, now, known...); err != nil {
			t.Error(err)
		}
	}
	without := func(name, value string) http.Header {
		h := header.Clone()
		h.Set(name, value)
		return h
	}
	signature := header.Get(notify.HeaderSignature)
	for name, err := range map[string]error{
		"another secret":  notify.Verify(header, body, now, notify.NewSecret()),
		"no secret":       notify.Verify(header, body, now),
		"an empty secret": notify.Verify(header, body, now, notify.Secret{}),
		"another body":    notify.Verify(header, append([]byte(" "), body...), now, current),
		"too late":        notify.Verify(header, body, now.Add(6*time.Minute), current),
		"too early":       notify.Verify(header, body, now.Add(-6*time.Minute), current),
		"another ID":      notify.Verify(without(notify.HeaderID, "1-0"), body, now, current),
		"another time":    notify.Verify(without(notify.HeaderTimestamp, fmt.Sprint(now.Unix()-1)), body, now, current),
		"no time":         notify.Verify(without(notify.HeaderTimestamp, ""), body, now, current),
		"another version": notify.Verify(without(notify.HeaderSignature, strings.ReplaceAll(signature, "v1,", "v2,")), body, now, current),
		"no signature":    notify.Verify(without(notify.HeaderSignature, ""), body, now, current),
	} {
		if !errors.Is(err, notify.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSecretsAreReadAndNotShown(t *testing.T) {
	secret := notify.NewSecret()
	same, err := notify.ParseSecret(secret.Text())
	if err != nil || same.Text() != secret.Text() {
		t.Errorf("%v, %v", same, err)
	}
	if bare, err := notify.ParseSecret(strings.TrimPrefix(secret.Text(), "whsec_")); err != nil || bare.Text() != secret.Text() {
		t.Errorf("without its prefix: %v, %v", bare, err)
	}
	key := strings.TrimPrefix(secret.Text(), "whsec_")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(verb, notify.Endpoint{Secrets: []notify.Secret{secret}}); strings.Contains(text, key) {
			t.Errorf("%s shows it", verb)
		}
	}
	for _, text := range []string{"", "whsec_", "whsec_c2hvcnQ=", "whsec_!", "whsec_" + strings.Repeat("QUFB", 22)} {
		if _, err := notify.ParseSecret(text); !errors.Is(err, state.ErrInvalidArgument) || len(text) > 8 && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
