package main

import (
	"os"

	"github.com/pipestatus/pipestatus/examples/internal/runner"
)

func main() { os.Exit(runner.Main(nil)) }
