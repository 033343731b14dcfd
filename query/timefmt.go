package query

import (
	"fmt"
	"time"

	"github.com/pipestatus/pipestatus/state"
)

// TimeLayout is the layout of times in answers, state_refresh_at aside.
const TimeLayout = "2006-01-02 15:04:05 -0700"

// RefreshLayout is the layout of state_refresh_at, which is in UTC.
const RefreshLayout = "2006-01-02T15:04:05.000Z"

// appendRefresh appends t in RefreshLayout, nothing if it is zero.
func appendRefresh(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return dst
	}
	return t.UTC().AppendFormat(dst, RefreshLayout)
}

// clockFace formats times in one location. It remembers the date and offset of
// the last one and how long both hold: otherwise two formatted times are most of
// the cost of a node, 250 ns instead of 40.
type clockFace struct {
	loc      *time.Location
	from, to int64 // Unix seconds for which date and zone hold
	midnight int64 // when that day began
	date     []byte
	zone     []byte
}

// append appends i in TimeLayout, nothing if it is unset.
func (c *clockFace) append(dst []byte, i state.Instant) []byte {
	if !i.IsSet() {
		return dst
	}
	sec, _ := i.Unix()
	if sec < c.from || sec >= c.to {
		c.turn(sec)
	}
	of := uint32(sec - c.midnight)
	h, m, s := of/3600, of/60%60, of%60
	dst = append(dst, c.date...)
	dst = append(dst, '0'+byte(h/10), '0'+byte(h%10), ':', '0'+byte(m/10), '0'+byte(m%10), ':', '0'+byte(s/10), '0'+byte(s%10))
	return append(dst, c.zone...)
}

// turn moves to the day of sec.
func (c *clockFace) turn(sec int64) {
	t := state.UnixInstant(sec, 0).In(c.loc)
	hour, minute, second := t.Clock()
	c.midnight = sec - int64(hour*3600+minute*60+second)
	c.from, c.to = c.midnight, c.midnight+24*3600
	if t.Location() != c.loc {
		c.to = c.from // other times of that day may be in the location
	}
	// The offset may change within the day, and midnight differs before and
	// after the change.
	start, end := t.ZoneBounds()
	if !start.IsZero() {
		c.from = max(c.from, start.Unix())
	}
	if !end.IsZero() {
		c.to = min(c.to, end.Unix())
	}
	c.date = t.AppendFormat(c.date[:0], "2006-01-02 ")
	c.zone = t.AppendFormat(c.zone[:0], " -0700")
}

// time is i in the location of answers, zero if it is unset.
func (q *Query) time(i state.Instant) time.Time {
	if !i.IsSet() {
		return time.Time{}
	}
	return set(i.In(q.opts.Location))
}

// set is t as a time that counts as set. The zero time.Time means unset, so that
// moment itself becomes a nanosecond later.
func set(t time.Time) time.Time {
	if t.IsZero() {
		return t.Add(1)
	}
	return t
}

// appendTime appends t in TimeLayout, nothing if it is zero.
func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return dst
	}
	return t.AppendFormat(dst, TimeLayout)
}

// parseTime reads a time in TimeLayout or in RFC 3339, to the second; zero for
// "".
func parseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{TimeLayout, time.RFC3339} {
		t, err := time.Parse(layout, text)
		// Parse takes offsets that Format would not write.
		if err != nil || layout == TimeLayout && t.Format(layout) != text {
			continue
		}
		return set(t.Truncate(time.Second)), nil
	}
	return time.Time{}, fmt.Errorf("time %q has neither the layout %q nor that of RFC 3339", text, TimeLayout)
}
