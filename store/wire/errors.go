package wire

import (
	"errors"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// sentinels are the errors that readers of a store return, by name.
var sentinels = []struct {
	name string
	err  error
}{
	{"invalid_argument", state.ErrInvalidArgument},
	{"not_found", state.ErrNotFound},
	{"malformed", state.ErrMalformed},
	{"trimmed", store.ErrTrimmed},
	{"history", store.ErrHistory},
	{"failed", store.ErrFailed},
	{"unavailable", store.ErrUnavailable},
	{"corrupt", store.ErrCorrupt},
	{"incompatible", store.ErrIncompatible},
	{"closed", store.ErrClosed},
}

// ErrorNames returns the names of the sentinel errors of state and store that an
// error matches, or nil.
func ErrorNames(err error) (names []string) {
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			names = append(names, s.name)
		}
	}
	return names
}

// Errors returns the sentinel errors with these names. It ignores unknown names:
// the message of the error still says what happened.
func Errors(names []string) (errs []error) {
	for _, name := range names {
		for _, s := range sentinels {
			if s.name == name {
				errs = append(errs, s.err)
			}
		}
	}
	return errs
}
