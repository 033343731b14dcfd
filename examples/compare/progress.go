package main

import (
	"fmt"
	"io"
	"os"
)

// progress tells on a terminal, in one line that is drawn again and again,
// what is being measured. Elsewhere it is silent.
type progress struct{ w io.Writer }

func newProgress(w io.Writer) *progress {
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return &progress{w}
		}
	}
	return &progress{io.Discard}
}

func (p *progress) show(what string) { _, _ = fmt.Fprintf(p.w, "\r\x1b[K%s", what) }

func (p *progress) clear() { _, _ = fmt.Fprint(p.w, "\r\x1b[K") }
