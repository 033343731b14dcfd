package journal

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden file anew")

func testHead() *Head {
	h := &Head{Size: MinSize, Mark: Mark{Transaction: 7, Checkpoint: 40}}
	for i := range h.Journal {
		h.Journal[i], h.Instance[i] = byte(i), byte(0xa0+i)
	}
	for i := range h.Mark.Meta {
		h.Mark.Meta[i] = byte(3 * i)
	}
	return h
}

// create makes a journal and returns its path.
func create(t testing.TB, head *Head, ballast int64) string {
	t.Helper()
	var b bytes.Buffer
	if err := Format(&b, head, ballast); err != nil {
		t.Fatal(err)
	}
	return save(t, b.Bytes())
}

func save(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, path string, keep func(c *Contents) Position) (*Journal, *Contents) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	c, err := Read(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	j, err := Resume(f, c, keep(c))
	if err != nil {
		t.Fatal(err)
	}
	j.NoSync = true
	t.Cleanup(func() { _ = j.Close() })
	return j, c
}

func fromStart(c *Contents) Position { return c.Start() }

func payload(r *rand.Rand, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}

func read(t testing.TB, data []byte) *Contents {
	t.Helper()
	c, err := Read(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFramesReadBackInOrderForManyLaps(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	path := create(t, testHead(), 3*Block)
	j, _ := open(t, path, fromStart)
	type kept struct {
		at      Position
		payload []byte
		mark    Mark
	}
	var frames []kept
	mark := testHead().Mark
	for i := range 600 {
		p := payload(r, r.IntN(20000))
		for !j.Fits(len(p), 0) {
			drop := 1 + r.IntN(len(frames)-1)
			frames = frames[drop:]
			j.Release(frames[0].at)
		}
		if r.IntN(5) == 0 {
			mark.Transaction++
		}
		if err := j.Append(r.IntN(4), p, &mark); err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		frames = append(frames, kept{j.tail.Position, p, mark})
		if i%20 > 0 {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		c := read(t, data)
		got, err := c.From(frames[0].at)
		if err != nil || len(got) != len(frames) {
			t.Fatalf("%d frames, %v, want %d", len(got), err, len(frames))
		}
		for k := range got {
			if p, err := c.Payload(&got[k]); err != nil || !bytes.Equal(p, frames[k].payload) || got[k].Mark != frames[k].mark || got[k].Position != frames[k].at {
				t.Fatalf("frame %d of %d is another, %v", k, len(got), err)
			}
		}
		if err := j.Verify(); err != nil {
			t.Fatal(err)
		}
		if r.IntN(3) == 0 { // resumed
			next := j.Next()
			_ = j.Close()
			j, _ = open(t, path, func(*Contents) Position { return frames[0].at })
			if j.Next() != next {
				t.Fatalf("the next sequence is %d, want %d", j.Next(), next)
			}
		}
	}
	if j.Lap() < 10 {
		t.Errorf("it went %d laps only", j.Lap())
	}
}

// filled is the image of a journal with some frames, each of a few blocks.
func filled(t testing.TB, frames int) (data []byte, ends []int64) {
	t.Helper()
	r := rand.New(rand.NewPCG(2, 2))
	path := create(t, testHead(), 0)
	j, _ := open(t, path, fromStart)
	for range frames {
		if err := j.Append(1, payload(r, 3000+r.IntN(6000)), &testHead().Mark); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, j.tail.end())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data, ends
}

func TestTornLastFrameIsDroppedAndDamageBeforeItIsNoticed(t *testing.T) {
	data, ends := filled(t, 8)
	whole := read(t, data)
	for i := range whole.frames {
		f := &whole.frames[i]
		for at := f.Offset; at < f.Offset+frameBytes+int64(f.length); at += 1 + int64(at%97) {
			damaged := slices.Clone(data)
			damaged[at] ^= 1 << (at % 8)
			c := read(t, damaged)
			got, err := c.From(c.Start())
			switch {
			case i == len(ends)-1 && (err != nil || len(got) != len(ends)-1):
				t.Fatalf("last frame, byte %d: %d frames, %v", at, len(got), err)
			case i < len(ends)-1 && !errors.Is(err, ErrGap):
				t.Fatalf("frame %d, byte %d: %d frames, %v, want an error that matches %q", i, at, len(got), err, ErrGap)
			}
		}
	}
}

func TestDamagedHeaderIsUnreadableAndATruncatedJournalShort(t *testing.T) {
	data, _ := filled(t, 3)
	for at := range headBytes {
		damaged := slices.Clone(data)
		damaged[at] ^= 0x10
		if _, err := Read(bytes.NewReader(damaged), int64(len(data))); !errors.Is(err, ErrUnreadable) {
			t.Errorf("byte %d: error %v, want one that matches %q", at, err, ErrUnreadable)
		}
	}
	for _, size := range []int{len(data) - 1, len(data) - Block, 3 * Block, Block} {
		if _, err := Read(bytes.NewReader(data[:size]), int64(size)); !errors.Is(err, ErrShort) {
			t.Errorf("%d bytes: error %v, want one that matches %q", size, err, ErrShort)
		}
	}
	for _, size := range []int{0, 1, headBytes - 1} {
		if _, err := Read(bytes.NewReader(data[:size]), int64(size)); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%d bytes: error %v, want one that matches %q", size, err, ErrUnreadable)
		}
	}
}

// The bytes of a frame are no frame in a payload, at another offset, or in a journal
// with another ID.
func TestImageOfAFrameIsNoFrame(t *testing.T) {
	data, ends := filled(t, 5)
	path := create(t, testHead(), 0)
	j, _ := open(t, path, fromStart)
	p := make([]byte, Block-frameBytes, 64<<10)
	p = append(p, data[first:ends[2]]...) // frames at the boundaries of blocks
	if err := j.Append(1, p, &testHead().Mark); err != nil {
		t.Fatal(err)
	}
	// A shorter frame over it leaves the images without their frame.
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	fresh, _ := filled(t, 1)
	other := testHead()
	other.Journal[0]++
	var foreign bytes.Buffer
	if err := Format(&foreign, other, 0); err != nil {
		t.Fatal(err)
	}
	copy(foreign.Bytes()[first:], data[first:])
	moved := slices.Clone(fresh)
	copy(moved[20*Block:], data[first:ends[3]])
	copy(image[first:], fresh[first:2*Block])
	for name, test := range map[string]struct {
		data []byte
		want int
	}{"in a payload": {image, 0}, "of another journal": {foreign.Bytes(), 0}, "elsewhere": {moved, 1}} {
		if c := read(t, test.data); len(c.All()) != test.want {
			t.Errorf("%s: %d frames, want %d", name, len(c.All()), test.want)
		}
	}
}

func TestGrownJournalIsUsedToItsEndAndNoticedIfItIsTruncated(t *testing.T) {
	path := create(t, testHead(), 2*Block)
	j, _ := open(t, path, fromStart)
	r := rand.New(rand.NewPCG(4, 4))
	fill := func() {
		for p := payload(r, 2000); j.Fits(len(p), Block); {
			if err := j.Append(1, p, &testHead().Mark); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill()
	if err := j.Grow(2*MinSize, 2*Block); err != nil {
		t.Fatal(err)
	}
	j.SetSize(2 * MinSize)
	if err := j.Append(0, nil, &testHead().Mark); err != nil {
		t.Fatal(err)
	}
	named := j.Next()
	fill()
	if j.tail.Lap != 1 || j.tail.end() < 2*MinSize-2*Block {
		t.Errorf("the newest frame is in lap %d and ends at %d", j.tail.Lap, j.tail.end())
	}
	if err := j.DropBallast(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil || len(data) != 2*MinSize {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	newest := read(t, data).Newest()
	if newest.Last()+1 != j.Next() || j.Next() == named {
		t.Errorf("the newest is %d, want %d", newest.Last(), j.Next()-1)
	}
	if _, err := Read(bytes.NewReader(data[:MinSize]), MinSize); !errors.Is(err, ErrShort) {
		t.Errorf("cut to its old size: error %v, want one that matches %q", err, ErrShort)
	}
}

func TestAppendWithoutRoomChangesNothing(t *testing.T) {
	path := create(t, testHead(), 0)
	j, _ := open(t, path, fromStart)
	for j.Append(1, make([]byte, 30<<10), &testHead().Mark) == nil {
	}
	before, _ := os.ReadFile(path)
	if err := j.Append(1, make([]byte, 30<<10), &testHead().Mark); !errors.Is(err, ErrNoRoom) {
		t.Errorf("error %v, want one that matches %q", err, ErrNoRoom)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the file was changed")
	}
}

// The golden file is what the format text describes.
func TestTheFileMatchesTheFormat(t *testing.T) {
	path := create(t, testHead(), 0)
	j, _ := open(t, path, fromStart)
	mark := testHead().Mark
	for i, p := range []string{"one", "", "three"} {
		mark.Transaction += uint64(i)
		if err := j.Append(len(p)/3, []byte(p), &mark); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	for at := 0; at < len(data); at += 16 {
		if line := data[at : at+16]; !bytes.Equal(line, make([]byte, 16)) {
			fmt.Fprintf(&got, "%06x  % x\n", at, line)
		}
	}
	golden := filepath.Join("testdata", "journal.golden")
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(golden, got.Bytes(), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Errorf("the file differs (-want +got):\n%s", d)
	}
}

// Reading ends for any bytes, and what it accepts is a chain of frames
// whose payloads read.
func FuzzRead(f *testing.F) {
	data, ends := filled(f, 4)
	f.Add([]byte{0, 0, 0, 0})
	for i := range 8 {
		f.Add([]byte{byte(i), 3, 1, byte(i), 140, 255})
	}
	f.Fuzz(func(t *testing.T, flips []byte) {
		altered := slices.Clone(data)
		for ; len(flips) >= 3; flips = flips[3:] {
			at := int(flips[0]) * int(ends[len(ends)-1]) / 256
			altered[(at+int(flips[1]))%len(altered)] ^= flips[2]
		}
		c, err := Read(bytes.NewReader(altered), int64(len(altered)))
		if err != nil {
			if !errors.Is(err, ErrUnreadable) && !errors.Is(err, ErrShort) {
				t.Fatal(err)
			}
			return
		}
		frames, err := c.From(c.Start())
		if err != nil {
			return
		}
		for i := range frames {
			p, err := c.Payload(&frames[i])
			if err != nil {
				t.Fatal(err)
			}
			at := frames[i].Offset + frameBytes
			if !bytes.Equal(p, data[at:at+int64(len(p))]) {
				t.Fatalf("frame %d of %d has another payload", i, len(frames))
			}
		}
	})
}
