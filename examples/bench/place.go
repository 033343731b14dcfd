package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// place is the file system of a directory, "" for unknown values.
type place struct{ fs, device string }

func (p place) String() string {
	if p.fs == "" {
		return "an unknown file system"
	}
	return fmt.Sprintf("%s on %s", p.fs, p.device)
}

func (p place) inMemory() bool { return p.fs == "tmpfs" || p.fs == "ramfs" }

// placeOf looks a directory, an absolute path, up in Linux's table of mounts; on other systems
// the place is not known.
func placeOf(dir string) (place, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return place{}, err
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return place{}, nil
	}
	return findMount(table, dir), nil
}

// findMount returns the last of the longest mount points that dir is below.
// A line is: ID, parent, device number, root, mount point, options, any number
// of optional fields, "-", type, source, options.
func findMount(table []byte, dir string) (found place) {
	longest := -1
	for lines := bufio.NewScanner(bytes.NewReader(table)); lines.Scan(); {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		fields, rest := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(rest) < 2 {
			continue
		}
		point := strings.ReplaceAll(fields[4], `\040`, " ")
		if len(point) >= longest && (dir == point || strings.HasPrefix(dir, strings.TrimSuffix(point, "/")+"/")) {
			longest, found = len(point), place{fs: rest[0], device: rest[1]}
		}
	}
	return found
}
