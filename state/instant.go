package state

import (
	"fmt"
	"time"
)

// Instant is a moment with nanosecond resolution in the years 1 to 9999, or
// unset (the zero Instant). Unlike [time.Time], it distinguishes an unset time
// from the zero time.Time and from Unix time 0, which can both be given. It
// takes 16 bytes and no pointer. Instants can be compared with ==.
type Instant struct {
	sec  int64
	nsec int32
	set  bool
}

const (
	minUnix = -62135596800 // 0001-01-01T00:00:00Z
	maxUnix = 253402300799 // 9999-12-31T23:59:59Z
)

// InstantOf is the moment of t, whatever its location; it is always set, also
// for the zero time.Time.
func InstantOf(t time.Time) Instant { return UnixInstant(t.Unix(), t.Nanosecond()) }

// UnixInstant is the moment sec seconds and nsec nanoseconds after the Unix
// epoch; nsec lies in 0 to 999,999,999. It is always set.
func UnixInstant(sec int64, nsec int) Instant {
	return Instant{sec: sec, nsec: int32(nsec), set: true}
}

// IsSet reports whether i is a moment at all.
func (i Instant) IsSet() bool { return i.set }

// Valid reports whether i is unset or lies in the years 1 to 9999 UTC.
func (i Instant) Valid() bool {
	if !i.set {
		return i == Instant{}
	}
	return i.sec >= minUnix && i.sec <= maxUnix && i.nsec >= 0 && i.nsec <= 999_999_999
}

// CheckTime returns an error that matches [ErrInvalidArgument] if a time is unset or
// outside the years 1 to 9999 UTC. In its message the time has the name what.
func CheckTime(what string, i Instant) error {
	switch {
	case !i.set:
		return fmt.Errorf("%w: no %s", ErrInvalidArgument, what)
	case !i.Valid():
		return outside(what, i)
	}
	return nil
}

// outside is the error of a time that is not valid.
func outside(what string, i Instant) error {
	if i.nsec < 0 || i.nsec > 999_999_999 {
		return fmt.Errorf("%w: %s with %d nanoseconds", ErrInvalidArgument, what, i.nsec)
	}
	return fmt.Errorf("%w: %s %s is outside the years 1 to 9999", ErrInvalidArgument, what, i)
}

// Unix returns the seconds and nanoseconds since the Unix epoch, 0 and 0 if
// i is unset.
func (i Instant) Unix() (sec int64, nsec int) { return i.sec, int(i.nsec) }

// Time is i as a time.Time in UTC, the zero Time if i is unset.
func (i Instant) Time() time.Time {
	if !i.set {
		return time.Time{}
	}
	return time.Unix(i.sec, int64(i.nsec)).UTC()
}

// In is i as a time.Time in a location, the zero Time if i is unset. It is in
// UTC if the year in that location would be 0 or 10000, which other programs cannot
// read. It panics if loc is nil, as [time.Time.In] does.
func (i Instant) In(loc *time.Location) time.Time {
	if !i.set {
		return time.Time{}
	}
	t := i.Time().In(loc)
	if y := t.Year(); y < 1 || y > 9999 {
		return t.UTC()
	}
	return t
}

// After reports whether i is later than j; unset is earlier than every moment.
func (i Instant) After(j Instant) bool {
	switch {
	case !i.set || !j.set:
		return i.set && !j.set
	case i.sec != j.sec:
		return i.sec > j.sec
	}
	return i.nsec > j.nsec
}

// Since is the time from j to i, at most 292 years; 0 if j is unset or not before i.
func (i Instant) Since(j Instant) time.Duration {
	if !j.set || !i.After(j) {
		return 0
	}
	return i.Time().Sub(j.Time())
}

// String is i in RFC 3339 with nanoseconds, "" if unset.
func (i Instant) String() string {
	if !i.set {
		return ""
	}
	return i.Time().Format(time.RFC3339Nano)
}

// later is the later of the two.
func later(i, j Instant) Instant {
	if j.After(i) {
		return j
	}
	return i
}
