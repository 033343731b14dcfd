package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/pipestatus/pipestatus/store/boltstore/internal/steps"
)

const (
	// MinSize is the least size of a journal.
	MinSize = 64 * Block
	maxSize = 1 << 40
)

// Format writes a new journal: the header, zeros up to the header's size, and a
// ballast of zeros. The caller syncs it.
func Format(w io.Writer, head *Head, ballast int64) error {
	if _, err := w.Write(appendHead(make([]byte, 0, Block), head)); err != nil {
		return err
	}
	return writeZeros(w, head.Size+ballast-Block)
}

func writeZeros(w io.Writer, n int64) error {
	zeros := make([]byte, min(n, scanBytes))
	for ; n > 0; n -= int64(len(zeros)) {
		zeros = zeros[:min(n, int64(len(zeros)))]
		if _, err := w.Write(zeros); err != nil {
			return err
		}
	}
	return nil
}

// Journal is a journal open for appending. Its methods must not run at the same
// time, with one exception: either Grow or DropBallast may run while frames are
// appended.
type Journal struct {
	// NoSync leaves out syncs, for tests without crashes.
	NoSync bool

	file *os.File
	id   ID
	size int64  // end of the room for frames
	tail Frame  // the newest frame; in an empty journal one that stands for the header
	live []span // the needed frames, oldest first, including the newest one
	buf  []byte
}

// span is the place of a needed frame.
type span struct {
	at   Position
	end  int64
	last uint64
}

// Resume returns a journal that appends after the newest frame of c, and that
// closes the file. Frames before keep are no longer needed. Resume writes and
// syncs all other frames again: after a crash without a power cut, the system
// may show frames that are not on the disk.
func Resume(file *os.File, c *Contents, keep Position) (*Journal, error) {
	frames, err := c.From(keep)
	if err != nil {
		return nil, err
	}
	j := &Journal{file: file, id: c.Head.Journal, tail: c.Newest()}
	j.size = max(c.Head.Size, j.tail.Size)
	for i := range frames {
		f := &frames[i]
		j.live = append(j.live, span{f.Position, f.end(), f.Last()})
		j.buf = slices.Grow(j.buf[:0], int(f.end()-f.Offset))[:f.end()-f.Offset]
		if _, err := file.ReadAt(j.buf, f.Offset); err != nil {
			return nil, err
		}
		if _, err := file.WriteAt(j.buf, f.Offset); err != nil {
			return nil, err
		}
	}
	if len(frames) > 0 {
		err = j.sync()
	}
	return j, err
}

func (j *Journal) sync() error {
	if !j.NoSync {
		if err := dataSync(j.file); err != nil {
			return err
		}
	}
	steps.Done(steps.Written, j.file.Name())
	return nil
}

// ID is the journal's ID.
func (j *Journal) ID() ID { return j.id }

// Size is the end of the room for frames.
func (j *Journal) Size() int64 { return j.size }

// Named is the mark in the newest frame.
func (j *Journal) Named() *Mark { return &j.tail.Mark }

// Next is the first sequence of the next frame.
func (j *Journal) Next() uint64 { return j.tail.Last() + 1 }

// Longest is the length of the longest payload that fits a quarter of the room.
func (j *Journal) Longest() int { return longest(j.size) }

// LongestIn is [Journal.Longest] for a journal of another size.
func LongestIn(size int64) int { return longest(size) }

func longest(size int64) int { return int(quarter(size)*Block - frameBytes) }

// quarter is the most blocks of a generation's frames: the room is enough for
// three generations, the unused end of a lap, and frames that only name a
// transaction.
func quarter(size int64) int64 { return (size/Block - 1 - spare) / 4 }

// spare is the number of blocks reserved for frames that only name a
// transaction.
const spare = 12

// Quarter is the most bytes of a generation's frames.
func (j *Journal) Quarter() int64 { return quarter(j.size) * Block }

// Takes is the size of a frame with a payload of n bytes.
func Takes(n int) int64 { return blocks(n) * Block }

// place returns the place of the next frame, of n blocks, and the number of
// blocks that are free after it.
func (j *Journal) place(n int64) (lap uint64, offset, left int64, ok bool) {
	lap, offset = j.tail.Lap, max(j.tail.end(), first)
	if j.tail.Offset == 0 { // the header
		offset = first
	}
	n *= Block
	switch {
	case len(j.live) == 0 || j.live[0].at.Lap == lap:
		oldest := int64(first)
		if len(j.live) > 0 {
			oldest = j.live[0].at.Offset
		}
		if offset+n <= j.size {
			return lap, offset, (j.size - offset - n + oldest - first) / Block, true
		}
		return lap + 1, first, (oldest - first - n) / Block, first+n <= oldest
	default: // the oldest frame is ahead, in the lap before
		oldest := j.live[0].at.Offset
		return lap, offset, (oldest - offset - n) / Block, offset+n <= oldest
	}
}

// Fits reports whether there is room for a frame with a payload of n bytes and,
// after it, for leave more bytes.
func (j *Journal) Fits(n int, leave int64) bool {
	_, _, left, ok := j.place(blocks(n))
	return ok && left*Block >= leave
}

// bufferKept bounds the memory that is kept for frames.
const bufferKept = 4 << 20

// ErrNoRoom says that a frame does not fit. The journal is unchanged.
var ErrNoRoom = errors.New("the journal has no room")

// ErrNotWritten says that a frame could not be written completely; the error
// also has the system's reason. The next frame overwrites it.
var ErrNotWritten = errors.New("a frame could not be written")

// Append writes a frame with count transitions and syncs it. After an error
// other than [ErrNoRoom] and [ErrNotWritten] the frame may be in the journal or
// not.
func (j *Journal) Append(count int, payload []byte, mark *Mark) error {
	f := Frame{First: j.Next(), Count: uint32(count), Mark: *mark, Size: j.size, before: j.tail.Sum}
	var ok bool
	if f.Lap, f.Offset, _, ok = j.place(blocks(len(payload))); !ok {
		return ErrNoRoom
	}
	j.buf = appendFrame(j.buf[:0], j.id, &f, payload)
	n := f.end() - f.Offset
	written := len(j.buf)
	j.buf = slices.Grow(j.buf, int(n)-written)[:n]
	clear(j.buf[written:])
	if at, err := j.file.WriteAt(j.buf, f.Offset); err != nil {
		if at < written { // an incomplete frame, which Read ignores
			return fmt.Errorf("%w: %w", ErrNotWritten, err)
		}
		return err
	}
	if err := j.sync(); err != nil {
		return err
	}
	j.tail = f
	j.live = append(j.live, span{f.Position, f.end(), f.Last()})
	if cap(j.buf) > bufferKept {
		j.buf = nil
	}
	return nil
}

// Holding returns the position of the frame with the transition of a sequence,
// or that of the header if no frame has it.
func (j *Journal) Holding(seq uint64, start Position) Position {
	i, _ := slices.BinarySearchFunc(j.live, seq, func(s span, seq uint64) int {
		if s.last < seq {
			return -1
		}
		return 1
	})
	if i == len(j.live) {
		return start
	}
	return j.live[i].at
}

// Release frees the room of the frames before a position.
func (j *Journal) Release(before Position) {
	n := 0
	for n < len(j.live)-1 && j.live[n].at.before(before) {
		n++
	}
	j.live = slices.Delete(j.live, 0, n)
}

// Grow appends and syncs zeros for a room of a larger size and a ballast.
// [Journal.SetSize] then uses that room. After an error the file is unchanged.
func (j *Journal) Grow(size, ballast int64) error {
	info, err := j.file.Stat()
	if err != nil {
		return err
	}
	was := info.Size()
	err = writeZeros(io.NewOffsetWriter(j.file, was), size+ballast-was)
	if err == nil && !j.NoSync {
		err = j.file.Sync()
	}
	if err != nil {
		return errors.Join(err, j.file.Truncate(was))
	}
	steps.Done(steps.Written, j.file.Name())
	return nil
}

// SetSize sets the end of the room, after Grow. The next frame names the size,
// and must be synced before any frame goes beyond the old size: append an empty
// one.
func (j *Journal) SetSize(size int64) { j.size = max(j.size, size) }

// DropBallast gives the ballast back to the disk.
func (j *Journal) DropBallast() error { return j.file.Truncate(j.size) }

// Verify reads the journal again and returns an error unless every needed frame
// is there. The error matches [ErrGap], [ErrShort] or [ErrUnreadable].
func (j *Journal) Verify() error {
	info, err := j.file.Stat()
	if err != nil {
		return err
	}
	c, err := Read(j.file, info.Size())
	switch {
	case err != nil:
		return err
	case c.Head.Journal != j.id || c.Newest().Position != j.tail.Position:
		return fmt.Errorf("%w: the newest", ErrGap)
	case len(j.live) > 0:
		_, err = c.From(j.live[0].at)
	}
	return err
}

// SetFile makes the journal use another descriptor of its file, for tests.
func (j *Journal) SetFile(f *os.File) { j.file = f }

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }

// Lap is the lap of the newest frame.
func (j *Journal) Lap() uint64 { return j.tail.Lap }
