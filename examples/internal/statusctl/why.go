package statusctl

import (
	"fmt"
	"strings"

	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

var whyCommand = command{
	name: "why", args: "BIZ TASK|NODE", summary: "show the failures in a task or node, with their whole error texts",
	least: 2, most: 2,
	detail: timeDetail,
	bind:   looking((*tool).showFailures),
}

// failureRecord is a failure in JSON. The time is a shown time.
type failureRecord struct {
	Node     string   `json:"node"`
	Path     []string `json:"path"` // names from the root's child down to it
	Kind     string   `json:"kind"`
	State    string   `json:"state"`
	Loop     int      `json:"loop"`
	Retries  int      `json:"retries"`
	Finished string   `json:"finish_time"`
	RetryAt  string   `json:"retry_at"`
	Error    string   `json:"error"`
}

// failures are the nodes, at and below one, that failed themselves or were stopped
// for a reason, in the order of creation.
func failures(tree *state.Tree, node int) []state.Node {
	return below(tree, node, func(n *state.Node) bool {
		return n.State == state.Failed || n.State == state.Revoked && n.Error != ""
	})
}

// below are the nodes, at and below one, for which a condition holds, in the order
// of creation.
func below(tree *state.Tree, node int, holds func(*state.Node) bool) (found []state.Node) {
	for i := range tree.Within(node) {
		if n := tree.Node(i); holds(&n) {
			found = append(found, n)
		}
	}
	return found
}

// path lists the names of a node and of the nodes above it, without the root.
func path(tree *state.Tree, i int) []string {
	names := []string{}
	for ; i > 0; i = tree.Parent(i) {
		n := tree.Node(i)
		names = append([]string{label(n.Kind, n.Name)}, names...)
	}
	return names
}

// retried are the nodes, at and below one, that were retried or skipped after they
// had failed, in the order of creation.
func retried(tree *state.Tree, node int) []state.Node {
	return below(tree, node, func(n *state.Node) bool { return n.Retry() > 0 })
}

// writeNoFailure says that nothing is FAILED, and what was before.
func (t *tool) writeNoFailure(b *strings.Builder, snap store.Snapshot) {
	name, shown := picture.Printable(taskName(snap.Tree.Key())), snap.Tree.Shown(snap.Index)
	nodes, attempts := retried(snap.Tree, snap.Index), 0
	for i := range nodes {
		attempts += nodes[i].Retry()
	}
	suspended := below(snap.Tree, snap.Index, func(n *state.Node) bool { return n.State == state.Suspended })
	for i := range suspended {
		n := &suspended[i]
		text := fmt.Sprintf("%s, node %s, is suspended", pathName(snap.Tree, n), n.ID)
		if n.Note != "" {
			text += ", waits: " + n.Note
		}
		fmt.Fprintf(b, "%s\n", picture.Printable(text))
	}
	if attempts == 0 {
		fmt.Fprintf(b, "Nothing has failed in %s, which shows %s.\n", name, shown)
		return
	}
	fmt.Fprintf(b, "Nothing is FAILED now in %s, which shows %s; %s failed before:\n", name, shown, count(attempts, "attempt"))
	for i := range nodes {
		n := &nodes[i]
		fmt.Fprintf(b, "    %s\n", picture.Printable(fmt.Sprintf("%s, node %s, %s", pathName(snap.Tree, n), n.ID, picture.Remarks(&n.Attempt, t.zone))))
	}
	fmt.Fprintf(b, "\"statusctl history NODE\" shows their errors.\n")
}

// pathName is the path of a node, or the name of the root.
func pathName(tree *state.Tree, n *state.Node) string {
	if n.Index == 0 {
		return label(n.Kind, n.Name)
	}
	return pathText(path(tree, n.Index))
}

func (t *tool) showFailures(snap store.Snapshot, _ *picture.Options) error {
	tree := snap.Tree
	failed := failures(tree, snap.Index)
	if t.json {
		return writeEach(t.stdout, failed, func(n *state.Node) failureRecord {
			return failureRecord{
				Node: n.ID, Path: path(tree, n.Index), Kind: n.Kind.String(), State: n.State.String(), Loop: n.Loop, Retries: n.Retries,
				Finished: shownTime(n.Finished, t.zone), RetryAt: shownTime(n.RetryAt, t.zone), Error: n.Error,
			}
		})
	}
	var b strings.Builder
	if len(failed) == 0 {
		t.writeNoFailure(&b, snap)
	}
	colored := wantsColors(t.stdout)
	for i := range failed {
		n := &failed[i]
		if i > 0 {
			b.WriteString("\n")
		}
		shown := n.State.String()
		if colored {
			shown = painted(shown)
		}
		fmt.Fprintf(&b, "%s  %s\n", shown, picture.Printable(pathName(tree, n)))
		about := []string{"node " + n.ID}
		if n.Finished.IsSet() {
			about = append(about, shownTime(n.Finished, t.zone))
		}
		if n.Started.IsSet() && n.Finished.IsSet() {
			about = append(about, "after "+picture.Duration(n.Finished.Since(n.Started)))
		}
		if text := picture.Remarks(&n.Attempt, t.zone); text != "" {
			about = append(about, text)
		}
		fmt.Fprintf(&b, "%s\n", picture.Printable(strings.Join(about, ", ")))
		for line := range strings.SplitSeq(picture.Plain(n.Error), "\n") {
			b.WriteString(strings.TrimRight("    "+line, " ") + "\n")
		}
	}
	if len(failed) > 0 && tree.State(0) == state.Suspended {
		b.WriteString("\nThe task is suspended: nothing new begins before it is resumed, for example with 'runner -resume'.\n")
	}
	return t.write(b.String())
}
