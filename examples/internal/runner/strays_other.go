//go:build unix && !linux

package runner

import "syscall"

// stray is a process that has left its command's group.
type stray struct{}

// look finds none: this system has no /proc to search.
func (p *processes) look(int) {}

func (stray) signal(syscall.Signal) {}
