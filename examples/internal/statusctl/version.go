package statusctl

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

var versionCommand = command{
	name: "version", summary: "print the version of this program",
	run: func(_ context.Context, t *tool, _ []string) error {
		v := programVersion(debug.ReadBuildInfo())
		if t.json {
			return writeLine(t.stdout, v)
		}
		_, err := fmt.Fprintf(t.stdout, "statusctl %s%s, %s %s/%s\n", v.Version, v.revision(), v.Go, runtime.GOOS, runtime.GOARCH)
		return err
	},
}

// buildVersion describes a build.
type buildVersion struct {
	Version  string `json:"version"` // of the module, "(devel)" if it was built from a checkout
	Commit   string `json:"commit"`  // "" if the build does not know it
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
}

func programVersion(info *debug.BuildInfo, ok bool) buildVersion {
	v := buildVersion{Version: "(devel)", Go: runtime.Version()}
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			v.Commit = setting.Value
		case "vcs.modified":
			v.Modified = setting.Value == "true"
		}
	}
	return v
}

func (v *buildVersion) revision() string {
	if v.Commit == "" {
		return ""
	}
	text := " (" + v.Commit[:min(len(v.Commit), 12)]
	if v.Modified {
		text += ", modified"
	}
	return text + ")"
}
