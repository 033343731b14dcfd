package runner

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"
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
