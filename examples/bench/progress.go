package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progress tells on a terminal, in one line that is drawn again and again,
// what is being measured. Elsewhere it only names each group.
type progress struct {
	w        io.Writer
	terminal bool
	begin    time.Time
	name     string // of the group
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, begin: time.Now()}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

func (p *progress) group(name string) {
	p.name = name
	if !p.terminal {
		_, _ = fmt.Fprintf(p.w, "%s %s\n", p.elapsed(), name)
	}
}

func (p *progress) show(what string) {
	if p.terminal {
		_, _ = fmt.Fprintf(p.w, "\r\x1b[K%s %s, %s", p.elapsed(), p.name, what)
	}
}

func (p *progress) clear() {
	if p.terminal {
		_, _ = fmt.Fprint(p.w, "\r\x1b[K")
	}
}

func (p *progress) elapsed() string {
	d := time.Since(p.begin)
	return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}
