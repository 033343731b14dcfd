package statusctl

import (
	"encoding/json"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/state"
)

// moment takes a time: Unix seconds as a number, or RFC 3339 as a string.
func (f *form) moment(name string) (at time.Time, given bool) {
	raw, given := f.take(name)
	if !given {
		return time.Time{}, false
	}
	var ok bool
	switch c := raw[0]; {
	case c == '"':
		var text string
		if ok = json.Unmarshal(raw, &text) == nil && rfc3339.MatchString(text); ok {
			var err error
			at, err = time.Parse(time.RFC3339, text)
			ok = err == nil
		}
	case c == '-' || '0' <= c && c <= '9':
		at, ok = parseUnix(string(raw))
	}
	switch {
	case !ok:
		f.fail("%q is neither Unix seconds nor an RFC 3339 time", name)
	case !state.InstantOf(at).Valid():
		f.fail("%q is outside the years 1 to 9999", name)
	}
	return at, true
}

// rfc3339 refuses forms that package time accepts but RFC 3339 does not: hours of
// one digit, a comma before the fraction, offsets of more than a day.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// parseUnix reads a JSON number as seconds since the Unix epoch, without the
// rounding of floats: 0.1 is 100,000,000 nanoseconds. Digits beyond a nanosecond are
// dropped, as in RFC 3339 times.
func parseUnix(number string) (at time.Time, ok bool) {
	const maxLength, maxExponent = 64, 32 // so that no number takes long
	if len(number) > maxLength {
		return time.Time{}, false
	}
	if _, exponent, found := strings.Cut(strings.ToLower(number), "e"); found {
		if e, err := strconv.Atoi(exponent); err != nil || max(e, -e) > maxExponent {
			return time.Time{}, false
		}
	}
	r, ok := new(big.Rat).SetString(number)
	if !ok {
		return time.Time{}, false
	}
	second := big.NewInt(int64(time.Second))
	r.Mul(r, new(big.Rat).SetInt(second))
	nanoseconds := new(big.Int).Div(r.Num(), r.Denom())
	sec, nsec := nanoseconds.DivMod(nanoseconds, second, new(big.Int))
	return time.Unix(sec.Int64(), nsec.Int64()), sec.IsInt64()
}
