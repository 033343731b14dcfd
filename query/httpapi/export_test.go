package httpapi

import "github.com/pipestatus/pipestatus/state"

// Seal and Open are what a handler with a key makes of positions.

func Seal(key, business, task string, sequence uint64) string {
	return newPositions([]byte(key)).seal(state.Key{Business: business, Task: task}, sequence)
}

func Open(key, business, task, position string) (sequence uint64, ok bool) {
	return newPositions([]byte(key)).open(state.Key{Business: business, Task: task}, position)
}
