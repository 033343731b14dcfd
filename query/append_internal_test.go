package query

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// wantString is s as encoding/json encodes it, without HTML escapes.
func wantString(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

func TestStringsAreEscapedAsEncodingJSONEscapesThem(t *testing.T) {
	for _, s := range []string{
		"", "plain", `<class 'a'> & "b" \ /`, "\b\f\n\r\t", "\x00\x1f\x7f", "\u2028 and \u2029", "\ufffd\ufffe\uffff",
		"流程 \U0001f600", "\xff", "a\xc3", "\xed\xa0\x80", "\xe2\x80", "\xf4\x90\x80\x80", "\xc0\x80", "x\u2028", "\u2027\u202a",
	} {
		if got, want := string(appendString(nil, s)), wantString(t, s); got != want {
			t.Errorf("%q is written %s, encoding/json writes %s", s, got, want)
		}
	}
	for r := rune(0); r <= utf8.MaxRune; r++ {
		if s := "a" + string(r); string(appendString(nil, s)) != wantString(t, s) {
			t.Fatalf("%U is written %s, encoding/json writes %s", r, appendString(nil, s), wantString(t, s))
		}
		if r == 0x3000 {
			r = 0xffff0 // no character between these two needs an escape
		}
	}
}

// The test covers every byte at every position, because isPlain tests eight bytes together.
func TestAStringIsPlainIfAllItsBytesAre(t *testing.T) {
	for length := range 20 {
		for at := range length {
			for _, fill := range []byte{' ', '!', '#', '[', ']', '~', 0x7f} {
				s := bytes.Repeat([]byte{fill}, length)
				for c := range 256 {
					if s[at] = byte(c); isPlain(string(s)) != plain[c] {
						t.Fatalf("%q is plain: %t", s, !plain[c])
					}
				}
			}
		}
	}
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", "<\"\\\n>", "\u2028\x00", "a\xffb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := string(appendString([]byte("x"), s)), "x"+wantString(t, s); got != want {
			t.Errorf("%q is written %s, encoding/json writes %s", s, got, want)
		}
	})
}
