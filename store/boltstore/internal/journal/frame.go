package journal

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

const (
	// Block is the unit of room: frames begin at its multiples.
	Block = 4096
	// first is the offset of the first frame of a lap.
	first = Block

	headMagic  = "pstjrnl\x01"
	frameMagic = "pstfram\x01"
	headBytes  = 132
	frameBytes = 136
	markBytes  = 8 + 8 + MetaBytes
	// MetaBytes is the length of the used part of a bbolt meta page.
	MetaBytes = 64
)

// ID identifies a journal or an instance of a file. Both are random.
type ID [16]byte

// Mark names a transaction of the bbolt file.
type Mark struct {
	Transaction uint64
	Checkpoint  uint64          // the sequence up to which the file has everything
	Meta        [MetaBytes]byte // of the transaction's meta page
}

// Head is the header of a journal.
type Head struct {
	Journal, Instance ID
	Size              int64 // end of the room for frames, a multiple of Block
	Mark              Mark
}

// Position is the place of a frame and its checksums. In a journal without
// frames the newest position is that of the header: lap 1, offset 0.
type Position struct {
	Lap    uint64
	Offset int64
	Sum    uint64
}

// before reports whether a frame at p is older than one at q.
func (p Position) before(q Position) bool {
	return p.Lap < q.Lap || p.Lap == q.Lap && p.Offset < q.Offset
}

// Frame is a frame without its payload.
type Frame struct {
	Position
	First  uint64 // sequence of the first transition, or of the next one if Count is 0
	Count  uint32 // of transitions
	Mark   Mark
	Size   int64 // end of the room for frames when the frame was written
	length uint32
	before uint64 // sum of the frame before
}

// Last is the sequence of the last transition in or before the frame.
func (f *Frame) Last() uint64 { return f.First + uint64(f.Count) - 1 }

// blocks is the number of blocks of a frame with its payload.
func blocks(payload int) int64 { return (int64(frameBytes) + int64(payload) + Block - 1) / Block }

func (f *Frame) end() int64 { return f.Offset + blocks(int(f.length))*Block }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seed is the beginning of a frame's checksums.
func seed(journal ID, at Position, before uint64) uint32 {
	b := make([]byte, 0, len(journal)+24)
	b = append(b, journal[:]...)
	b = binary.LittleEndian.AppendUint64(b, at.Lap)
	b = binary.LittleEndian.AppendUint64(b, uint64(at.Offset))
	b = binary.LittleEndian.AppendUint64(b, before)
	return crc32.Checksum(b, castagnoli)
}

func appendMark(dst []byte, m *Mark) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, m.Transaction)
	dst = binary.LittleEndian.AppendUint64(dst, m.Checkpoint)
	return append(dst, m.Meta[:]...)
}

func readMark(b []byte) (m Mark) {
	m.Transaction = binary.LittleEndian.Uint64(b)
	m.Checkpoint = binary.LittleEndian.Uint64(b[8:])
	copy(m.Meta[:], b[16:markBytes])
	return m
}

// appendHead appends the header block.
func appendHead(dst []byte, h *Head) []byte {
	at := len(dst)
	dst = append(dst, headMagic...)
	dst = append(dst, h.Journal[:]...)
	dst = append(dst, h.Instance[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.Size))
	dst = appendMark(dst, &h.Mark)
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[at:], castagnoli))
	return append(dst, make([]byte, at+Block-len(dst))...)
}

// readHead reads the header block; ok is false if it is not a valid one.
func readHead(b []byte) (h Head, start Position, ok bool) {
	if len(b) < headBytes || string(b[:8]) != headMagic {
		return h, start, false
	}
	sum := binary.LittleEndian.Uint32(b[headBytes-4:])
	if crc32.Checksum(b[:headBytes-4], castagnoli) != sum {
		return h, start, false
	}
	copy(h.Journal[:], b[8:])
	copy(h.Instance[:], b[24:])
	h.Size = int64(binary.LittleEndian.Uint64(b[40:]))
	h.Mark = readMark(b[48:])
	ok = h.Size >= MinSize && h.Size%Block == 0 && h.Size <= maxSize
	return h, Position{Lap: 1, Sum: uint64(sum)}, ok
}

// appendFrame appends a frame and sets its sum. It does not pad the last block.
func appendFrame(dst []byte, journal ID, f *Frame, payload []byte) []byte {
	at := len(dst)
	from := seed(journal, f.Position, f.before)
	f.length = uint32(len(payload))
	payloadSum := crc32.Update(from, castagnoli, payload)
	dst = append(dst, frameMagic...)
	dst = binary.LittleEndian.AppendUint64(dst, f.Lap)
	dst = binary.LittleEndian.AppendUint64(dst, f.before)
	dst = binary.LittleEndian.AppendUint64(dst, f.First)
	dst = binary.LittleEndian.AppendUint32(dst, f.Count)
	dst = binary.LittleEndian.AppendUint32(dst, f.length)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(f.Size))
	dst = appendMark(dst, &f.Mark)
	dst = binary.LittleEndian.AppendUint32(dst, payloadSum)
	headSum := crc32.Update(from, castagnoli, dst[at:])
	dst = binary.LittleEndian.AppendUint32(dst, headSum)
	f.Sum = uint64(headSum)<<32 | uint64(payloadSum)
	return append(dst, payload...)
}

// readFrame reads the beginning of a frame at an offset; ok is false if there
// is none. It does not check the payload.
func readFrame(b []byte, journal ID, offset int64) (f Frame, ok bool) {
	if len(b) < frameBytes || !bytes.Equal(b[:8], []byte(frameMagic)) {
		return f, false
	}
	f.Lap, f.Offset = binary.LittleEndian.Uint64(b[8:]), offset
	f.before = binary.LittleEndian.Uint64(b[16:])
	headSum := binary.LittleEndian.Uint32(b[132:])
	if crc32.Update(seed(journal, f.Position, f.before), castagnoli, b[:132]) != headSum {
		return f, false
	}
	f.First = binary.LittleEndian.Uint64(b[24:])
	f.Count = binary.LittleEndian.Uint32(b[32:])
	f.length = binary.LittleEndian.Uint32(b[36:])
	f.Size = int64(binary.LittleEndian.Uint64(b[40:]))
	f.Mark = readMark(b[48:])
	f.Sum = uint64(headSum)<<32 | uint64(binary.LittleEndian.Uint32(b[128:]))
	ok = f.First > 0 && f.First+uint64(f.Count) >= f.First && f.Size <= maxSize && f.end() <= f.Size
	return f, ok
}

// holds reports whether a payload is that of the frame.
func (f *Frame) holds(journal ID, payload []byte) bool {
	return crc32.Update(seed(journal, f.Position, f.before), castagnoli, payload) == uint32(f.Sum)
}
