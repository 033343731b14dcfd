package engine_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// A default that the command line overrides: each check commits some
	// hundred times to a file.
	flag.Set("rapid.checks", "15")
	goleak.VerifyTestMain(m)
}
