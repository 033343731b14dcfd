package main

import (
	"slices"
	"time"
)

// series holds the results of the rounds for one figure.
type series []float64

func (s *series) add(v float64) { *s = append(*s, v) }

// median is the middle value, or the mean of the two in the middle; 0 if
// there is none.
func (s series) median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// percentile is the smallest value that at least p of 100 do not exceed; 0 if
// there is none. It sorts times.
func percentile(times []time.Duration, p int) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[max((len(times)*p+99)/100, 1)-1]
}

func millis(d time.Duration) float64 { return d.Seconds() * 1e3 }
