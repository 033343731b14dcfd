// Package steps tells tests what has just been done to a store's files, so that
// they can look at what a crash at that moment would leave.
package steps

import "sync/atomic"

// Kind says what has been done.
type Kind int

// The kinds of steps.
const (
	Written Kind = iota // what a file contains is on disk
	Named               // a file has appeared under a name, or taken another's
	Removed             // a name is gone
	Synced              // the names in a directory are on disk
)

func (k Kind) String() string { return [...]string{"written", "named", "removed", "synced"}[k] }

var watcher atomic.Pointer[func(k Kind, path string)]

// Done is called after each step, with the path of the file or directory.
func Done(k Kind, path string) {
	if f := watcher.Load(); f != nil {
		(*f)(k, path)
	}
}

// Watch has f called for each step of every store in the process, from whichever
// goroutine does it, until stop is called.
func Watch(f func(k Kind, path string)) (stop func()) {
	watcher.Store(&f)
	return func() { watcher.Store(nil) }
}
