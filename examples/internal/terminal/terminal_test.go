package terminal_test

import (
	"encoding/json"
	"testing"

	"github.com/pipestatus/pipestatus/examples/internal/terminal"
)

func TestJSONForATerminalKeepsItsValue(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      `""`,
		"build \u6f22\u5b57 \U0001f680 e\u0301": "\"build \u6f22\u5b57 \U0001f680 e\u0301\"",
		"exe.\u202etxt\u2069":                   `"exe.\u202etxt\u2069"`,
		"\x7f\u009b2J\u3164":                    `"\u007f\u009b2J\u3164"`,
		"\U000e0041":                            `"\udb40\udc41"`,
		"\"\\\n\x00":                            `"\"\\\n\u0000"`,
	} {
		line, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		got := terminal.JSON(line)
		var same string
		if err := json.Unmarshal(got, &same); err != nil || same != text || string(got) != want {
			t.Errorf("%q: %s, want %s; it says %q, %v", text, got, want, same, err)
		}
	}
}
