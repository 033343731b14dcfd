// Command release does for a release what the go command cannot: it puts versions in
// place of replaces, and makes a module proxy from the tags of a repository.
//
//	release versions REPOSITORY VERSION DIR…        # edits DIR/go.mod
//	release proxy REPOSITORY VERSION PROXY DIR…     # adds each DIR's module to PROXY
//
// A DIR is a module's directory in the repository, "." for the root.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) > 3 && args[0] == "versions":
		return versions(args[1], args[2], args[3:])
	case len(args) > 4 && args[0] == "proxy":
		return proxy(args[1], args[2], args[3], args[4:])
	}
	return errors.New("usage: release versions REPOSITORY VERSION DIR…, or release proxy REPOSITORY VERSION PROXY DIR…")
}

// read is the go.mod of a module.
func read(repository, dir string) (*modfile.File, error) {
	name := filepath.Join(repository, dir, "go.mod")
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return modfile.Parse(name, text, nil)
}

// versions has modules require the repository's own modules at a version, without
// replacing them by directories.
func versions(repository, version string, dirs []string) error {
	for _, dir := range dirs {
		file, err := read(repository, dir)
		if err != nil {
			return err
		}
		for _, r := range file.Replace {
			if r.New.Version != "" {
				return fmt.Errorf("%s replaces %s by another module: a release cannot", file.Module.Mod.Path, r.Old.Path)
			}
			if err := errors.Join(file.AddRequire(r.Old.Path, version), file.DropReplace(r.Old.Path, r.Old.Version)); err != nil {
				return err
			}
		}
		file.Cleanup()
		text, err := file.Format()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(repository, dir, "go.mod"), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// tag names a version of the module in a directory.
func tag(dir, version string) string { return path.Join(dir, version) }

// proxy adds modules to a directory that GOPROXY can name, as the tags have them.
func proxy(repository, version, out string, dirs []string) error {
	repository, err := filepath.Abs(repository)
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		file, err := read(repository, dir)
		if err != nil {
			return err
		}
		if len(file.Replace) > 0 {
			return fmt.Errorf("%s has replace directives", file.Module.Mod.Path)
		}
		if err := add(repository, dir, module.Version{Path: file.Module.Mod.Path, Version: version}, out); err != nil {
			return fmt.Errorf("%s: %w", file.Module.Mod.Path, err)
		}
	}
	return nil
}

func add(repository, dir string, m module.Version, out string) (err error) {
	escaped, err := module.EscapePath(m.Path)
	if err != nil {
		return err
	}
	to := filepath.Join(out, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	info, err := json.Marshal(struct {
		Version string
		Time    time.Time
	}{m.Version, time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(repository, dir, "go.mod"))
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{"list": []byte(m.Version + "\n"), m.Version + ".info": info, m.Version + ".mod": mod} {
		if err := os.WriteFile(filepath.Join(to, name), content, 0o644); err != nil {
			return err
		}
	}
	f, err := os.Create(filepath.Join(to, m.Version+".zip"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	subdir := dir
	if dir == "." {
		subdir = ""
	}
	return zip.CreateFromVCS(f, m, repository, tag(dir, m.Version), subdir)
}
