package statusctl

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
)

var generated = regexp.MustCompile(`"[0-9a-f]{32}"`)

// Cases from reports about such systems, which earlier rules refused or got wrong.
// The bubble's clock stands still, so that operations without a time always have the
// same answers.
func TestCasesFromReports(t *testing.T) {
	inputs, err := filepath.Glob("testdata/apply/cases/*.jsonl")
	if err != nil || len(inputs) == 0 {
		t.Fatal("no cases", err)
	}
	for _, in := range inputs {
		name := strings.TrimSuffix(filepath.Base(in), ".jsonl")
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := succeed(t, read(t, in), "apply", "-tz", "UTC", "-db", ":memory:")
				got = generated.ReplaceAllString(errorText.ReplaceAllString(got, `$1"error":"…"`), `"…"`)
				golden(t, "apply/cases/"+name+".golden", got)
			})
		})
	}
}
