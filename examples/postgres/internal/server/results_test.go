//go:build unix

package server

import (
	"errors"
	"sync"
	"testing"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/pgstore"
	"github.com/pipestatus/pipestatus/store/pgstore/pgtest"
)

// Runners that start at once make the table once, and add lines each under its
// number, whatever isolation the server gives transactions by default.
func TestRunnersShareResultsWhateverTheDefaultIsolation(t *testing.T) {
	server, err := pgtest.New("fsync=off", "default_transaction_isolation=serializable")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Remove)
	task := state.Key{Business: "2", Task: "10"}
	const runners = 6
	fenced := make(chan error, runners)
	var wg sync.WaitGroup
	for i := range runners {
		wg.Go(func() {
			s, err := pgstore.Open(t.Context(), server.URL(), nil)
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			runs, err := openShared(t.Context(), s, server.URL())
			if err != nil {
				s.Close()
				t.Errorf("open: %v", err)
				return
			}
			defer runs.Close()
			for range 2 { // the second time it is there
				if err := runs.AddResultLine(t.Context(), task, 0, []byte{byte(i)}); err != nil {
					fenced <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(fenced)
	n := 0
	for err := range fenced {
		if n++; !errors.Is(err, store.ErrFenced) {
			t.Errorf("a line whose number another has: %v, want %v", err, store.ErrFenced)
		}
	}
	if n != runners-1 {
		t.Errorf("%d runners could not add the line, want %d", n, runners-1)
	}
}
