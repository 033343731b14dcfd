package picture_test

import (
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
)

func TestTheCauseIsTheLastInformativeLine(t *testing.T) {
	for text, want := range map[string]string{
		"": "", " \n\t\n---\n": "", "boom": "boom", "boom\n\n": "boom",
		"Traceback (most recent call last):\n  File \"a.py\", line 1\nValueError: no\n\n": "ValueError: no",
		"ld: cannot find -lz\nexit status 1":                                              "ld: cannot find -lz",
		"exit status 1":                                                                   "exit status 1",
		"exit status 1: out of disk":                                                      "exit status 1: out of disk",
		"a\r50%\r100%\r\n\x1b[31mred\x1b[0m\x1b]0;title\x07 and \u202edead\r\n\x1b[2K":    "red and �dead",
		"^^^^^\n}\n": "",
	} {
		if got := picture.Cause(text); got != want {
			t.Errorf("of %q the cause is %q, want %q", text, got, want)
		}
	}
}

func TestAWholeErrorTextKeepsItsLines(t *testing.T) {
	if got, want := picture.Plain("a:\r\n\tb \x1b[1mc\x1b[0m\n\nd\n\n"), "a:\n    b c\n\nd"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestRemarksDescribeUnusualFacts(t *testing.T) {
	at := time.Date(2026, 3, 1, 3, 12, 0, 0, time.UTC)
	for want, a := range map[string]state.Attempt{
		"":                                   {Loop: 1},
		"retried":                            {Retries: 1},
		"retried 3×, skipped, loop 2":        {Retries: 3, Skips: 1, Loop: 2},
		"error ignored":                      {ErrorIgnored: true},
		"retry at 2026-03-01 03:12:00 +0000": {RetryAt: state.InstantOf(at)},
	} {
		if got := picture.Remarks(&a, time.UTC); got != want {
			t.Errorf("%+v: %q, want %q", a, got, want)
		}
	}
}
