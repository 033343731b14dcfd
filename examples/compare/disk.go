package main

import (
	"errors"
	"os"
	"time"

	"github.com/pipestatus/pipestatus/examples/internal/measuring"
)

// disk is the disk without a library: a file that grows by 4 KiB at a time, each
// synced before the next.
type disk struct{ path string }

// work appends for a duration and returns the appends per second.
func (d *disk) work(t time.Duration) (rate float64, err error) {
	f, err := os.Create(d.path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	page := make([]byte, 4096)
	begin := time.Now()
	for n := 1; ; n++ {
		if _, err := f.Write(page); err != nil {
			return 0, err
		}
		if err := measuring.SyncData(f); err != nil {
			return 0, err
		}
		if took := time.Since(begin); took >= t {
			return float64(n) / took.Seconds(), nil
		}
	}
}
