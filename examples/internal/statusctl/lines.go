package statusctl

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxLine is the longest line of operations that is read, without its newline.
const maxLine = 4 << 20

var errLineTooLong = errors.New("line too long")

// lineReader reads lines of bounded length. It skips longer lines without holding
// them in memory.
type lineReader struct {
	in   *bufio.Reader
	most int
	line []byte
}

func newLineReader(in io.Reader, most int) *lineReader {
	return &lineReader{in: bufio.NewReaderSize(in, 64<<10), most: most}
}

// next returns the next line that is not blank, valid until the next call. It
// returns an error that matches errLineTooLong once for each line over the
// limit, io.EOF at the end, and otherwise the error of the input.
func (r *lineReader) next() ([]byte, error) {
	for {
		tooLong, err := r.read()
		if errors.Is(err, io.EOF) && len(r.line) == 0 && !tooLong {
			return nil, io.EOF
		}
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		case tooLong:
			return nil, fmt.Errorf("%w: more than %d bytes", errLineTooLong, r.most)
		case len(bytes.Trim(r.line, " \t\r\n")) > 0:
			return r.line, nil
		}
	}
}

// read fills r.line up to the end of the line or of the input.
func (r *lineReader) read() (tooLong bool, err error) {
	r.line = r.line[:0]
	for {
		part, err := r.in.ReadSlice('\n')
		if length := len(r.line) + len(bytes.TrimSuffix(part, []byte{'\n'})); length > r.most {
			tooLong, r.line = true, r.line[:0]
		} else if !tooLong {
			r.line = append(r.line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return tooLong, err
		}
	}
}
