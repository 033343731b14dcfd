package runner

import (
	"bytes"
	"strings"
)

const (
	tailLines = 10
	lineBytes = 1024
)

// output takes what a command writes. It keeps the last lines, for the error
// text of a failure, and the variables that were set.
type output struct {
	lines   []string // the last, at most tailLines
	partial []byte   // the line being written, at most lineBytes
	set     map[string]string
}

// Write never fails.
func (o *output) Write(p []byte) (int, error) {
	written := len(p)
	for {
		line, rest, ended := bytes.Cut(p, []byte("\n"))
		o.partial = append(o.partial, line[:min(len(line), lineBytes-len(o.partial))]...)
		if !ended {
			return written, nil
		}
		o.line()
		p = rest
	}
}

// line ends the partial line.
func (o *output) line() {
	line := strings.TrimRight(string(o.partial), "\r")
	o.partial = o.partial[:0]
	if assignment, ok := strings.CutPrefix(line, "::set "); ok {
		if name, value, ok := strings.Cut(assignment, "="); ok && isName(name) {
			if o.set == nil {
				o.set = map[string]string{}
			}
			o.set[name] = value
			return
		}
	}
	if len(o.lines) == tailLines {
		o.lines = append(o.lines[:0], o.lines[1:]...)
	}
	o.lines = append(o.lines, line)
}

// tail is the last lines.
func (o *output) tail() string {
	if len(o.partial) > 0 {
		o.line()
	}
	return strings.TrimSpace(strings.Join(o.lines, "\n"))
}
