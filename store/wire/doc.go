// Package wire defines the JSON form of transitions, nodes, attempts, task headers
// and errors. Exports use it, and so does a server that lets programs read its
// store.
//
// Times are RFC 3339 in UTC with as many digits as they have; states, kinds and
// operations have their names; versions are hexadecimal digits. Zero values are
// left out. Every value survives encoding and decoding.
//
// # Answers of a server
//
// An answer is JSON Lines. The first line is a [Head]: the name of the format,
// its version, and how many lines follow. A [Change] with the node's declaration
// stands for a node of a tree, a [Transition], an [Attempt] or a [Task] for one
// of a page. An answer with fewer lines than its head says is incomplete.
//
// # Versions
//
// A new field changes [Version], because a reader that does not know the field
// would lose its value. Readers refuse unknown fields.
package wire

// Version is the version of the forms in this package.
const Version = 3

// Format is the name of the format of a server's answers.
const Format = "pipestatus-store"

// Head is the first line of an answer. Which fields there are depends on the
// question.
type Head struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	// Items is the number of lines that follow.
	Items int `json:"items"`
	// Business, Task and Revision identify the task, and Index is the node that
	// was asked for.
	Business string `json:"biz,omitempty"`
	Task     string `json:"task,omitempty"`
	Revision uint64 `json:"revision,omitempty"`
	Index    int    `json:"index,omitempty"`
	// Labels are those of a tree's task.
	Labels Labels `json:"labels,omitempty"`
	// Position is the store's last, in the form of [store.Position.String].
	Position string `json:"position,omitempty"`
	// First is the first sequence that the feed keeps, of its first log, and
	// Oldest the position before what it keeps of several logs.
	First  uint64 `json:"first,omitempty"`
	Oldest string `json:"oldest,omitempty"`
	// Cursor is the cursor of the next page of a list.
	Cursor string `json:"cursor,omitempty"`
	// Missing has the message of each error that matches [store.ErrUnavailable]: of
	// the parts of the store whose tasks a page of a list leaves out.
	Missing []string `json:"missing,omitempty"`
	// More says that the page has reached the server's limit.
	More bool `json:"more,omitempty"`
	// Ending says that the server is shutting down and the feed has ended.
	Ending bool `json:"ending,omitempty"`
}
