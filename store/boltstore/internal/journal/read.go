package journal

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Errors of Read, From and Verify.
var (
	// ErrUnreadable says that the header is damaged, or that the file is not a
	// journal.
	ErrUnreadable = errors.New("not a journal, or the header is damaged")
	// ErrShort says that the file ends before the end of its room.
	ErrShort = errors.New("the journal was truncated")
	// ErrGap says that a frame with later ones is damaged or missing.
	ErrGap = errors.New("a frame is damaged or missing")
)

// Contents is the result of reading a journal.
type Contents struct {
	Head   Head
	file   io.ReaderAt
	start  Position
	frames []Frame // all undamaged frames, oldest first, including those of earlier laps
}

// scanBytes is the number of bytes that Read reads at a time.
const scanBytes = 64 << 10

// Read reads a journal of so many bytes and does not change it. The error
// matches [ErrUnreadable] or [ErrShort], or is the system's. With ErrShort it
// returns the contents that the file still has.
func Read(file io.ReaderAt, size int64) (*Contents, error) {
	head := make([]byte, headBytes)
	if n, err := file.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	} else if n < len(head) {
		return nil, ErrUnreadable
	}
	c := &Contents{file: file}
	var ok bool
	if c.Head, c.start, ok = readHead(head); !ok {
		return nil, ErrUnreadable
	}
	if err := c.scan(size); err != nil {
		return nil, err
	}
	newest := c.Newest()
	if least := max(c.Head.Size, newest.Size); size < least {
		return c, fmt.Errorf("%w: it has %d of %d bytes", ErrShort, size, least)
	}
	return c, nil
}

// scan finds every undamaged frame.
func (c *Contents) scan(size int64) error {
	buf := make([]byte, min(scanBytes, max(size, Block)))
	var payload []byte
	var from, to int64 // the part of the file that is in buf
	for at := int64(first); at+Block <= size; at += Block {
		if at+Block > to {
			n, err := c.file.ReadAt(buf[:min(int64(len(buf)), size-at)], at)
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			if from, to = at, at+int64(n); n < Block {
				return nil
			}
		}
		f, ok := readFrame(buf[at-from:to-from], c.Head.Journal, at)
		if !ok || f.end() > size {
			continue
		}
		body := buf[at-from : to-from]
		if int64(frameBytes)+int64(f.length) <= int64(len(body)) {
			payload = append(payload[:0], body[frameBytes:frameBytes+int(f.length)]...)
		} else {
			var err error
			if payload, err = c.payload(&f, payload); err != nil {
				return err
			}
		}
		if f.holds(c.Head.Journal, payload) {
			c.frames = append(c.frames, f)
			at = f.end() - Block // a frame contains no other frames
		}
	}
	slices.SortFunc(c.frames, func(a, b Frame) int {
		return cmp.Or(cmp.Compare(a.Lap, b.Lap), cmp.Compare(a.Offset, b.Offset))
	})
	return nil
}

func (c *Contents) payload(f *Frame, buf []byte) ([]byte, error) {
	buf = slices.Grow(buf[:0], int(f.length))[:f.length]
	if n, err := c.file.ReadAt(buf, f.Offset+frameBytes); n < len(buf) {
		return nil, err
	}
	return buf, nil
}

// Start is the position before the first frame: that of the header.
func (c *Contents) Start() Position { return c.start }

// Empty reports whether the journal has no frame.
func (c *Contents) Empty() bool { return len(c.frames) == 0 }

// Newest returns the newest frame. In a journal without frames it stands for
// the header: it is at [Contents.Start] and has the header's mark.
func (c *Contents) Newest() Frame {
	if c.Empty() {
		return Frame{Position: c.start, First: c.Head.Mark.Checkpoint + 1, Mark: c.Head.Mark, Size: c.Head.Size}
	}
	return c.frames[len(c.frames)-1]
}

// From returns the frames from a position to the newest one, oldest first,
// including the frame at the position. The position may be that of the header.
// The error matches [ErrGap] if one of the frames is missing.
func (c *Contents) From(p Position) ([]Frame, error) {
	if p == c.start {
		frames := c.frames
		if len(frames) > 0 && frames[0].before != p.Sum {
			return nil, fmt.Errorf("%w: the first one", ErrGap)
		}
		return frames, chained(frames)
	}
	i, found := slices.BinarySearchFunc(c.frames, p, func(f Frame, p Position) int {
		return cmp.Or(cmp.Compare(f.Lap, p.Lap), cmp.Compare(f.Offset, p.Offset))
	})
	if !found || c.frames[i].Sum != p.Sum {
		return nil, fmt.Errorf("%w: lap %d, offset %d", ErrGap, p.Lap, p.Offset)
	}
	return c.frames[i:], chained(c.frames[i:])
}

// Needed returns the position from which frames are needed if the checkpoint's
// frame is at p. That may be an earlier frame, of the checkpoint of the mark
// before the newest one: the newest mark may be only in the last frame, which a
// power cut can damage.
func (c *Contents) Needed(p Position) Position {
	newest := c.Newest()
	i := len(c.frames) - 1
	for i >= 0 && c.frames[i].Mark.Transaction == newest.Mark.Transaction {
		i--
	}
	if i < 0 {
		return p
	}
	before := c.frames[i].Mark.Checkpoint
	for i > 0 && chained(c.frames[i-1:i+1]) == nil && c.frames[i-1].Last() >= before {
		i--
	}
	if q := c.frames[i].Position; q.before(p) {
		return q
	}
	return p
}

// chained returns an error unless each frame follows the one before.
func chained(frames []Frame) error {
	for i := 1; i < len(frames); i++ {
		f, prev := &frames[i], &frames[i-1]
		next := f.Lap == prev.Lap && f.Offset == prev.end() || f.Lap == prev.Lap+1 && f.Offset == first
		if !next || f.before != prev.Sum || f.First != prev.Last()+1 {
			return fmt.Errorf("%w: between lap %d, offset %d and lap %d, offset %d", ErrGap, prev.Lap, prev.Offset, f.Lap, f.Offset)
		}
	}
	return nil
}

// All returns all undamaged frames, oldest first, including those that are no
// longer needed.
func (c *Contents) All() []Frame { return c.frames }

// Payload reads the payload of a frame.
func (c *Contents) Payload(f *Frame) ([]byte, error) {
	p, err := c.payload(f, nil)
	if err == nil && !f.holds(c.Head.Journal, p) {
		err = fmt.Errorf("%w: lap %d, offset %d", ErrGap, f.Lap, f.Offset)
	}
	return p, err
}
