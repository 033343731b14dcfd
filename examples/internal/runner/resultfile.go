package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pipestatus/pipestatus/state"
)

// resultFile is a [Log] in a file of JSON Lines beside a database file, whose
// lock it relies on: one process at a time has it.
type resultFile struct{ file *os.File }

// openResultFile opens the file, or creates it. What a crash left of a last
// line is cut off.
func openResultFile(path string) (*resultFile, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	f := &resultFile{file}
	data, err := f.read()
	if err == nil {
		err = file.Truncate(int64(bytes.LastIndexByte(data, '\n') + 1))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
	}
	return f, nil
}

func (f *resultFile) read() ([]byte, error) {
	if _, err := f.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(f.file)
}

// ResultLines implements [Log].
func (f *resultFile) ResultLines(_ context.Context, task state.Key) (lines [][]byte, err error) {
	data, err := f.read()
	if err != nil {
		return nil, err
	}
	number := 0
	for text := range bytes.Lines(data) {
		number++
		var line resultLine
		if err := json.Unmarshal(text, &line); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", f.file.Name(), number, err)
		}
		if (state.Key{Business: line.Business, Task: line.Task}) == task {
			lines = append(lines, text)
		}
	}
	return lines, nil
}

// AddResultLine implements [Log]. Nobody else writes the file meanwhile, so the
// number of lines tells nothing new.
func (f *resultFile) AddResultLine(_ context.Context, _ state.Key, _ int, line []byte) error {
	if _, err := f.file.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	if _, err := f.file.Write(append(line, '\n')); err != nil {
		return err
	}
	return f.file.Sync()
}

func (f *resultFile) Close() error { return f.file.Close() }
