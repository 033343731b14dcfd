// Package steps reports each change of a store's files to tests, which can then
// examine the files that a crash at that moment would leave.
package steps

import "sync/atomic"

// Kind is the kind of a change.
type Kind int

// The kinds of changes.
const (
	Written Kind = iota // a file's contents are on disk
	Named               // a file has appeared under a name, or taken another's
	Removed             // a name was removed
	Synced              // the names in a directory are on disk
)

func (k Kind) String() string { return [...]string{"written", "named", "removed", "synced"}[k] }

var watcher atomic.Pointer[func(k Kind, path string)]

// Done is called after each change, with the path of the file or directory.
func Done(k Kind, path string) {
	if f := watcher.Load(); f != nil {
		(*f)(k, path)
	}
}

// Watch calls f for each change of every store in the process, on the goroutine
// that makes it, until stop is called.
func Watch(f func(k Kind, path string)) (stop func()) {
	watcher.Store(&f)
	return func() { watcher.Store(nil) }
}
