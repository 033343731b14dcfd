package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"

	"github.com/pipestatus/pipestatus/state"
)

// resultFile is a [Log] in a file of JSON Lines beside a database file, whose
// lock it relies on: one process at a time has it. It may be read from many
// goroutines while one writes it.
type resultFile struct{ file *os.File }

// openResultFile opens the file, or creates it. What a crash left of a last
// line is cut off; a file that holds anything else stays as it is.
func openResultFile(path string) (*resultFile, error) {
	flag := os.O_RDWR
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		flag |= os.O_CREATE | os.O_EXCL // not where a link leads
	case err == nil && !info.Mode().IsRegular(): // a pipe would wait for its writer
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	file, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	f := &resultFile{file}
	data, err := f.read()
	if err == nil {
		whole := wholeLines(data)
		if err = checkResults(data[:whole], data[whole:]); err == nil {
			err = file.Truncate(int64(whole))
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
	}
	return f, nil
}

// checkResults returns an error unless there are lines of results, and what may
// be the beginning of one.
func checkResults(lines, begun []byte) error {
	const beginning = `{"biz":"`
	begun = bytes.TrimLeft(begun, "\x00") // as a power cut leaves what was not written
	if n := min(len(begun), len(beginning)); string(begun[:n]) != beginning[:n] {
		return errors.New("not a file of results")
	}
	number := 0
	for text := range bytes.Lines(lines) {
		number++
		var line resultLine
		if err := json.Unmarshal(text, &line); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		if line.Business == "" || line.Task == "" {
			return fmt.Errorf("line %d: not a result", number)
		}
	}
	return nil
}

// read reads the file, and leaves alone where it is written.
func (f *resultFile) read() ([]byte, error) {
	return io.ReadAll(io.NewSectionReader(f.file, 0, math.MaxInt64))
}

// wholeLines is the length of the lines that have ended.
func wholeLines(data []byte) int { return bytes.LastIndexByte(data, '\n') + 1 }

// ResultLines implements [Log].
func (f *resultFile) ResultLines(_ context.Context, task state.Key) (lines [][]byte, err error) {
	data, err := f.read()
	if err != nil {
		return nil, err
	}
	number := 0
	for text := range bytes.Lines(data[:wholeLines(data)]) { // another may be being written
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
