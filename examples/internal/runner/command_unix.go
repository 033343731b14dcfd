//go:build unix

package runner

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// windows says which commands of a definition to run.
const windows = false

// shell is a command line for the shell, in a new process group.
func shell(ctx context.Context, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// processes are the processes of a command: its group and, where the system can find
// them, processes that have left the group.
type processes struct {
	mark  string // in their environment
	known []stray
}

// end asks the processes to end, the group first: whether it was still there
// tells if the command was interrupted.
func (p *processes) end(leader *os.Process) error {
	p.look(leader.Pid)
	err := signalGroup(leader, syscall.SIGTERM)
	for _, s := range p.known {
		s.signal(syscall.SIGTERM)
	}
	continueGroup(leader) // a stopped process receives no other signal
	return err
}

// stopGroup stops the group until continueGroup.
func stopGroup(leader *os.Process) error { return signalGroup(leader, syscall.SIGSTOP) }

// continueGroup continues the group, if it still has processes.
func continueGroup(leader *os.Process) { _ = signalGroup(leader, syscall.SIGCONT) }

// kill kills the remaining processes of the group, and, if all, the others. While a
// process of the group lives, its number cannot be reused; otherwise the number would
// have to be reused within the moment since the leader ended.
func (p *processes) kill(leader *os.Process, all bool) {
	_ = signalGroup(leader, syscall.SIGKILL)
	if !all {
		return
	}
	// A process can start others while it is looked for.
	for range 100 {
		p.look(leader.Pid)
		if len(p.known) == 0 {
			return
		}
		for _, s := range p.known {
			s.signal(syscall.SIGKILL)
		}
		time.Sleep(time.Millisecond)
	}
}

func signalGroup(p *os.Process, s syscall.Signal) error {
	err := syscall.Kill(-p.Pid, s)
	if err == syscall.ESRCH {
		return os.ErrProcessDone
	}
	return err
}

func exitCode(s *os.ProcessState) int {
	if status, ok := s.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return s.ExitCode()
}
