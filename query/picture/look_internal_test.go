package picture

import (
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/state"
)

// A new kind or state must not make a picture fail.
func TestNewKindsAndStatesHaveALook(t *testing.T) {
	for i := range 256 {
		k, s := state.Kind(i), state.State(i)
		if opening, closing := mermaidShape(k); opening == "" || closing == "" {
			t.Errorf("%s has no shape", k)
		}
		l := lookOf(s)
		if l.symbol == "" || l.terminal == "" || l.fill == "" || l.line == "" || l.text == "" {
			t.Errorf("%s looks like %+v", s, l)
		}
		if known := l.symbol != "?"; known != s.Valid() {
			t.Errorf("%s has the symbol %s", s, l.symbol)
		}
		if text := Label(k, "name"); !strings.Contains(text, "name") {
			t.Errorf("%s is called %q", k, text)
		}
	}
}
