package main

import (
	"slices"
	"time"
)

// percentile is the smallest value that at least p of 100 do not exceed; 0 without
// values. It sorts times.
func percentile(times []time.Duration, p int) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[max((len(times)*p+99)/100, 1)-1]
}

func millis(d time.Duration) float64 { return d.Seconds() * 1e3 }
