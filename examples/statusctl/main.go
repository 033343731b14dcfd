// Command statusctl works on a pipestatus database file: it records
// operations, shows what was recorded, serves it over HTTP, and examines,
// salvages, copies and moves it.
//
// Its command apply is a protocol as well: JSON Lines in, one operation a
// line, and one line of answer each, in order. See "statusctl apply -h".
package main

import (
	"os"

	"github.com/pipestatus/pipestatus/examples/internal/statusctl"
)

func main() { os.Exit(statusctl.Main(nil)) }
