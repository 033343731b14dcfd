package runner

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/pipestatus/pipestatus/query/picture"
)

// newTerminal opens a terminal, and the other end of it, which reads what is
// shown there.
func newTerminal(t *testing.T) (tty, shown *os.File) {
	t.Helper()
	shown, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shown.Close() })
	var number, unlock int32
	for request, arg := range map[uintptr]*int32{syscall.TIOCGPTN: &number, syscall.TIOCSPTLCK: &unlock} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, shown.Fd(), request, uintptr(unsafe.Pointer(arg))); errno != 0 {
			t.Fatal(errno)
		}
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return tty, shown
}

func TestATerminalGetsTheStatusAsJSONOnlyIfAskedFor(t *testing.T) {
	t.Parallel()
	for flag, want := range map[string]bool{"-quiet": false, "-json": true} {
		tty, shown := newTerminal(t)
		text := make(chan []byte)
		go func() {
			data, _ := io.ReadAll(shown) // EIO at the end
			text <- data
		}()
		c := &call{stdout: tty, stderr: &syncBuffer{}}
		if code := c.invoke([]string{"-db", filepath.Join(t.TempDir(), "p.db"), flag, write(t, loopTree("true", "exit_code == 1"))}); code != exitFinished {
			t.Errorf("exit code %d", code)
		}
		if err := tty.Close(); err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(<-text, []byte(`"state": "FINISHED"`)); got != want {
			t.Errorf("%s prints it: %v", flag, got)
		}
	}
}

// A terminal that is narrow has no line that is too long, and a last line that
// sums up.
func TestANarrowTerminalIsNotOverrun(t *testing.T) {
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "1")
	tty, shown := newTerminal(t)
	size := [4]uint16{12, 40}
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, tty.Fd(), syscall.TIOCSWINSZ, uintptr(unsafe.Pointer(&size))); errno != 0 {
		t.Fatal(errno)
	}
	text := make(chan string)
	go func() {
		data, _ := io.ReadAll(shown) // EIO at the end
		text <- string(data)
	}()
	tree := newTree("p")
	activity(tree, "a", "true")
	activity(tree, "b", "echo ConnectionError: no route to the database db-7.example.com; exit 1")
	chain(tree, "p_start", "a", "b", "p_end")
	c := &call{stdout: &syncBuffer{}, stderr: tty}
	if code := c.invoke([]string{"-db", filepath.Join(t.TempDir(), "p.db"), write(t, tree)}); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	if err := tty.Close(); err != nil {
		t.Fatal(err)
	}
	printed := <-text
	var frame string // the lines that were drawn
	for line := range strings.Lines(printed) {
		_, drawn, ok := strings.Cut(line, "\x1b[K")
		if plain := picture.Printable(strings.TrimRight(drawn, "\r\n")); ok && picture.Columns(plain) >= 40 {
			t.Errorf("%q takes %d columns", plain, picture.Columns(plain))
		}
		frame += drawn
	}
	for _, want := range []string{"ConnectionError: no route", "db-7.example.com", "2 of 4 steps finished, 1 failed\r\n"} {
		if !strings.Contains(frame, want) {
			t.Errorf("there is no %q in\n%q", want, frame)
		}
	}
}
