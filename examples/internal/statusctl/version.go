package statusctl

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

var versionCommand = command{
	name: "version", summary: "print the version of this program",
	run: func(_ context.Context, t *tool, _ []string) error {
		v := buildVersion{Go: runtime.Version()}
		if info, ok := debug.ReadBuildInfo(); ok {
			v.Version = info.Main.Version
		}
		v.Version = cmp.Or(v.Version, "(devel)")
		if t.json {
			return writeLine(t.stdout, v)
		}
		_, err := fmt.Fprintf(t.stdout, "statusctl %s, %s %s/%s\n", v.Version, v.Go, runtime.GOOS, runtime.GOARCH)
		return err
	},
}

// buildVersion describes a build. The version of one from a checkout names the commit.
type buildVersion struct {
	Version string `json:"version"` // "(devel)" if the build does not know it
	Go      string `json:"go"`
}
