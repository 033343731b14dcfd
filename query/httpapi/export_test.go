package httpapi

import (
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Seal and Open are what a handler with a key makes of positions.

func Seal(key, business, task string, history store.History, sequence uint64) string {
	return newPositions([]byte(key)).seal(state.Key{Business: business, Task: task}, history, sequence)
}

func Open(key, business, task, position string) (sequence uint64, ok bool) {
	_, sequence, ok = newPositions([]byte(key)).open(state.Key{Business: business, Task: task}, position)
	return sequence, ok
}

// Paths are those that a handler answers, with the methods of each, as an
// OpenAPI description writes them.
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
