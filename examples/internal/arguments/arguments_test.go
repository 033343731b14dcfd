package arguments_test

import (
	"flag"
	"slices"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/examples/internal/arguments"
)

func TestFlagsMayFollowArgumentsIfMixed(t *testing.T) {
	for line, want := range map[string]struct {
		mixed bool
		rest  string
		x     bool
	}{
		"-x a b":    {true, "a b", true},
		"a -x b":    {true, "a b", true},
		"a b -x":    {true, "a b", true},
		"a -- -x b": {true, "a -x b", false},
		"-- -x":     {true, "-x", false},
		"a b":       {false, "a b", false},
		"-x a -y":   {false, "a -y", true},
	} {
		flags := flag.NewFlagSet("", flag.ContinueOnError)
		x := flags.Bool("x", false, "")
		rest, err := arguments.Parse(flags, strings.Fields(line), want.mixed)
		if err != nil || *x != want.x || !slices.Equal(rest, strings.Fields(want.rest)) {
			t.Errorf("%s: x is %v, arguments %q, %v", line, *x, rest, err)
		}
	}
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	if _, err := arguments.Parse(flags, []string{"a", "-y"}, true); err == nil {
		t.Error("an unknown flag after an argument is no error")
	}
}
