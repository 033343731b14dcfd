//go:build amd64 || arm64

package boltstore_test

import (
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"unsafe"
)

func init() {
	for name, call := range map[string]filtered{
		"quota of writes":    {syscall.SYS_PWRITE64, 3},
		"quota of truncates": {syscall.SYS_FTRUNCATE, 1},
	} {
		jobs[name] = func(path string) error { return beyond(path, syscall.EDQUOT, call.exceed, nil) }
	}
}

// filtered is a system call with the index of the argument that is the new
// length of a file, or -1.
type filtered struct{ call, argument int }

// exceed makes the system return EDQUOT for the call from now on, in all
// threads, if it would make a file longer than fileLimit. This cannot be
// undone.
func (f filtered) exceed() error {
	// Offsets in the filter's input: the call, its architecture, then its
	// arguments, of which the lower halves are enough.
	const (
		load, equal, atLeast, answer = 0x20, 0x15, 0x35, 0x06 // BPF: ld abs, jeq, jge, ret
		deny, allow                  = 0x00050000, 0x7fff0000
	)
	argument, least := uint32(0), uint32(0)
	if f.argument >= 0 {
		argument, least = uint32(16+8*f.argument), fileLimit
	}
	program := []syscall.SockFilter{
		{Code: load, K: 0},
		{Code: equal, K: uint32(f.call), Jf: 3},
		{Code: load, K: argument},
		{Code: atLeast, K: least, Jf: 1},
		{Code: answer, K: deny | uint32(syscall.EDQUOT)},
		{Code: answer, K: allow},
	}
	const noNewPrivileges, filterMode, allThreads = 38, 1, 1
	call := 317 // seccomp
	if runtime.GOARCH == "arm64" {
		call = 277
	}
	runtime.LockOSThread() // the filter's installer must not gain privileges
	defer runtime.UnlockOSThread()
	if _, _, errno := syscall.Syscall6(syscall.SYS_PRCTL, noNewPrivileges, 1, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	p := syscall.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, errno := syscall.Syscall(uintptr(call), filterMode, allThreads, uintptr(unsafe.Pointer(&p)))
	if errno != 0 {
		return errno
	}
	return nil
}

// If a quota is exceeded before readers could see the commit, the commit has no
// effect.
func TestFileBeyondItsQuotaIsFull(t *testing.T) {
	for _, where := range []string{"writes", "truncates"} {
		t.Run(where, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "limited.db")
			w := limited(t, "quota of "+where, path)
			w.verify(t, path, &tiny)
		})
	}
}
