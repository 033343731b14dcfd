// Package arguments reads the command lines of the example programs.
package arguments

import (
	"flag"
	"io"
)

// Parse parses flags and returns the other arguments. If mixed, flags may also
// follow an argument; "--" ends them. Errors and help are returned, not printed.
func Parse(flags *flag.FlagSet, args []string, mixed bool) (rest []string, err error) {
	flags.SetOutput(io.Discard)
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		parsed := len(args) - flags.NArg()
		end := parsed > 0 && args[parsed-1] == "--"
		args = flags.Args()
		if !mixed || end || len(args) == 0 {
			return append(rest, args...), nil
		}
		rest, args = append(rest, args[0]), args[1:]
	}
}
