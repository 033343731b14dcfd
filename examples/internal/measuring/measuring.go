// Package measuring is shared by the example programs that measure: medians of
// rounds, tables of numbers, progress on a terminal, and their flags.
package measuring

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pipestatus/pipestatus/query/picture"
)

// ErrUsage says that the flags are wrong, which has been reported.
var ErrUsage = errors.New("usage")

// Config holds the values of the flags that the programs share.
type Config struct {
	Dir    string
	JSON   bool
	Rounds int
	Window time.Duration // of one measurement
	Quick  bool
}

// Parse parses the flags in args: those of c, and others that f has already. It
// returns [flag.ErrHelp] or [ErrUsage] after it has printed the reason.
func (c *Config) Parse(f *flag.FlagSet, args []string) error {
	f.StringVar(&c.Dir, "dir", ".", "directory on a real disk; a subdirectory is made and removed")
	f.BoolVar(&c.JSON, "json", false, "print one JSON object a line instead of a table")
	f.IntVar(&c.Rounds, "rounds", 5, "interleaved rounds, of which the medians are shown")
	f.DurationVar(&c.Window, "time", 2*time.Second, "length of one measurement")
	f.BoolVar(&c.Quick, "quick", false, "one tiny round, to see that everything works; its numbers mean nothing")
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return ErrUsage
	case f.NArg() > 0 || c.Rounds < 1 || c.Window <= 0:
		_, _ = fmt.Fprintf(f.Output(), "%s: takes no arguments; -rounds and -time are positive\n", f.Name())
		return ErrUsage
	}
	return nil
}

// Main runs a program with the process's arguments until it ends or the process is
// interrupted, and returns the exit code.
func Main(name string, run func(ctx context.Context, args []string, out, errOut io.Writer) error) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, ErrUsage):
		return 2
	default:
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 1
	}
}

// Series holds the results of the rounds for one figure.
type Series []float64

// Add appends the result of a round.
func (s *Series) Add(v float64) { *s = append(*s, v) }

// Median is the middle value, or the mean of the two in the middle; 0 without
// values.
func (s Series) Median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Number is a value to three significant digits or, if larger, whole.
func Number(v float64) string {
	switch {
	case math.Abs(v) >= 100:
		return Count(int(math.Round(v)))
	case v == 0:
		return "0"
	}
	return strconv.FormatFloat(v, 'f', max(2-int(math.Floor(math.Log10(math.Abs(v)))), 0), 64)
}

// Count is a number with its thousands set apart.
func Count(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// PrintTable prints lines with a cell for each column. A column is the format of its
// cells, such as "%*s " for a cell flush right and a space, or "%-*s" flush left.
func PrintTable(w io.Writer, columns []string, table [][]string) error {
	widths := make([]int, len(columns))
	for _, line := range table {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, line := range table {
		var text []byte
		for i, cell := range line {
			text = fmt.Appendf(text, columns[i], widths[i], cell)
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(string(text), " ")); err != nil {
			return err
		}
	}
	return nil
}

// PrintJSON prints one object a line.
func PrintJSON[T any](w io.Writer, rows []T) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for i := range rows {
		if err := enc.Encode(&rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// Progress shows the current measurement on a terminal, in one line that it
// overwrites. Elsewhere it only names each group.
type Progress struct {
	w        io.Writer
	terminal bool
	begin    time.Time
	group    string
}

// NewProgress begins to show progress.
func NewProgress(w io.Writer) *Progress {
	p := &Progress{w: w, begin: time.Now()}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// Group names the group of the following measurements.
func (p *Progress) Group(name string) {
	p.group = name
	if !p.terminal {
		_, _ = fmt.Fprintf(p.w, "%s %s\n", p.elapsed(), name)
	}
}

// Show names a measurement that begins.
func (p *Progress) Show(what string) {
	if p.group != "" {
		what = p.group + ", " + what
	}
	if p.terminal {
		_, _ = fmt.Fprintf(p.w, "\r\x1b[K%s %s", p.elapsed(), what)
	}
}

// Clear removes the line.
func (p *Progress) Clear() {
	if p.terminal {
		_, _ = fmt.Fprint(p.w, "\r\x1b[K")
	}
}

func (p *Progress) elapsed() string { return picture.Duration(time.Since(p.begin)) }
