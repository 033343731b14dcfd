package runner

import (
	"strings"
	"testing"
)

// facts is a scope for tests.
type facts struct {
	variables map[string]string
	exits     map[string]int
}

func (f facts) variable(name string) (string, bool) { v, ok := f.variables[name]; return v, ok }
func (f facts) exitCode(a string) (int, bool)       { c, ok := f.exits[a]; return c, ok }

var someFacts = facts{
	variables: map[string]string{"n": "40", "s": "it's", "yes": "True", "empty": "", "neg": "-1.50"},
	exits:     map[string]int{"": 3, "build": 0, "7a-b.c": 9},
}

func TestConditions(t *testing.T) {
	for s, want := range map[string]bool{
		"exit_code == 3":               true,
		"exit_code != 3":               false,
		"${exit_code} > 2":             true,
		"${build.exit_code} == 0":      true,
		"${7a-b.c.exit_code} >= 9":     true,
		"${ n } == 40.0":               true,
		"${n} < 100":                   true,
		"${n} <= 39.9":                 false,
		"${n} < 9":                     false, // as numbers, not as text
		"${neg} == -1.5":               true,
		"'40' == ${n}":                 true,
		`${s} == 'it\'s'`:              true,
		`${s} == "it's"`:               true,
		"${empty} == ''":               true,
		"${s} != 'its'":                true,
		"${yes}":                       true,
		"!${yes}":                      false,
		"not ${yes} or true":           true,
		"True == True":                 true,
		"True == False":                false,
		"(1 == 1) == true":             true,
		"1 == 1 && 1 == 2 || 3 == 3":   true,
		"1 == 1 && (1 == 2 || 3 == 4)": false,
		"1 == 2 and 1 == 1 or 1 == 1":  true,
		"1 == 1 || ${unset} == 1":      true,  // not looked at
		"1 == 2 && ${unset} == 1":      false, // nor here
		"!(exit_code == 3)":            false,
		"!!true":                       true,
		"exit_code==3&&${n}==40":       true,
		"exit_code == 0 && ${n} < 100 || !(${build.exit_code} != 0)": true,
	} {
		c, err := parseCondition(s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		if got, err := c.holds(someFacts); err != nil || got != want {
			t.Errorf("%s is %v, %v, want %v", s, got, err, want)
		}
	}
}

func TestConditionsThatDoNotParse(t *testing.T) {
	for s, want := range map[string]string{
		"":                        "ends too early",
		"exit_code ==":            "ends too early",
		"exit_code = 3":           "unexpected '='",
		"exit_code == 3 4":        "unexpected 4",
		"(exit_code == 3":         "a ) is missing",
		"exit_code == 3)":         "unexpected )",
		"1 < 2 < 3":               "unexpected <",
		"n == 40":                 "a variable is written ${n}",
		"${n == 40":               "a reference is written ${name}",
		"${} == 40":               "neither a variable nor",
		"${a.b} == 40":            "neither a variable nor",
		"$n == 40":                "a reference is written ${name}",
		"'${n}' == 'x'":           "without quotes",
		"'abc == 3":               "does not end",
		"1.2.3 == 3":              "1.2.3 is no number",
		"- == 3":                  "- is no number",
		"&& true":                 "unexpected &&",
		"true ! false":            "unexpected !",
		strings.Repeat("(", 5000): "nested more than",
		strings.Repeat("!", 5000): "nested more than",
	} {
		if _, err := parseCondition(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: error is %v, want %q", s, err, want)
		}
	}
}

func TestConditionsThatCannotBeDecided(t *testing.T) {
	for s, want := range map[string]string{
		"${unset} == 1":         "variable unset is not set",
		"${lint.exit_code} > 1": "activity lint has not run",
		"${n}":                  "neither true nor false",
		"3 && true":             "neither true nor false",
		"${s} < 5":              "only numbers have an order",
		"${empty}":              "neither true nor false",
	} {
		c, err := parseCondition(s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		if _, err := c.holds(someFacts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %q", s, err, want)
		}
	}
}

func FuzzParseCondition(f *testing.F) {
	for _, s := range []string{
		"exit_code == 0 && ${x} < 100 || !(${build.exit_code} != 3)",
		`not 'a\'b' == "c" or true and -1.5 >= ${y}`, "((1))", "'\\", "${}", "\xff",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parseCondition(s)
		if err != nil {
			return
		}
		_, _ = c.holds(someFacts)
		// String adds parentheses, so only what is far from the limit of
		// nesting can be parsed again.
		if strings.Count(s, "(")+strings.Count(s, "!")+strings.Count(s, "not")+strings.Count(s, "and")+
			strings.Count(s, "or")+strings.Count(s, "&&")+strings.Count(s, "||") > maxNesting/3 {
			return
		}
		text := c.String()
		again, err := parseCondition(text)
		if err != nil {
			t.Fatalf("%q became %q: %v", s, text, err)
		}
		if got := again.String(); got != text {
			t.Errorf("%q became %q, then %q", s, text, got)
		}
	})
}
