package statusctl

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestLinesAreReadOneByOne(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for name, test := range map[string]struct {
		in   string
		want []string // "!" for a line that is too long
	}{
		"nothing":                            {"", nil},
		"only newlines":                      {"\n\r\n \t\n", nil},
		"one line":                           {"a\n", []string{"a"}},
		"no newline at the end":              {"a\nb", []string{"a", "b"}},
		"carriage returns":                   {"a\r\n\r\nb\r\n", []string{"a", "b"}},
		"blank lines between":                {"\n\na\n  \nb\n\n", []string{"a", "b"}},
		"the longest line":                   {long + "\nb\n", []string{long, "b"}},
		"the longest line without a newline": {long, []string{long}},
		"a byte too many":                    {"a\n" + long + "x\nb\n", []string{"a", "!", "b"}},
		"a byte too many at the end":         {long + "x", []string{"!"}},
		"several times too long":             {long + long + long + "\nb", []string{"!", "b"}},
		"two that are too long":              {long + "x\n" + long + "x\n", []string{"!", "!"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newLineReader(strings.NewReader(test.in), maxLine)
			var got []string
			for {
				line, err := r.next()
				if errors.Is(err, io.EOF) {
					break
				}
				switch {
				case errors.Is(err, errLineTooLong):
					got = append(got, "!")
				case err != nil:
					t.Fatal(err)
				default:
					got = append(got, strings.TrimRight(string(line), "\r\n"))
				}
			}
			if strings.Join(got, "\n") != strings.Join(test.want, "\n") {
				t.Errorf("read %d lines, want %d", len(got), len(test.want))
			}
		})
	}
}

func TestAFailedReadIsAnError(t *testing.T) {
	broken := errors.New("broken")
	r := newLineReader(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken)), maxLine)
	if line, err := r.next(); err != nil || string(line) != "a\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := r.next(); !errors.Is(err, broken) {
		t.Error(err)
	}
}
