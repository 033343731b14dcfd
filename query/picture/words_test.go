package picture_test

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
)

func TestTheCauseIsTheLastInformativeLine(t *testing.T) {
	table, err := os.ReadFile("testdata/causes.json")
	if err != nil {
		t.Fatal(err)
	}
	var causes map[string]string
	if err := json.Unmarshal(table, &causes); err != nil || len(causes) == 0 {
		t.Fatal(err)
	}
	for text, want := range causes {
		if got := picture.Cause(text); got != want {
			t.Errorf("of %q the cause is %q, want %q", text, got, want)
		}
	}
}

func TestDurationsAreShownInFullUnits(t *testing.T) {
	table, err := os.ReadFile("testdata/durations.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Milliseconds float64
		Shown        string
	}
	if err := json.Unmarshal(table, &cases); err != nil || len(cases) == 0 {
		t.Fatal(err)
	}
	for _, c := range cases {
		if got := picture.Duration(time.Duration(c.Milliseconds * 1e6)); got != c.Shown {
			t.Errorf("%v ms: %q, want %q", c.Milliseconds, got, c.Shown)
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
