package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/pipestatus/pipestatus/examples/internal/measuring"
)

// row is one figure of one contender.
type row struct {
	Figure string  `json:"figure"`
	Of     string  `json:"of"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	// Disk is the disk's own rate in the same run, and Ratio the value divided
	// by it; for rates only.
	Disk  float64 `json:"disk,omitempty"`
	Ratio float64 `json:"ratio,omitempty"`
}

const diskFigure = "fdatasynced appends of 4 KiB"

func rateFigure(writers int) string {
	if writers == 1 {
		return "nodes started and finished, 1 writer"
	}
	return fmt.Sprintf("nodes started and finished, %d writers", writers)
}

func statusFigure(nodes int, loaded bool) string {
	return fmt.Sprintf("status of %s nodes, %s", measuring.Count(nodes), map[bool]string{false: "idle", true: "while 32 write"}[loaded])
}

func (c *config) report(all []entry, found []*results, appends float64) []row {
	rows := []row{{Figure: diskFigure, Of: "the disk", Value: appends, Unit: "/s"}}
	for i := range all {
		of := all[i].name
		for _, n := range writers {
			rate := found[i].rates[n].Median()
			rows = append(rows, row{rateFigure(n), of, rate, "/s", appends, rate / appends})
		}
		for _, n := range c.sizes {
			rows = append(rows,
				row{Figure: statusFigure(n, false), Of: of, Value: found[i].idle[n].Median(), Unit: "ms"},
				row{Figure: statusFigure(n, true), Of: of, Value: found[i].loaded[n].Median(), Unit: "ms"})
		}
	}
	return rows
}

// printTable prints a line for each contender, and explanations below.
func printTable(w io.Writer, c *config, rows []row) error {
	value := make(map[[2]string]*row) // by figure and contender
	for i := range rows {
		value[[2]string{rows[i].Figure, rows[i].Of}] = &rows[i]
	}
	table := [][]string{{""}, {""}}
	for _, n := range writers {
		table[0] = append(table[0], "nodes/s")
		table[1] = append(table[1], map[bool]string{true: "1 writer", false: fmt.Sprintf("%d writers", n)}[n == 1])
	}
	for _, n := range c.sizes {
		table[0] = append(table[0], "status, ms")
		table[1] = append(table[1], fmt.Sprintf("%s nodes", measuring.Count(n)))
	}
	all := entries()
	for i := range all {
		line := []string{all[i].name}
		for _, n := range writers {
			r := value[[2]string{rateFigure(n), all[i].name}]
			line = append(line, fmt.Sprintf("%s (%s ×)", measuring.Number(r.Value), measuring.Number(r.Ratio)))
		}
		for _, n := range c.sizes {
			idle, loaded := value[[2]string{statusFigure(n, false), all[i].name}], value[[2]string{statusFigure(n, true), all[i].name}]
			line = append(line, measuring.Number(idle.Value)+" / "+measuring.Number(loaded.Value))
		}
		table = append(table, line)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s/%s, %d CPUs, %s; %d rounds of %v, medians\n", runtime.GOOS, runtime.GOARCH,
		runtime.GOMAXPROCS(0), runtime.Version(), c.Rounds, c.Window)
	fmt.Fprintf(&b, "the disk in %s: %s %s a second, of which (×) each rate is told\n", c.Dir, measuring.Number(rows[0].Value), diskFigure)
	fmt.Fprintf(&b, "nodes/s: started and finished, in tasks of %d; status: idle / while 32 write\n\n", c.nodes)
	columns := append([]string{"%-*s"}, slices.Repeat([]string{"   %*s"}, len(table[0])-1)...)
	if err := measuring.PrintTable(&b, columns, table); err != nil {
		return err
	}
	for i := range all {
		name := strings.TrimSpace(all[i].name + " " + version(all[i].module))
		fmt.Fprintf(&b, "\n%s\n  a node: %s\n  status: %s\n", name, all[i].node, all[i].asked)
	}
	fmt.Fprintf(&b, "\nThe three on SQLite use modernc.org/sqlite %s, write-ahead log, synchronous=FULL on every connection.\n", version("modernc.org/sqlite"))
	_, err := io.WriteString(w, b.String())
	return err
}

// version is that of a module in this program.
func version(module string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == module {
			return m.Version
		}
	}
	return ""
}
