package notify_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pipestatus/pipestatus/engine/enginetest"
	"github.com/pipestatus/pipestatus/query/notify"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/feed"
)

func TestEveryTransitionIsDeliveredInOrderForEachTask(t *testing.T) {
	e, secret := enginetest.Engine(t), notify.NewSecret()
	last := record(t, e, 60) // more than a page
	r := &receiver{t: t, secrets: []notify.Secret{secret}}
	server := httptest.NewServer(r)
	defer server.Close()
	to := notify.Endpoint{URL: server.URL, Secrets: []notify.Secret{secret}, Header: http.Header{"X-Own": {"yes"}}}
	b := feed.File(filepath.Join(t.TempDir(), "bookmark"))
	if err := notify.Deliver(t.Context(), e, to, b, &notify.Options{Once: true}); err != nil {
		t.Fatal(err)
	}
	r.inOrder(last)
	if got := r.count(); got != int(last) {
		t.Errorf("%d requests for %d transitions", got, last)
	}
	if err := notify.Deliver(t.Context(), e, to, b, &notify.Options{Once: true}); err != nil || r.count() != int(last) {
		t.Errorf("the second time there were %d requests, %v", r.count()-int(last), err)
	}
}

func TestOneAtATimeKeepsTheOrderOfAllTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := enginetest.Engine(t)
		record(t, e, 40)
		r := &receiver{t: t, answer: func(_ http.ResponseWriter, _ *http.Request, n int, _ *notify.Event) int {
			if n%7 == 0 {
				return http.StatusBadGateway
			}
			return http.StatusOK
		}}
		o := &notify.Options{Once: true, Concurrency: 1, Client: inMemory(r)}
		if err := notify.Deliver(t.Context(), e, notify.Endpoint{URL: "http://test"}, new(feed.Memory), o); err != nil {
			t.Fatal(err)
		}
		r.inOrder(e.Position().Sequence)
		if got := r.sequences(); !slices.IsSorted(got) {
			t.Errorf("the order was %d", got)
		}
	})
}

func TestAnEndpointThatFailsHangsAndCutsConnectionsGetsEverything(t *testing.T) {
	e := enginetest.Engine(t)
	last := record(t, e, 30)
	r := &receiver{t: t}
	release := make(chan struct{})
	r.answer = func(w http.ResponseWriter, _ *http.Request, n int, _ *notify.Event) int {
		switch n % 5 {
		case 1:
			return http.StatusInternalServerError
		case 2:
			if n < 10 {
				<-release // longer than the timeout
			}
			return http.StatusServiceUnavailable
		case 3:
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				conn.Close()
			}
			return 0
		}
		return http.StatusAccepted
	}
	server := httptest.NewServer(r)
	defer server.Close()
	defer close(release)
	o := &notify.Options{Once: true, Timeout: 50 * time.Millisecond, MinPause: time.Millisecond, MaxPause: 2 * time.Millisecond}
	if err := notify.Deliver(t.Context(), e, notify.Endpoint{URL: server.URL}, new(feed.Memory), o); err != nil {
		t.Fatal(err)
	}
	r.inOrder(last)
}

func TestAnEndpointThatAnswersGoneGetsNoMoreEvents(t *testing.T) {
	e := enginetest.Engine(t)
	record(t, e, 5)
	r := &receiver{t: t, answer: func(_ http.ResponseWriter, _ *http.Request, n int, _ *notify.Event) int {
		if n > 3 {
			return http.StatusGone
		}
		return http.StatusOK
	}}
	server := httptest.NewServer(r)
	defer server.Close()
	b := new(feed.Memory)
	err := notify.Deliver(t.Context(), e, notify.Endpoint{URL: server.URL}, b, &notify.Options{Concurrency: 1})
	if !errors.Is(err, notify.ErrGone) || r.count() != 4 {
		t.Errorf("after %d requests: %v", r.count(), err)
	}
	if at, _, _ := b.Load(t.Context()); at.Sequence != 3 {
		t.Errorf("the bookmark is at %s", at)
	}
}

// dead runs a delivery to an endpoint that never accepts anything, for this long
// on the clock of the bubble, and returns the times of its requests.
func dead(t *testing.T, long time.Duration, o notify.Options, header, value string) (at []time.Duration) {
	t.Helper()
	e := enginetest.Engine(t)
	record(t, e, 30)
	begin := time.Now()
	var mu sync.Mutex // the last request may still be running when the delivery ends
	r := &receiver{t: t, answer: func(w http.ResponseWriter, _ *http.Request, _ int, _ *notify.Event) int {
		mu.Lock()
		defer mu.Unlock()
		at = append(at, time.Since(begin))
		w.Header().Set(header, value)
		return http.StatusTooManyRequests
	}}
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	o.Client, o.Concurrency = inMemory(r), 1
	err := notify.Deliver(ctx, e, notify.Endpoint{URL: "http://test"}, new(feed.Memory), &o)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it ended with %v", err)
	}
	synctest.Wait()
	return at
}

func TestPausesDoubleUpToALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := dead(t, time.Hour, notify.Options{MinPause: time.Second, MaxPause: time.Minute}, "X", "")
		for i := 1; i < len(at); i++ {
			pause, longest := at[i]-at[i-1], min(time.Second<<(i-1), time.Minute)
			if i > 7 {
				longest = time.Minute
			}
			if pause < longest/2 || pause > longest {
				t.Errorf("pause %d is %s, want %s to %s", i, pause, longest/2, longest)
			}
		}
		if len(at) < 60 || len(at) > 130 {
			t.Errorf("%d requests in an hour", len(at))
		}
	})
}

func TestTheEndpointSetsTheWait(t *testing.T) {
	for name, test := range map[string]struct {
		value func(begin time.Time) string
		least time.Duration
		most  time.Duration
	}{
		"in seconds":       {func(time.Time) string { return "120" }, 2 * time.Minute, 2 * time.Minute},
		"by a date":        {func(now time.Time) string { return now.Add(90 * time.Second).UTC().Format(http.TimeFormat) }, 89 * time.Second, 90 * time.Second},
		"for far too long": {func(time.Time) string { return "999999999" }, time.Hour, time.Hour},
		"in no sense":      {func(time.Time) string { return "soon" }, time.Second / 2, time.Second},
		"in the past":      {func(now time.Time) string { return now.Add(-time.Hour).UTC().Format(http.TimeFormat) }, time.Second / 2, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				at := dead(t, 2*time.Hour, notify.Options{}, "Retry-After", test.value(time.Now()))
				if pause := at[1] - at[0]; pause < test.least || pause > test.most {
					t.Errorf("the second request came after %s, want %s to %s", pause, test.least, test.most)
				}
			})
		})
	}
}

func TestGiveUpEndsADeliveryToADeadEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := enginetest.Engine(t)
		record(t, e, 3)
		hang := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		begin := time.Now()
		err := notify.Deliver(t.Context(), e, notify.Endpoint{URL: "http://test"}, new(feed.Memory),
			&notify.Options{Client: inMemory(hang), GiveUp: 10 * time.Minute, Timeout: 7 * time.Second})
		if took := time.Since(begin); !errors.Is(err, notify.ErrGivenUp) || took < 10*time.Minute || took > 11*time.Minute {
			t.Errorf("after %s: %v", took, err)
		}
	})
}

func TestARefusedTaskDoesNotBlockOthersOfItsPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := enginetest.Engine(t)
		last := record(t, e, 10)
		r := &receiver{t: t, answer: func(_ http.ResponseWriter, _ *http.Request, _ int, event *notify.Event) int {
			if event.Subject == "2/1" && strings.HasSuffix(event.Type, ".start") {
				return http.StatusRequestEntityTooLarge
			}
			return http.StatusOK
		}}
		err := notify.Deliver(t.Context(), e, notify.Endpoint{URL: "http://test"}, new(feed.Memory),
			&notify.Options{Client: inMemory(r), GiveUp: time.Hour})
		if !errors.Is(err, notify.ErrGivenUp) {
			t.Error(err)
		}
		if got := len(r.sequences()); got != int(last)-4 { // only the task's create was accepted
			t.Errorf("%d of %d were taken", got, last)
		}
	})
}

func TestOneEndpointNeverDelaysAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := enginetest.Engine(t)
		ctx, cancel := context.WithCancel(t.Context())
		hang := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		lively := &receiver{t: t}
		ended := make(chan error, 2)
		for _, h := range []http.Handler{hang, lively} {
			go func() {
				ended <- notify.Deliver(ctx, e, notify.Endpoint{URL: "http://test"}, new(feed.Memory), &notify.Options{Client: inMemory(h)})
			}()
		}
		for range 5 {
			begin := time.Now()
			last := record(t, e, 1)
			synctest.Wait()
			if got := lively.sequences(); len(got) != int(last) || time.Since(begin) > 0 {
				t.Errorf("the lively endpoint has %d of %d after %s", len(got), last, time.Since(begin))
			}
		}
		cancel()
		for range 2 {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
	})
}

// trimmed is a store without the transitions up to a sequence.
type trimmed struct {
	store.Reader
	first uint64
}

func (f *trimmed) Feed(ctx context.Context, after store.Position, limit int) (store.FeedPage, error) {
	if after.Sequence < f.first-1 {
		return store.FeedPage{}, store.ErrTrimmed
	}
	page, err := f.Reader.Feed(ctx, after, limit)
	page.First = f.first
	return page, err
}

func TestAGapEndsTheDeliveryOrIsReportedToTheEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := enginetest.Engine(t)
		last := record(t, e, 4)
		for reason, gap := range map[string]struct {
			at  store.Position
			err error
		}{
			"trimmed": {e.Position().At(2), store.ErrTrimmed},
			"history": {store.Position{History: store.NewHistory(), Sequence: 10}, store.ErrHistory},
		} {
			b := new(feed.Memory)
			b.Save(t.Context(), gap.at)
			failures := 3
			r := &receiver{t: t, answer: func(http.ResponseWriter, *http.Request, int, *notify.Event) int {
				if failures--; failures >= 0 {
					return http.StatusBadGateway
				}
				return http.StatusOK
			}}
			o := notify.Options{Once: true, Client: inMemory(r), Concurrency: 1}
			to, from := notify.Endpoint{URL: "http://test"}, &trimmed{e, 9}
			if err := notify.Deliver(t.Context(), from, to, b, &o); !errors.Is(err, gap.err) || r.count() > 0 {
				t.Errorf("%s: by default %v after %d requests", reason, err, r.count())
			}
			o.AcrossGaps = true
			if err := notify.Deliver(t.Context(), from, to, b, &o); err != nil {
				t.Fatal(err)
			}
			if r.taken[0].Type != notify.TypeGap || string(r.taken[0].Data) != `{"reason":"`+reason+`","after":"`+gap.at.String()+`"}` {
				t.Errorf("%s: the first event is %+v, %s", reason, r.taken[0], r.taken[0].Data)
			}
			r.taken = r.taken[1:]
			if got := r.sequences(); got[0] != 9 || got[len(got)-1] != last || len(got) != int(last)-8 {
				t.Errorf("%s: then came %d", reason, got)
			}
		}
	})
}

func TestOnlyTransitionsThatPassTheFilterAreDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := enginetest.Engine(t)
		record(t, e, 50)
		r, b := &receiver{t: t}, new(feed.Memory)
		o := &notify.Options{Once: true, Client: inMemory(r), Filter: func(tr *state.Transition) bool { return tr.Op == state.Fail }}
		if err := notify.Deliver(t.Context(), e, notify.Endpoint{URL: "http://test"}, b, o); err != nil {
			t.Fatal(err)
		}
		if got := len(r.sequences()); got != 50 {
			t.Errorf("%d events", got)
		}
		if at, _, _ := b.Load(t.Context()); at != e.Position() {
			t.Errorf("the bookmark is at %s, the store at %s", at, e.Position())
		}
	})
}

func TestRedirectsAreNotFollowedAndNoSecretIsLogged(t *testing.T) {
	e, secret := enginetest.Engine(t), notify.NewSecret()
	record(t, e, 1)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	var log strings.Builder
	to := notify.Endpoint{URL: strings.Replace(server.URL, "//", "//ann:hidden@", 1) + "/hook?token=hidden", Secrets: []notify.Secret{secret}}
	o := &notify.Options{MinPause: time.Millisecond, MaxPause: time.Millisecond, GiveUp: 10 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	first := notify.Deliver(t.Context(), e, to, new(feed.Memory), o)
	server.Close() // refused connections have an error of another kind
	second := notify.Deliver(t.Context(), e, to, new(feed.Memory), o)
	for _, err := range []error{first, second} {
		if !errors.Is(err, notify.ErrGivenUp) {
			t.Error(err)
		}
		log.WriteString(err.Error())
	}
	if text := log.String(); strings.Contains(text, "hidden") || strings.Contains(text, secret.Text()) || !strings.Contains(text, "/hook") {
		t.Error(text)
	}
}

func TestInvalidEndpointsAndOptionsAreRefused(t *testing.T) {
	good := notify.Endpoint{URL: "http://test"}
	for name, test := range map[string]struct {
		to notify.Endpoint
		o  notify.Options
	}{
		"no URL":             {to: notify.Endpoint{}},
		"another scheme":     {to: notify.Endpoint{URL: "ftp://test"}},
		"no host":            {to: notify.Endpoint{URL: "http:///path"}},
		"no URL at all":      {to: notify.Endpoint{URL: "http://a b"}},
		"an empty secret":    {to: notify.Endpoint{URL: "http://test", Secrets: make([]notify.Secret, 1)}},
		"negative pause":     {to: good, o: notify.Options{MinPause: -1}},
		"no room for pauses": {to: good, o: notify.Options{MinPause: 2, MaxPause: 1}},
		"negative width":     {to: good, o: notify.Options{Concurrency: -1}},
	} {
		err := notify.Deliver(t.Context(), store.NewMemory(), test.to, new(feed.Memory), &test.o)
		if !errors.Is(err, state.ErrInvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
