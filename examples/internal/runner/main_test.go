package runner

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// asProgram in the environment makes the test binary the program itself, so
// that tests can kill it.
const asProgram = "RUNNER_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(Main(nil))
	}
	goleak.VerifyTestMain(m)
}
