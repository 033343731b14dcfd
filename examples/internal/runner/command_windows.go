package runner

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// windows says which commands of a definition to run.
const windows = true

// shell is a command line for the shell, in a new process group.
func shell(ctx context.Context, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "cmd")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// cmd has special rules for quotes: the line must reach it unchanged.
		CmdLine:       `cmd /d /s /c "` + line + `"`,
		CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP,
	}
	return cmd
}

// processes are those that a command started.
type processes struct{ mark string }

// end ends the processes: Windows has no way to ask.
func (p *processes) end(leader *os.Process) error {
	return exec.Command("taskkill", "/t", "/f", "/pid", strconv.Itoa(leader.Pid)).Run()
}

// kill has nothing left to kill: a process that has ended is no longer known as
// the parent of what it started.
func (p *processes) kill(*os.Process, bool) {}

// stopGroup refuses: Windows cannot stop processes for a time.
func stopGroup(*os.Process) error { return errors.New("Windows cannot pause a running command") }

func continueGroup(*os.Process) {}

func exitCode(s *os.ProcessState) int { return s.ExitCode() }
