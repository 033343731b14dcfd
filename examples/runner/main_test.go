package main

import (
	"os"
	"os/signal"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// asProgram in the environment makes the test binary the program itself, so
// that tests can kill it.
const asProgram = "RUNNER_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		signals := make(chan os.Signal, 2)
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
		os.Exit(invoke(os.Args[1:], signals, os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}
