package runner

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/pipestatus/pipestatus/examples/internal/runner/expression"
)

const (
	// tailLines is how many lines of output an error text keeps.
	tailLines = 10
	// headBytes and endBytes are the lengths of the beginning and the end that are
	// kept of a long line.
	headBytes, endBytes = 512, 512
	// setPrefix begins a line that sets a variable.
	setPrefix = "::set "
)

// output receives the output of a command. It keeps the last lines, for the error
// text of a failure, and the variables that were set.
type output struct {
	maySet  func(name string) error // reports why a variable may not be set; nil: any may
	lines   []string                // the last, at most tailLines
	line    outputLine              // the one being written
	set     map[string]string
	problem string // the first one with a line that sets a variable
}

// outputLine is a line that is being written. After a carriage return, further output
// overwrites the line from its beginning, as on a terminal.
type outputLine struct {
	head     []byte // of a line that sets a variable, all that it may be
	end      []byte
	left     int    // bytes between head and end
	returned bool   // the last was a carriage return
	before   string // what was overwritten last, and is not blank
}

// maxSetLine is how long a line that sets a variable may be.
const maxSetLine = len(setPrefix) + 256 + maxValueBytes

// Write never fails.
func (o *output) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		i := bytes.IndexAny(p, "\r\n")
		if i < 0 {
			o.line.write(p)
			break
		}
		o.line.write(p[:i])
		if p[i] == '\n' {
			o.end()
		} else {
			o.line.carriageReturn()
		}
		p = p[i+1:]
	}
	return written, nil
}

func (l *outputLine) write(p []byte) {
	if len(p) == 0 {
		return
	}
	if l.returned {
		l.returned = false
		if l.sets() {
			l.keep([]byte{'\r'})
		} else {
			*l = outputLine{head: l.head[:0], end: l.end[:0], before: l.shown()}
		}
	}
	l.keep(p)
}

func (l *outputLine) carriageReturn() {
	if l.returned && l.sets() {
		l.keep([]byte{'\r'})
	}
	l.returned = true
}

// keep adds to the line.
func (l *outputLine) keep(p []byte) {
	for len(p) > 0 {
		room := headBytes
		if l.sets() {
			room = maxSetLine
		} else if len(l.head) < len(setPrefix) {
			room = len(setPrefix)
		}
		n := min(len(p), room-len(l.head))
		if n <= 0 {
			break
		}
		l.head = append(l.head, p[:n]...)
		p = p[n:]
	}
	l.end = append(l.end, p...)
	if more := len(l.end) - endBytes; more > 0 {
		l.left += more
		l.end = append(l.end[:0], l.end[more:]...)
	}
}

// sets reports whether the line sets a variable.
func (l *outputLine) sets() bool { return bytes.HasPrefix(l.head, []byte(setPrefix)) }

// shown is the line for people: without the middle if it is long, and the overwritten
// text if it is blank.
func (l *outputLine) shown() string {
	text := string(l.head)
	if len(text) > headBytes {
		text = text[:headBytes]
	}
	if left := l.left + len(l.head) - len(text); left > 0 {
		text += fmt.Sprintf("… %d bytes …", left)
	}
	text += string(l.end)
	if strings.TrimSpace(text) == "" && l.before != "" {
		return l.before
	}
	return text
}

// end ends the line.
func (o *output) end() {
	l := &o.line
	if !l.sets() || !o.assign(l) {
		if len(o.lines) == tailLines {
			o.lines = append(o.lines[:0], o.lines[1:]...)
		}
		o.lines = append(o.lines, l.shown())
	}
	*l = outputLine{head: l.head[:0], end: l.end[:0]}
}

// assign sets the variable that a line sets. It returns false if the line is of
// another form.
func (o *output) assign(l *outputLine) bool {
	name, value, ok := strings.Cut(string(l.head[len(setPrefix):]), "=")
	if !ok || !expression.IsName(name) {
		return false
	}
	refuse := func(format string, args ...any) {
		if o.problem == "" {
			o.problem = fmt.Sprintf("%s%s: ", setPrefix, name) + fmt.Sprintf(format, args...)
		}
	}
	if o.set == nil {
		o.set = map[string]string{}
	}
	if o.maySet != nil {
		if err := o.maySet(name); err != nil {
			refuse("%v", err)
			return true
		}
	}
	switch old, had := o.set[name]; {
	case len(value) > maxValueBytes || len(l.end) > 0:
		refuse("the value is longer than %d bytes", maxValueBytes)
	case strings.Contains(value, "\x00"):
		refuse("the value contains a NUL, which no environment can hold")
	case !utf8.ValidString(value):
		refuse("the value is not UTF-8")
	default:
		o.set[name] = value
		if size(o.set) > maxSetBytes {
			refuse("all values together are longer than %d bytes", maxSetBytes)
			delete(o.set, name)
			if had {
				o.set[name] = old
			}
		}
	}
	return true
}

// tail is the last lines, without blank ones around them.
func (o *output) tail() string {
	if o.line.returned || len(o.line.head) > 0 {
		o.end()
	}
	lines := o.lines
	for len(lines) > 0 && strings.TrimSpace(lines[0]) == "" {
		lines = lines[1:]
	}
	return strings.TrimRight(strings.Join(lines, "\n"), " \t\r\n")
}
