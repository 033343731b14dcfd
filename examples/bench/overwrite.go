package main

import (
	"errors"
	"os"
	"time"

	"github.com/pipestatus/pipestatus/examples/internal/measuring"
)

// overwrite is the yardstick for the disk: a file that was filled with zeros once,
// of which 4 KiB at a time are overwritten and synced.
type overwrite struct {
	file *os.File
	at   int64
	data []byte
}

const (
	overwriteBlock = 4 << 10
	overwriteSize  = 16 << 20
)

func openOverwrite(path string) (*overwrite, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(make([]byte, overwriteSize))
	if err := errors.Join(err, f.Sync()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &overwrite{file: f, data: make([]byte, overwriteBlock)}, nil
}

// put is one durable write.
func (o *overwrite) put() error {
	o.data[o.at/overwriteBlock%100]++
	if _, err := o.file.WriteAt(o.data, o.at); err != nil {
		return err
	}
	o.at = (o.at + overwriteBlock) % overwriteSize
	return measuring.SyncData(o.file)
}

// writesFor makes durable writes for so long and returns how long each took.
func writesFor(d time.Duration, put func() error) (latencies []time.Duration, took time.Duration, err error) {
	begin := time.Now()
	for last := begin; took < d; {
		if err := put(); err != nil {
			return nil, 0, err
		}
		now := time.Now()
		latencies = append(latencies, now.Sub(last))
		last, took = now, now.Sub(begin)
	}
	return latencies, took, nil
}
