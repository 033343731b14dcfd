package main

import (
	"bytes"
	"encoding/json"

	"github.com/pipestatus/pipestatus/state"
)

// plainNode is the documented shape as ordinary structs: the yardstick for
// snapshots.
type plainNode struct {
	Retry      int                   `json:"retry"`
	Name       string                `json:"name"`
	FinishTime string                `json:"finish_time"`
	Skip       bool                  `json:"skip"`
	StartTime  string                `json:"start_time"`
	Children   map[string]*plainNode `json:"children"`
	State      string                `json:"state"`
	Version    string                `json:"version"`
	ID         string                `json:"id"`
	Loop       int                   `json:"loop"`
}

type plainResponse struct {
	Result bool       `json:"result"`
	Data   *plainNode `json:"data"`
}

// plainJSON builds the structs for a tree and encodes them.
func plainJSON(buf *bytes.Buffer, tree *state.Tree) error {
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	return enc.Encode(plainResponse{Result: true, Data: plain(tree, 0)})
}

func plain(tree *state.Tree, i int) *plainNode {
	n := tree.Node(i)
	p := &plainNode{
		Retry: n.Retry(), Name: n.DisplayName(), FinishTime: plainTime(n.Finished), Skip: n.Skipped,
		StartTime: plainTime(n.Started), Children: make(map[string]*plainNode), State: tree.Shown(i).String(),
		Version: n.Version.String(), ID: n.ID, Loop: n.Loop,
	}
	for c := range tree.Children(i) {
		p.Children[tree.ID(c)] = plain(tree, c)
	}
	return p
}

func plainTime(t state.Instant) string {
	if !t.IsSet() {
		return ""
	}
	return t.Time().Local().Format("2006-01-02 15:04:05 -0700")
}
