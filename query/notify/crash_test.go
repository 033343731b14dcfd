package notify_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query/notify"
	"github.com/pipestatus/pipestatus/store/boltstore"
	"github.com/pipestatus/pipestatus/store/feed"
)

// The environment of a child process that delivers until it is killed.
const (
	victimFile = "PIPESTATUS_NOTIFY_FILE"
	victimURL  = "PIPESTATUS_NOTIFY_URL"
)

// victim records and delivers concurrently, until it is killed or has recorded
// enough.
func victim() {
	err := func() error {
		ctx := context.Background()
		s, err := boltstore.Open(os.Getenv(victimFile), nil)
		if err != nil {
			return err
		}
		e, err := engine.Open(ctx, s, nil)
		if err != nil {
			return err
		}
		go func() {
			for {
				root, err := e.Create(ctx, "2", fmt.Sprintf("%016x", rand.Uint64()))
				if err == nil {
					_, err = e.Record(ctx, engine.Start(root.Node), engine.Suspend(root.Node))
				}
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				time.Sleep(time.Millisecond)
			}
		}()
		return notify.Deliver(ctx, e, notify.Endpoint{URL: os.Getenv(victimURL)}, feed.File(os.Getenv(victimFile)+"-position"),
			&notify.Options{MinPause: time.Millisecond, MaxPause: 5 * time.Millisecond})
	}()
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func TestAFollowerAndAnEndpointKilledAtAnyMomentLoseNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tasks.db")
	r := &receiver{t: t, answer: func(_ http.ResponseWriter, _ *http.Request, n int, _ *notify.Event) int {
		if n%50 == 0 {
			return http.StatusBadGateway
		}
		return http.StatusOK
	}}
	// The endpoint keeps its address when it is killed and started again.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	start := func(l net.Listener) *httptest.Server {
		s := &httptest.Server{Listener: l, Config: &http.Server{Handler: r}}
		s.Start()
		return s
	}
	server := start(l)
	defer func() { server.Close() }()
	for round := range 12 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), victimFile+"="+file, victimURL+"=http://"+addr)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(20+rand.IntN(150)) * time.Millisecond)
		if round%3 == 1 {
			server.CloseClientConnections()
			server.Close()
			time.Sleep(20 * time.Millisecond)
			if l, err = net.Listen("tcp", addr); err != nil {
				t.Fatal(err)
			}
			server = start(l)
		}
		cmd.Process.Kill()
		if cmd.Wait(); cmd.ProcessState.Exited() {
			t.Fatal("the process ended by itself")
		}
	}
	s, err := boltstore.Open(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = notify.Deliver(t.Context(), s, notify.Endpoint{URL: server.URL}, feed.File(file+"-position"),
		&notify.Options{Once: true, MinPause: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	stats, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.inOrder(stats.Last)
	t.Logf("%d transitions, %d requests", stats.Last, r.count())
	if stats.Last == 0 {
		t.Error("nothing was recorded")
	}
}
