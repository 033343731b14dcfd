package httpapi

import (
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Seal and Open convert positions like a handler with a key.

func Seal(key, business, task string, history store.History, sequence uint64) string {
	return newPositions([]byte(key)).seal(state.Key{Business: business, Task: task}, history, sequence)
}

func Open(key, business, task, position string) (sequence uint64, ok bool) {
	_, sequence, ok = newPositions([]byte(key)).open(state.Key{Business: business, Task: task}, position)
	return sequence, ok
}

// Paths returns the paths of a handler, with their methods, in the form of an
// OpenAPI description.
func (h *Handler) Paths() map[string][]string {
	paths := make(map[string][]string)
	note := func(path string, r route) {
		if r.get {
			paths[path] = append(paths[path], "get")
		}
		if r.post {
			paths[path] = append(paths[path], "post")
		}
	}
	for path, r := range h.views() {
		if path == "" {
			path = "/"
		}
		note(path, r)
	}
	for name, r := range h.gateway {
		note(h.opts.Prefix+"/"+name+"/", r)
		path := name + "/"
		for _, parameter := range r.inPath {
			path += "{" + parameter + "}/"
		}
		note("/"+path, r)
		note("/system/"+path, r)
	}
	return paths
}
