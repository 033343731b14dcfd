package expression

import (
	"fmt"
	"strconv"
	"strings"
)

// Condition is a parsed condition. It does not change, so goroutines may share
// it.
type Condition struct {
	kind  kind
	text  string       // as written, without quotes; the name that a reference has
	quote string       // around a quoted text
	refs  *Template    // of a quoted text
	ops   []string     // of a comparison one; of a chain one between each two of args
	args  []*Condition // operands
}

// kind is the kind of a part of a condition.
type kind int

const (
	word       kind = iota // a number, a truth value or a text without quotes
	quoted                 // a text in quotes
	reference              // ${name}
	exitCode               // ${activity.exit_code}, or exit_code
	negation               // of its operand
	comparison             // of its two operands
	list                   // of operands
	chain                  // of operands with and and or between them
)

// Holds evaluates the condition. It is an error if the condition is neither
// true nor false, compares what has no order, or needs the exit code of an
// activity that has not run.
func (c *Condition) Holds(s Scope) (bool, error) {
	switch c.kind {
	case negation:
		b, err := c.args[0].Holds(s)
		return !b, err
	case chain:
		return c.chainHolds(s)
	case comparison:
		return c.compare(s)
	}
	v, err := c.value(s)
	if err != nil {
		return false, err
	}
	if !v.isBool {
		return false, fmt.Errorf("%s is %s, neither true nor false", shorten(c.String()), v)
	}
	return v.integer.Sign() != 0, nil
}

// chainHolds decides from left to right: the first operand that is false before
// an "and", or true before an "or", decides the whole chain.
func (c *Condition) chainHolds(s Scope) (bool, error) {
	for i, op := range c.ops {
		b, err := c.args[i].Holds(s)
		if err != nil || b == (op == "or") {
			return b, err
		}
	}
	return c.args[len(c.ops)].Holds(s)
}

func (c *Condition) compare(s Scope) (bool, error) {
	v, err := c.args[0].value(s)
	if err != nil {
		return false, err
	}
	w, err := c.args[1].value(s)
	if err != nil {
		return false, err
	}
	switch op := c.ops[0]; op {
	case "in":
		return within(v, w)
	case "notin":
		in, err := within(v, w)
		return !in, err
	default:
		return compare(op, v, w)
	}
}

func (c *Condition) value(s Scope) (value, error) {
	switch c.kind {
	case word:
		return classify(c.text), nil
	case quoted:
		text, err := c.refs.Render(s, maxText)
		if err != nil {
			return value{}, fmt.Errorf("%s: %w", shorten(c.String()), err)
		}
		return value{text: whitespace.Replace(text)}, nil
	case reference:
		return classify(variable(s, c.text)), nil
	case exitCode:
		code, ok := s.ExitCode(c.text)
		if !ok {
			return value{}, fmt.Errorf("activity %s has not run", c.text)
		}
		return classify(strconv.Itoa(code)), nil
	case list:
		items := make([]value, len(c.args))
		for i, a := range c.args {
			var err error
			if items[i], err = a.value(s); err != nil {
				return value{}, err
			}
		}
		return value{isList: true, list: items}, nil
	}
	b, err := c.Holds(s)
	return truth(b), err
}

// maxText limits a text in quotes with what its references stand for.
const maxText = 1 << 20

// whitespace are the escapes in quoted texts. Any other backslash is itself.
var whitespace = strings.NewReplacer(`\t`, "\t", `\n`, "\n", `\f`, "\f", `\r`, "\r")

// ExitCodes returns the activities whose exit codes the condition refers to, ""
// for the one before it.
func (c *Condition) ExitCodes() (activities []string) {
	if c.kind == exitCode {
		activities = append(activities, c.text)
	}
	for _, a := range c.args {
		activities = append(activities, a.ExitCodes()...)
	}
	return activities
}

// String is the condition with all its parentheses; it parses to the same.
func (c *Condition) String() string {
	var b strings.Builder
	c.write(&b)
	return b.String()
}

func (c *Condition) write(b *strings.Builder) {
	switch c.kind {
	case word:
		b.WriteString(c.text)
	case quoted:
		b.WriteString(c.quote + c.text + c.quote)
	case reference:
		b.WriteString("${" + c.text + "}")
	case exitCode:
		if c.text == "" {
			b.WriteString("exit_code")
		} else {
			b.WriteString("${" + c.text + ".exit_code}")
		}
	case negation:
		b.WriteString("!")
		c.args[0].write(b)
	default:
		b.WriteString("(")
		for i, a := range c.args {
			switch {
			case i > 0 && c.kind == list:
				b.WriteString(", ")
			case i > 0:
				b.WriteString(" " + c.ops[i-1] + " ")
			}
			a.write(b)
		}
		b.WriteString(")")
	}
}
