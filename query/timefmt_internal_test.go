package query

import (
	"testing"
	"time"
	_ "time/tzdata" // the zones are the same everywhere

	"github.com/pipestatus/pipestatus/state"
)

// zones are locations with whole and odd offsets, with seconds in their local
// mean time, and with days that are shorter, longer, skipped and repeated.
func zones(t testing.TB) []*time.Location {
	t.Helper()
	list := []*time.Location{
		time.UTC, time.FixedZone("", 8*3600), time.FixedZone("", -(11*3600 + 59*60 + 59)), time.FixedZone("", 23*3600+59),
	}
	for _, name := range []string{
		"Asia/Shanghai", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia",
		"Africa/Monrovia", "Asia/Kathmandu", "America/Sao_Paulo", "Africa/Casablanca",
	} {
		loc, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, loc)
	}
	return list
}

func sameAsPackageTime(t *testing.T, face *clockFace, sec int64) {
	t.Helper()
	got, want := string(face.append(nil, state.UnixInstant(sec, 0))), state.UnixInstant(sec, 0).In(face.loc).Format(TimeLayout)
	if got != want {
		t.Errorf("%d in %s: %q, package time says %q", sec, face.loc, got, want)
	}
}

func TestTimesReadAsPackageTimeFormatsThem(t *testing.T) {
	const first, last = -62135596800, 253402300799 // years 1 to 9999
	for _, loc := range zones(t) {
		face := clockFace{loc: loc}
		sec := time.Date(2018, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
		for range 366 * 24 * 4 {
			sameAsPackageTime(t, &face, sec)
			sec += 899 // a prime number of seconds less than a quarter of an hour
		}
		for _, sec := range []int64{first, first + 1, -1, 0, 1, last - 1, last, first - 1e9, last + 1e9} {
			sameAsPackageTime(t, &face, sec)
		}
		for sec := int64(0); sec < 2*24*3600; sec += 899 {
			sameAsPackageTime(t, &face, first+sec)
			sameAsPackageTime(t, &face, last-sec)
		}
		for sec := int64(first); sec < last; sec += 86_399 * 997 {
			sameAsPackageTime(t, &face, sec)
		}
		// Both sides of every change of the offset from 1850 to 2040.
		at := time.Date(1850, 1, 1, 0, 0, 0, 0, time.UTC).In(loc)
		for at.Year() < 2040 {
			_, end := at.ZoneBounds()
			if end.IsZero() {
				break
			}
			for d := int64(-2); d <= 2; d++ {
				sameAsPackageTime(t, &face, end.Unix()+d)
			}
			at = end
		}
	}
}

func TestAnUnsetTimeIsEmptyAndTheZeroTimeIsNot(t *testing.T) {
	face := clockFace{loc: time.UTC}
	if got := string(face.append(nil, state.Instant{})); got != "" {
		t.Errorf("unset: %q", got)
	}
	if got, want := string(face.append(nil, state.InstantOf(time.Time{}))), "0001-01-01 00:00:00 +0000"; got != want {
		t.Errorf("the zero time: %q, want %q", got, want)
	}
}

func FuzzTimes(f *testing.F) {
	f.Add(0, int64(0), int64(1524730114))
	f.Add(5, int64(1520751600), int64(1520751599))
	zones := zones(f)
	f.Fuzz(func(t *testing.T, loc int, first, second int64) {
		const years = 300_000_000_000 // a little more than may occur
		face := clockFace{loc: zones[uint(loc)%uint(len(zones))]}
		sameAsPackageTime(t, &face, first%years)
		sameAsPackageTime(t, &face, second%years)
	})
}
