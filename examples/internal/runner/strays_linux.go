package runner

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// stray is a process of a command, in its group or not. The time it was started
// tells it from another that got its number later.
type stray struct {
	pid     int
	started string
}

// look finds the processes of a command that live: what its leader started, by
// the parents of each process, what has its mark, and what was found before.
// It does not find a process that has cleared its environment and lost its parents
// between two calls.
func (p *processes) look(leader int) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	children := map[int][]stray{}
	var living []stray
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s, parent, ok := readStat(pid); ok {
			children[parent] = append(children[parent], s)
			living = append(living, s)
		}
	}
	before := p.known
	p.known = nil
	own := os.Getpid()
	for _, s := range living {
		if s.pid != own && (s.pid == leader || slices.Contains(before, s) || p.marked(s.pid)) {
			p.known = append(p.known, s)
		}
	}
	for i := 0; i < len(p.known); i++ {
		for _, s := range children[p.known[i].pid] {
			if !slices.Contains(p.known, s) {
				p.known = append(p.known, s)
			}
		}
	}
}

// readStat reads who a process is and its parent; ok is false if it has ended.
func readStat(pid int) (s stray, parent int, ok bool) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return s, 0, false
	}
	// The name, in parentheses, may hold anything.
	const state, ppid, startTime = 0, 1, 19
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) <= startTime || fields[state] == "Z" || fields[state] == "X" {
		return s, 0, false
	}
	parent, err = strconv.Atoi(fields[ppid])
	return stray{pid, fields[startTime]}, parent, err == nil
}

// marked reports whether the process was started with the command's mark.
func (p *processes) marked(pid int) bool {
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	return err == nil && slices.ContainsFunc(bytes.Split(environ, []byte{0}), func(v []byte) bool { return string(v) == p.mark })
}

// signal sends the process a signal, unless another has its number now.
func (s stray) signal(sig syscall.Signal) {
	process, err := os.FindProcess(s.pid) // holds on to the process
	if err != nil {
		return
	}
	defer func() { _ = process.Release() }()
	if now, _, ok := readStat(s.pid); ok && now == s {
		_ = process.Signal(sig)
	}
}
