package httpapi_test

import (
	"flag"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/query/httpapi"
)

var loadFor = flag.Duration("load", 2*time.Second, "how long 200 clients ask at once")

// A runner writes while 200 clients ask, half of them for status and half for
// events. No request fails; its time is logged.
func TestManyClientsAreServedWhileARunnerWrites(t *testing.T) {
	const clients, tasks = 200, 10
	f := serve(t, nil)
	for i := range tasks {
		f.begin(strconv.Itoa(i))
	}
	recordWide(f, "2", "wide", 1500)
	server := listen(t, f.handler)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()

	// Writers continue until all clients have left, so that no client waits
	// forever for an event.
	var stop, left atomic.Bool
	time.AfterFunc(*loadFor, func() { stop.Store(true) })
	var group, writers sync.WaitGroup
	var written, told atomic.Int64
	for i := range tasks {
		writers.Go(func() {
			for !left.Load() && !t.Failed() {
				f.pump(strconv.Itoa(i), 3)
				written.Add(3)
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	took := make([][]time.Duration, clients)
	for c := range clients {
		task := strconv.Itoa(c % tasks)
		if c%2 == 1 {
			group.Go(func() {
				s := subscribe(t, server.URL, "2", task, "")
				defer s.cancel()
				for last := uint64(0); !stop.Load(); {
					e, err := s.next()
					if err == nil && e.comment != "" {
						continue
					}
					if err != nil || e.id <= last {
						t.Errorf("event %d after %d, %v", e.id, last, err)
						return
					}
					last = e.id
					told.Add(1)
				}
			})
			continue
		}
		if c%50 == 0 {
			task = "wide"
		}
		group.Go(func() {
			for !stop.Load() && !t.Failed() {
				begin := time.Now()
				resp, err := client.Get(server.URL + httpapi.DefaultPrefix + "/get_task_status/?bk_biz_id=2&task_id=" + task)
				if err != nil {
					t.Error(err)
					return
				}
				_, err = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != 200 {
					t.Errorf("status %d, %v", resp.StatusCode, err)
					return
				}
				took[c] = append(took[c], time.Since(begin))
			}
		})
	}
	group.Wait()
	left.Store(true)
	writers.Wait()
	all := slices.Concat(took...)
	slices.Sort(all)
	if len(all) == 0 || told.Load() == 0 {
		t.Fatal("nothing was answered")
	}
	t.Logf("%d requests, p50 %v, p99 %v; %d transitions written, %d events told", len(all),
		all[len(all)/2], all[len(all)*99/100], written.Load(), told.Load())
}
