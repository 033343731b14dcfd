package runner

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// parseCondition parses
//
//	or      = and { ("||" | "or") and }
//	and     = not { ("&&" | "and") not }
//	not     = ("!" | "not") not | compare
//	compare = operand [ ("==" | "!=" | "<" | "<=" | ">" | ">=") operand ]
//	operand = number | 'text' | "text" | true | false | exit_code
//	        | "${" name "}" | "${" activity ".exit_code}" | "(" or ")"
func parseCondition(s string) (*condition, error) {
	p := &parser{rest: s}
	p.advance()
	c := p.or()
	if p.err == nil && p.token != "" {
		p.fail("unexpected %s", p.token)
	}
	if p.err != nil {
		return nil, fmt.Errorf("condition %q: %w", s, p.err)
	}
	return c, nil
}

// maxNesting bounds the recursion that a condition can ask for.
const maxNesting = 100

// parser is at one token; token is "" at the end and after an error.
type parser struct {
	rest    string
	token   string
	literal *condition // what the token stands for, if it is an operand
	depth   int
	err     error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
	p.token, p.literal, p.rest = "", nil, ""
}

// accept passes over the token if it is one of those given.
func (p *parser) accept(tokens ...string) bool {
	for _, t := range tokens {
		if p.token == t && p.literal == nil {
			p.advance()
			return true
		}
	}
	return false
}

func (p *parser) or() *condition {
	c := p.and()
	for p.accept("||", "or") {
		c = &condition{op: "||", args: []*condition{c, p.and()}}
	}
	return c
}

func (p *parser) and() *condition {
	c := p.not()
	for p.accept("&&", "and") {
		c = &condition{op: "&&", args: []*condition{c, p.not()}}
	}
	return c
}

func (p *parser) not() *condition {
	if p.depth++; p.depth > maxNesting {
		p.fail("nested more than %d deep", maxNesting)
	}
	defer func() { p.depth-- }()
	if p.accept("!", "not") {
		return &condition{op: "!", args: []*condition{p.not()}}
	}
	c := p.operand()
	for _, op := range []string{"==", "!=", "<", "<=", ">", ">="} {
		if p.accept(op) {
			return &condition{op: op, args: []*condition{c, p.operand()}}
		}
	}
	return c
}

func (p *parser) operand() *condition {
	switch {
	case p.literal != nil:
		c := p.literal
		p.advance()
		return c
	case p.accept("("):
		c := p.or()
		if !p.accept(")") {
			p.fail("a ) is missing")
		}
		return c
	case p.token == "":
		p.fail("it ends too early")
	default:
		p.fail("unexpected %s", p.token)
	}
	return &condition{op: "literal"}
}

// advance reads the next token.
func (p *parser) advance() {
	p.token, p.literal = "", nil
	p.rest = strings.TrimLeftFunc(p.rest, unicode.IsSpace)
	if p.rest == "" || p.err != nil {
		return
	}
	for _, op := range []string{"||", "&&", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")"} {
		if strings.HasPrefix(p.rest, op) {
			p.take(len(op))
			return
		}
	}
	switch first, _ := utf8.DecodeRuneInString(p.rest); {
	case first == '\'' || first == '"':
		p.quoted(byte(first))
	case first == '$':
		p.reference()
	case first == '-' || first >= '0' && first <= '9':
		p.take(1 + prefix(p.rest[1:], func(r rune) bool { return r == '.' || r >= '0' && r <= '9' }))
		if _, ok := number(p.token); !ok {
			p.fail("%s is no number", p.token)
			return
		}
		p.literal = &condition{op: "literal", text: p.token}
	default:
		p.word()
	}
}

func (p *parser) take(n int) { p.token, p.rest = p.rest[:n], p.rest[n:] }

// prefix is the length of the part in the beginning of s that f accepts.
func prefix(s string, f func(rune) bool) int {
	return len(s) - len(strings.TrimLeftFunc(s, f))
}

func (p *parser) word() {
	p.take(prefix(p.rest, isNameRune))
	switch p.token {
	case "and", "or", "not":
	case "true", "True", "false", "False":
		p.literal = &condition{op: "literal", text: strings.ToLower(p.token)}
	case "exit_code":
		p.literal = &condition{op: "exit"}
	case "":
		r, _ := utf8.DecodeRuneInString(p.rest)
		p.fail("unexpected %q", r)
	default:
		p.fail("unknown word %s: a variable is written ${%s}, a text '%s'", p.token, p.token, p.token)
	}
}

func (p *parser) quoted(quote byte) {
	var text strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == quote:
			p.take(i + 1)
			if strings.Contains(text.String(), "${") {
				p.fail("a reference is written without quotes, not as %s", p.token)
				return
			}
			p.literal = &condition{op: "literal", text: text.String()}
			return
		case c == '\\' && i+1 < len(p.rest):
			i++
			text.WriteByte(p.rest[i])
		default:
			text.WriteByte(c)
		}
	}
	p.fail("a text does not end")
}

func (p *parser) reference() {
	end := strings.IndexByte(p.rest, '}')
	if !strings.HasPrefix(p.rest, "${") || end < 0 {
		p.fail("a reference is written ${name}")
		return
	}
	p.take(end + 1)
	name := strings.TrimSpace(p.token[2:end])
	activity, isExit := strings.CutSuffix(name, ".exit_code")
	switch {
	case name == "exit_code":
		p.literal = &condition{op: "exit"}
	case isExit && activity != "":
		p.literal = &condition{op: "exit", text: activity}
	case isName(name):
		p.literal = &condition{op: "variable", text: name}
	default:
		p.fail("%s is neither a variable nor the exit_code of an activity", p.token)
	}
}

func isNameRune(r rune) bool {
	return r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// isName reports whether s can name a variable, also in an environment.
func isName(s string) bool {
	return s != "" && (s[0] < '0' || s[0] > '9') && prefix(s, isNameRune) == len(s)
}
