package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/pipestatus/pipestatus/examples/internal/measuring"
)

// bench is a run.
type bench struct {
	*config
	dir      string // emptied after each group
	progress *measuring.Progress
	rows     []row
}

// group is a set of figures that are measured together.
type group struct {
	name    string
	figures []string
	measure func(b *bench, ctx context.Context) error
}

func (b *bench) groups() []group {
	return []group{
		{"writers", b.writerFigures(), (*bench).measureWriters},
		{"snapshots", b.snapshotFigures(), (*bench).measureSnapshots},
		{"mixed", mixedFigures, (*bench).measureMixed},
		{"memory", memoryFigures, (*bench).measureMemory},
		{"disk", diskFigures, (*bench).measureDisk},
		{"stored", b.storedFigures(), (*bench).measureStored},
	}
}

// all measures every group that has a figure to show.
func (b *bench) all(ctx context.Context) error {
	for _, g := range b.groups() {
		if !slices.ContainsFunc(g.figures, b.only.MatchString) {
			continue
		}
		b.progress.Group(g.name)
		if err := g.measure(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
		if err := b.empty(); err != nil {
			return err
		}
	}
	return nil
}

// add appends a row if its figure was selected.
func (b *bench) add(rows ...row) {
	for _, r := range rows {
		if b.only.MatchString(r.Figure) {
			b.rows = append(b.rows, r)
		}
	}
}

func (b *bench) file(name string) string { return filepath.Join(b.dir, name) }

// empty removes the files of a group.
func (b *bench) empty() error {
	files, err := os.ReadDir(b.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := os.RemoveAll(b.file(f.Name())); err != nil {
			return err
		}
	}
	return nil
}

// step is one measurement of a round.
type step struct {
	name string
	run  func(ctx context.Context) error
}

// interleave runs all steps in turn, round after round.
func (b *bench) interleave(ctx context.Context, steps ...step) error {
	for round := range b.Rounds {
		for _, s := range steps {
			if err := ctx.Err(); err != nil {
				return err
			}
			b.progress.Show(fmt.Sprintf("round %d of %d: %s", round+1, b.Rounds, s.name))
			// The garbage of the previous step must not count for this one.
			runtime.GC()
			if err := s.run(ctx); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	return nil
}

func (b *bench) heading(p place) string {
	return fmt.Sprintf("%s in %s\n%s/%s, %d CPUs, %s; %d rounds of %v, medians; %s stored tasks of %d nodes\n",
		p, b.Dir, runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), runtime.Version(),
		b.Rounds, b.Window, measuring.Count(b.tasks), taskNodes)
}
