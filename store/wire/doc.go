// Package wire is the form in JSON of what stores hold: transitions, nodes,
// attempts, headers of tasks, and errors. Exports are made of it, and so are the
// answers of a server that lets programs read its store.
//
// Times are RFC 3339 in UTC with as many digits as they have; states, kinds and
// operations have their names; versions are hexadecimal digits. What is zero is
// left out. Every value survives the way there and back.
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
// A new field changes [Version], because a reader that did not know it would
// lose what it says. Readers refuse fields that they do not know.
package wire

// Version is the version of the forms in this package.
const Version = 3

// Format names the answers of a server.
const Format = "pipestatus-store"

// Head is the first line of an answer. Which fields there are depends on the
// question.
type Head struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	// Items is the number of lines that follow.
	Items int `json:"items"`
	// Business, Task and Revision say which task it is, and Index which node
	// of it was asked for.
	Business string `json:"biz,omitempty"`
	Task     string `json:"task,omitempty"`
	Revision uint64 `json:"revision,omitempty"`
	Index    int    `json:"index,omitempty"`
	// Labels are those of a tree's task.
	Labels Labels `json:"labels,omitempty"`
	// Position is the store's last, as [store.Position.String] has it.
	Position string `json:"position,omitempty"`
	// First is the first sequence that the feed keeps.
	First uint64 `json:"first,omitempty"`
	// Cursor is that of the next page of a list.
	Cursor string `json:"cursor,omitempty"`
	// More says that the page is as long as the server gives at once.
	More bool `json:"more,omitempty"`
	// Ending says that the server is shutting down and that the feed has no
	// more.
	Ending bool `json:"ending,omitempty"`
}
