package expression

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ParseCondition parses
//
//	chain   = unit { ("and" | "&&" | "or" | "||") unit }
//	unit    = ("not" | "!") unit | operand [ comparison ]
//	comparison = ("==" | "!=" | "<" | "<=" | ">" | ">=") operand
//	        | ("in" | "notin") (operand | "(" operand { "," operand } ")")
//	operand = number | word | true | false | 'text' | "text" | exit_code
//	        | "${" name "}" | "${" activity ".exit_code}" | "(" chain ")"
//
// "and" and "or" bind equally and from the right, as in the reference engine:
// "a and b or c" is "a and (b or c)". A text in quotes may hold references, and
// stays a text; a reference outside of quotes is a number if it reads as one.
// A word is a text. Keywords may be in capitals.
func ParseCondition(s string) (*Condition, error) {
	p := &parser{rest: s}
	p.advance()
	c := p.chain()
	if p.err == nil && p.token != "" {
		p.fail("unexpected %s", p.token)
	}
	if p.err != nil {
		return nil, fmt.Errorf("condition %q: %w", shorten(s), p.err)
	}
	return c, nil
}

// maxNesting bounds the recursion that a condition can ask for.
const maxNesting = 100

// parser is at one token; token is "" at the end and after an error.
type parser struct {
	rest    string
	token   string
	operand *Condition // value of the token, if it is an operand
	depth   int
	err     error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
	p.token, p.operand, p.rest = "", nil, ""
}

// accept passes over the token if it is one of those given, and returns it.
func (p *parser) accept(tokens ...string) (token string, ok bool) {
	if p.operand != nil || !slices.Contains(tokens, p.token) || p.token == "" {
		return "", false
	}
	token = p.token
	p.advance()
	return token, true
}

// nest runs a part of the parser that may call itself.
func (p *parser) nest(parse func() *Condition) (c *Condition) {
	if p.depth++; p.depth > maxNesting {
		p.fail("nested more than %d times", maxNesting)
	}
	if p.err == nil {
		c = parse()
	}
	p.depth--
	if c == nil {
		return &Condition{}
	}
	return c
}

func (p *parser) chain() *Condition {
	c := &Condition{kind: chain, args: []*Condition{p.unit()}}
	for {
		op, ok := p.accept("and", "&&", "or", "||")
		switch {
		case !ok && len(c.ops) == 0:
			return c.args[0]
		case !ok:
			return c
		case op == "&&":
			op = "and"
		case op == "||":
			op = "or"
		}
		c.ops, c.args = append(c.ops, op), append(c.args, p.unit())
	}
}

func (p *parser) unit() *Condition {
	if _, ok := p.accept("not", "!"); ok {
		return &Condition{kind: negation, args: []*Condition{p.nest(p.unit)}}
	}
	left := p.primary()
	op, ok := p.accept("==", "!=", "<=", ">=", "<", ">", "in", "notin")
	if !ok {
		return left
	}
	right := p.primary
	if op == "in" || op == "notin" {
		right = p.set
	}
	return &Condition{kind: comparison, ops: []string{op}, args: []*Condition{left, right()}}
}

// set is the right side of in and notin.
func (p *parser) set() *Condition {
	if _, ok := p.accept("("); !ok {
		return p.primary()
	}
	c := &Condition{kind: list}
	for {
		c.args = append(c.args, p.leaf())
		if _, more := p.accept(","); !more {
			p.expect(")")
			return c
		}
	}
}

func (p *parser) primary() *Condition {
	if _, ok := p.accept("("); ok {
		c := p.nest(p.chain)
		p.expect(")")
		return c
	}
	return p.leaf()
}

// leaf is an operand of one token.
func (p *parser) leaf() *Condition {
	c := p.operand
	switch {
	case c != nil:
		p.advance()
		return c
	case p.err == nil && p.token == "":
		p.fail("it ends too early")
	case p.err == nil:
		p.fail("unexpected %s", p.token)
	}
	return &Condition{}
}

func (p *parser) expect(token string) {
	if _, ok := p.accept(token); !ok && p.err == nil {
		p.fail("a %s is missing", token)
	}
}

// advance reads the next token.
func (p *parser) advance() {
	p.token, p.operand = "", nil
	p.rest = strings.TrimLeftFunc(p.rest, unicode.IsSpace)
	if p.rest == "" || p.err != nil {
		return
	}
	for _, op := range []string{"||", "&&", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", ","} {
		if strings.HasPrefix(p.rest, op) {
			p.take(len(op))
			return
		}
	}
	switch first, _ := utf8.DecodeRuneInString(p.rest); {
	case first == '\'' || first == '"':
		p.quoted(p.rest[:1])
	case first == '$':
		p.reference()
	case strings.ContainsRune("+-.0123456789", first):
		p.number()
	default:
		p.word()
	}
}

func (p *parser) take(n int) { p.token, p.rest = p.rest[:n], p.rest[n:] }

// number reads a number, whose exponent alone may have a sign.
func (p *parser) number() {
	size := 1
	for size < len(p.rest) {
		c, before := rune(p.rest[size]), p.rest[size-1]
		if !isNameRune(c) && c != '.' && ((c != '+' && c != '-') || (before != 'e' && before != 'E')) {
			break
		}
		size++
	}
	p.take(size)
	if _, ok := number(p.token); !ok {
		p.fail("%s is no number; a text is written '%s'", shorten(p.token), shorten(p.token))
		return
	}
	p.operand = &Condition{kind: word, text: p.token}
}

func (p *parser) word() {
	p.take(prefix(p.rest, func(r rune) bool { return r == '.' || isNameRune(r) }))
	switch lower := strings.ToLower(p.token); lower {
	case "and", "or", "not", "in", "notin":
		p.token = lower
	case "issuperset", "notissuperset":
		p.fail("the operator %s is not known here", p.token)
	case "exit_code":
		p.operand = &Condition{kind: exitCode}
	case "":
		r, _ := utf8.DecodeRuneInString(p.rest)
		p.fail("unexpected %q", r)
	default:
		p.operand = &Condition{kind: word, text: p.token}
	}
}

func (p *parser) quoted(quote string) {
	end := strings.Index(p.rest[1:], quote)
	if end < 0 {
		p.fail("a text without a closing quote")
		return
	}
	p.take(end + 2)
	text := p.token[1 : end+1]
	refs, err := ParseTemplate(text)
	if err != nil {
		p.fail("%w", err)
		return
	}
	p.operand = &Condition{kind: quoted, text: text, quote: quote, refs: refs}
}

func (p *parser) reference() {
	before, found, _ := cutExpression(p.rest)
	if before != "" || found == "" {
		p.fail("a reference is written ${name}")
		return
	}
	p.take(len(found))
	name := strings.TrimSpace(found[2 : len(found)-1])
	activity, isExit := strings.CutSuffix(name, ".exit_code")
	switch {
	case name == "exit_code":
		p.operand = &Condition{kind: exitCode}
	case isExit && isActivity(activity):
		p.operand = &Condition{kind: exitCode, text: activity}
	case IsName(name):
		p.operand = &Condition{kind: reference, text: name}
	default:
		p.fail("%s is an expression: only ${name} and ${activity.exit_code} are known here", shorten(found))
	}
}

// isActivity reports whether s may be the ID of an activity and is no part of
// an expression.
func isActivity(s string) bool {
	return s != "" && !strings.ContainsAny(s, "()[]\"'+*/,=<>!| ")
}
