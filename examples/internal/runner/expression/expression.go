// Package expression reads the two kinds of expression in a definition:
// templates, such as "deploy ${version}", and conditions, such as
// "${percent} < 100 and ${os} in ('linux', 'darwin')". Both decide as the
// reference engine of such definitions does. Of its template language they support
// only ${name}; anything else is refused by name.
package expression

import (
	"fmt"
	"strings"
)

// Scope resolves the references of an expression.
type Scope interface {
	// Variable returns the text of a variable; ok is false if it has none.
	Variable(name string) (text string, ok bool)
	// ExitCode returns the last exit code of an activity, "" for the one before
	// the condition; ok is false if that has not run.
	ExitCode(activity string) (code int, ok bool)
}

// Template is text with references to variables. The zero value is the empty
// text. A Template does not change, so goroutines may share it.
type Template struct{ parts []part }

// part is some text and the name of the variable after it, "" for none.
type part struct{ text, name string }

// Text is a template without references: its text is what it renders as.
func Text(text string) *Template { return &Template{[]part{{text: text}}} }

// ParseTemplate reads a template. An expression in ${ } that is no name is an
// error that names it. A $ that begins no expression is text.
func ParseTemplate(text string) (*Template, error) {
	t := &Template{}
	for {
		before, found, rest := cutExpression(text)
		if found == "" {
			t.parts = append(t.parts, part{text: text})
			return t, nil
		}
		name := strings.TrimSpace(found[2 : len(found)-1])
		if !IsName(name) {
			return nil, fmt.Errorf("%s is an expression: only ${name} is known here", shorten(found))
		}
		t.parts = append(t.parts, part{before, name})
		text = rest
	}
}

// cutExpression finds the first ${ } in a text that holds neither $, { nor #,
// which the reference engine takes for one.
func cutExpression(text string) (before, expression, after string) {
	for from := 0; ; {
		start := strings.Index(text[from:], "${")
		if start < 0 {
			return text, "", ""
		}
		start += from
		end := strings.IndexAny(text[start+2:], "${}#")
		if end > 0 && text[start+2+end] == '}' {
			end += start + 3
			return text[:start], text[start:end], text[end:]
		}
		from = start + 2
	}
}

// Render returns the text with the values of the variables. A reference to a variable
// without a value stays unchanged. It is an error if the text becomes longer than
// most bytes.
func (t *Template) Render(s Scope, most int) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.text)
		if p.name != "" {
			b.WriteString(variable(s, p.name))
		}
		if b.Len() > most {
			return "", fmt.Errorf("it becomes longer than %d bytes", most)
		}
	}
	return b.String(), nil
}

func variable(s Scope, name string) string {
	if text, ok := s.Variable(name); ok {
		return text
	}
	return "${" + name + "}"
}

// Names returns the names of the variables that the template refers to, each as
// often as it does.
func (t *Template) Names() (names []string) {
	for _, p := range t.parts {
		if p.name != "" {
			names = append(names, p.name)
		}
	}
	return names
}

// IsName reports whether s can name a variable, also in an environment.
func IsName(s string) bool {
	return s != "" && (s[0] < '0' || s[0] > '9') && prefix(s, isNameRune) == len(s)
}

func isNameRune(r rune) bool {
	return r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// prefix is the length of the part in the beginning of s that f accepts.
func prefix(s string, f func(rune) bool) int {
	return len(s) - len(strings.TrimLeftFunc(s, f))
}

// shorten is text for a message, without its middle if it is long.
func shorten(text string) string {
	const most, end = 120, 40
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-end], "") + "…" + strings.ToValidUTF8(text[len(text)-end:], "")
}
