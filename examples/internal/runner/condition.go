package runner

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// condition is a parsed expression: a literal, a reference, or an operator
// with its operands. Values are text; two that read as numbers compare as
// numbers, and true and false are the texts "true" and "false".
type condition struct {
	op   string // "literal", "variable", "exit", or an operator
	text string // of a literal; name of a variable; activity of an exit code, "" for the one before
	args []*condition
}

// scope is what the references of a condition stand for.
type scope interface {
	variable(name string) (string, bool)
	exitCode(activity string) (int, bool)
}

// holds evaluates the condition. It is an error if it is neither true nor
// false, or refers to what is not set yet.
func (c *condition) holds(s scope) (bool, error) {
	switch c.op {
	case "!":
		b, err := c.args[0].holds(s)
		return !b, err
	case "&&", "||":
		b, err := c.args[0].holds(s)
		if err != nil || b == (c.op == "||") {
			return b, err
		}
		return c.args[1].holds(s)
	}
	v, err := c.value(s)
	if err != nil {
		return false, err
	}
	switch v {
	case "true", "True":
		return true, nil
	case "false", "False":
		return false, nil
	}
	return false, fmt.Errorf("%s is %q, neither true nor false", c, v)
}

func (c *condition) value(s scope) (string, error) {
	switch c.op {
	case "literal":
		return c.text, nil
	case "variable":
		v, ok := s.variable(c.text)
		if !ok {
			return "", fmt.Errorf("variable %s is not set", c.text)
		}
		return v, nil
	case "exit":
		code, ok := s.exitCode(c.text)
		if !ok {
			return "", fmt.Errorf("activity %s has not run", c.text)
		}
		return strconv.Itoa(code), nil
	case "!", "&&", "||":
		b, err := c.holds(s)
		return strconv.FormatBool(b), err
	}
	a, err := c.args[0].value(s)
	if err != nil {
		return "", err
	}
	b, err := c.args[1].value(s)
	if err != nil {
		return "", err
	}
	result, err := compare(c.op, a, b)
	return strconv.FormatBool(result), err
}

func compare(op, a, b string) (bool, error) {
	x, isNumber := number(a)
	y, both := number(b)
	if both = both && isNumber; !both {
		switch op {
		case "==":
			return a == b, nil
		case "!=":
			return a != b, nil
		}
		return false, fmt.Errorf("%q %s %q: only numbers have an order", a, op, b)
	}
	switch op {
	case "==":
		return x == y, nil
	case "!=":
		return x != y, nil
	case "<":
		return x < y, nil
	case "<=":
		return x <= y, nil
	case ">":
		return x > y, nil
	}
	return x >= y, nil
}

func number(s string) (float64, bool) {
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
}

// each calls f for the condition and everything in it.
func (c *condition) each(f func(*condition)) {
	f(c)
	for _, a := range c.args {
		a.each(f)
	}
}

// String is the condition with all its parentheses; it parses to the same.
func (c *condition) String() string {
	switch c.op {
	case "literal":
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(c.text) + "'"
	case "variable":
		return "${" + c.text + "}"
	case "exit":
		if c.text == "" {
			return "exit_code"
		}
		return "${" + c.text + ".exit_code}"
	case "!":
		return "!" + c.args[0].String()
	}
	return "(" + c.args[0].String() + " " + c.op + " " + c.args[1].String() + ")"
}
