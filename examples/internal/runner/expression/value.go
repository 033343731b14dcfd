package expression

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// value is an operand of a comparison: a text, an integer, a fraction, a truth
// value, which counts as the integer 0 or 1, or a list of them.
type value struct {
	integer *big.Int // of integers and truth values
	isBool  bool
	real    *float64
	list    []value // if isList
	isList  bool
	text    string // else
}

func truth(b bool) value {
	v := value{integer: new(big.Int), isBool: true}
	if b {
		v.integer.SetInt64(1)
	}
	return v
}

// classify is the value of unquoted text: a number or truth value if it reads as one,
// otherwise the text itself.
func classify(text string) value {
	trimmed := strings.TrimSpace(text)
	switch {
	case strings.EqualFold(trimmed, "true"):
		return truth(true)
	case strings.EqualFold(trimmed, "false"):
		return truth(false)
	}
	if v, ok := number(trimmed); ok {
		return v
	}
	return value{text: text}
}

// maxDigits bounds the length of numbers, whose conversion takes its square.
const maxDigits = 1000

// number reads digits with an optional sign as an integer, and with a point,
// and perhaps an exponent, as a fraction.
func number(text string) (value, bool) {
	digits := strings.TrimLeft(text, "+-")
	if len(text) > maxDigits || len(text)-len(digits) > 1 || prefix(digits, isNumberRune) != len(digits) {
		return value{}, false
	}
	if !strings.Contains(digits, ".") {
		i, ok := new(big.Int).SetString(text, 10)
		return value{integer: i}, ok
	}
	f, err := strconv.ParseFloat(text, 64)
	return value{real: &f}, err == nil && !math.IsInf(f, 0)
}

func isNumberRune(r rune) bool {
	return r >= '0' && r <= '9' || r == '.' || r == 'e' || r == 'E' || r == '+' || r == '-'
}

// isText reports whether the value is a text.
func (v value) isText() bool { return v.integer == nil && v.real == nil && !v.isList }

// asText is how the reference engine writes the value.
func (v value) asText() string {
	switch {
	case v.isBool && v.integer.Sign() != 0:
		return "True"
	case v.isBool:
		return "False"
	case v.integer != nil:
		return v.integer.String()
	case v.real != nil:
		return formatReal(*v.real)
	}
	return v.text
}

// formatReal writes a fraction with as many digits as necessary, and with a
// point or an exponent, which distinguish it from an integer.
func formatReal(f float64) string {
	if size := math.Abs(f); size != 0 && (size < 1e-4 || size >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// asInteger is the value as an integer: a fraction is truncated, and a text must be
// an integer.
func (v value) asInteger() (value, bool) {
	switch {
	case v.integer != nil:
		return value{integer: v.integer}, true
	case v.real != nil:
		i, _ := new(big.Float).SetFloat64(*v.real).Int(nil)
		return value{integer: i}, true
	case v.isText():
		i, ok := number(strings.TrimSpace(v.text))
		return i, ok && i.integer != nil
	}
	return value{}, false
}

// same reports whether two values are equal without a conversion.
func (v value) same(w value) bool {
	switch {
	case v.isText() || w.isText():
		return v.isText() && w.isText() && v.text == w.text
	case v.isList || w.isList:
		return false
	}
	return v.rational().Cmp(w.rational()) == 0
}

// rational is the exact value of a number.
func (v value) rational() *big.Rat {
	if v.real != nil {
		return new(big.Rat).SetFloat64(*v.real)
	}
	return new(big.Rat).SetInt(v.integer)
}

// compare compares two values by ==, !=, <, <=, > or >=. As in the reference
// engine, an integer makes the other operand one if it can be one, also a
// fraction, and else a text makes it a text: 2 == "2" holds, and so does
// 2 == 2.5, but "2" == "2.0" does not.
func compare(op string, v, w value) (bool, error) {
	if v.isList || w.isList {
		return false, fmt.Errorf("a list can only be the right side of in and notin")
	}
	v, w = align(v, w)
	switch op {
	case "==":
		return v.same(w), nil
	case "!=":
		return !v.same(w), nil
	}
	var order int
	switch {
	case v.isText() && w.isText():
		order = strings.Compare(v.text, w.text)
	case v.isText() || w.isText():
		return false, fmt.Errorf("%s %s %s: a number and another text have no order", v, op, w)
	default:
		order = v.rational().Cmp(w.rational())
	}
	switch op {
	case "<":
		return order < 0, nil
	case "<=":
		return order <= 0, nil
	case ">":
		return order > 0, nil
	}
	return order >= 0, nil
}

func align(v, w value) (value, value) {
	if v.integer != nil {
		if i, ok := w.asInteger(); ok {
			return v, i
		}
		return v, w
	}
	if w.integer != nil {
		if i, ok := v.asInteger(); ok {
			return i, w
		}
		return v, w
	}
	if v.isText() || w.isText() {
		return value{text: v.asText()}, value{text: w.asText()}
	}
	return v, w
}

// within reports whether v is one of a list, or a part of a text. In a list, an
// integer also equals a value that converts to it, and a text equals a value that is
// written like it.
func within(v, w value) (bool, error) {
	switch {
	case w.isList:
		return slices.ContainsFunc(w.list, func(item value) bool {
			if i, ok := item.asInteger(); ok && v.integer != nil && i.same(v) {
				return true
			}
			return item.same(v) || v.isText() && item.asText() == v.text
		}), nil
	case v.isText() && w.isText():
		return strings.Contains(w.text, v.text), nil
	}
	return false, fmt.Errorf("%s in %s: the right side must be a list, or both sides texts", v, w)
}

// String is the value for messages.
func (v value) String() string {
	if v.isText() {
		return strconv.Quote(shorten(v.text))
	}
	return shorten(v.asText())
}
