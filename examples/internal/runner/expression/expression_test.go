package expression

import (
	"slices"
	"strings"
	"testing"
)

// facts is a scope for tests.
type facts struct {
	variables map[string]string
	exits     map[string]int
}

func (f facts) Variable(name string) (string, bool) { v, ok := f.variables[name]; return v, ok }
func (f facts) ExitCode(a string) (int, bool)       { c, ok := f.exits[a]; return c, ok }

var someFacts = facts{
	variables: map[string]string{
		"n": "40", "s": "it's", "yes": "True", "empty": "", "neg": "-1.50", "os": "linux", "path": `C:\temp\new`, "lines": "a\nb",
	},
	exits: map[string]int{"": 3, "build": 0, "7a-b.c": 9},
}

func TestTemplatesRenderSetVariablesAndKeepTheRest(t *testing.T) {
	for text, want := range map[string]string{
		"":                     "",
		"plain $HOME {x} $":    "plain $HOME {x} $",
		"${n}":                 "40",
		"<${ n }${os}>":        "<40linux>",
		"${unset} ${n}":        "${unset} 40",
		"${empty}|${s}":        "|it's",
		"$${n}":                "$40",
		"${${n}}":              "${40}",
		"${#n} ${} ${n":        "${#n} ${} ${n",
		"\xff${n}\xff":         "\xff40\xff",
		"${yes}${yes}${lines}": "TrueTruea\nb",
	} {
		tmpl, err := ParseTemplate(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := tmpl.Render(someFacts, 100); err != nil || got != want {
			t.Errorf("%s renders as %q, %v, want %q", text, got, err, want)
		}
	}
	if got, err := Text("${n}").Render(someFacts, 4); err != nil || got != "${n}" {
		t.Errorf("a text without references renders as %q, %v", got, err)
	}
	if got, err := Text("${n}").Render(someFacts, 3); err == nil {
		t.Errorf("a text that is too long renders as %q", got)
	}
	if tmpl, err := ParseTemplate("${a}x${b}${a}"); err != nil || !slices.Equal(tmpl.Names(), []string{"a", "b", "a"}) {
		t.Errorf("names are %q, %v", tmpl.Names(), err)
	}
}

func TestExpressionsBeyondNamesAreRefusedByName(t *testing.T) {
	for text, expression := range map[string]string{
		`x ${int(n) + 1} y`:      "${int(n) + 1}",
		`${l.split(",")[a_i]}`:   `${l.split(",")[a_i]}`,
		"${n}${n:-1}":            "${n:-1}",
		"${a.exit_code}":         "${a.exit_code}",
		"${1st}":                 "${1st}",
		"${ }":                   "${ }",
		strings.Repeat("x", 500): "",
	} {
		_, err := ParseTemplate(text)
		if (err == nil) != (expression == "") || err != nil && !strings.Contains(err.Error(), expression) {
			t.Errorf("%.40s: error is %v, want one that names %q", text, err, expression)
		}
	}
}

func TestConditions(t *testing.T) {
	for s, want := range map[string]bool{
		"exit_code == 3":                   true,
		"exit_code != 3":                   false,
		"${exit_code} > 2":                 true,
		"${build.exit_code} == 0":          true,
		"${7a-b.c.exit_code} >= 9":         true,
		"${ n } == 40.0":                   true,
		"${n} < 100":                       true,
		"${n} <= 39.9":                     false,
		"${n} < 9":                         false, // as numbers, not as texts
		"${neg} == -1.5":                   true,
		"'40' == ${n}":                     true,
		`${s} == "it's"`:                   true,
		"${empty} == ''":                   true,
		"${s} != 'its'":                    true,
		"${yes}":                           true,
		"!${yes}":                          false,
		"not ${yes} or true":               true,
		"True == True":                     true,
		"True == False":                    false,
		"(1 == 1) == true":                 true,
		"1 == 1 && 1 == 2 || 3 == 3":       true,
		"1 == 1 && (1 == 2 || 3 == 4)":     false,
		"1 == 1 || ${lint.exit_code} == 1": true,  // not looked at
		"1 == 2 && ${lint.exit_code} == 1": false, // nor here
		"!(exit_code == 3)":                false,
		"!!true":                           true,
		"exit_code==3&&${n}==40":           true,
		"exit_code == 0 && ${n} < 100 || !(${build.exit_code} != 0)": false,
		"NOT false AND 1 IN (1, 2)":                                  true,
	} {
		holds(t, s, want)
	}
}

// Each of these is what the reference engine decides.
func TestConditionsDecideAsTheReferenceDoes(t *testing.T) {
	for s, want := range map[string]bool{
		// Operands in quotes are texts.
		`"1.10" == "1.1"`: false,
		`"007" == "7"`:    false,
		`"b" > "a"`:       true,
		`"10" < "9"`:      true,
		`"a" <= "a"`:      true,
		// An integer makes the other operand one.
		`"7" == 7`:       true,
		`7 == "007"`:     true,
		`"7.0" == 7`:     false,
		`"x" == 7`:       false,
		`"x" != 7`:       true,
		`"10" > 9`:       true,
		`2 == 2.5`:       true,
		`2 < 2.5`:        false,
		`2.5 > 2.25`:     true,
		`1.5 == "1.5"`:   true,
		`1.50 == "1.50"`: false,
		`true == 1`:      true,
		`"true" == true`: false,
		`100000000000000000000001 > 100000000000000000000000`: true,
		// References in quotes stay texts; what is not set stays as it is.
		`"${os}" == "linux"`:         true,
		`"${os}-${n}" == "linux-40"`: true,
		`"${n}" == "40.0"`:           false,
		`"${unset}" == "1"`:          false,
		`${unset} == 1`:              false,
		`"${unset}" == '${unset}'`:   true,
		`"${path}" == "C:\temp\new"`: true,
		`"${lines}" == "a\nb"`:       true,
		`${os} == linux`:             true,
		`linux == "linux"`:           true,
		`"a" in ("a", "b")`:          true,
		`"a" notin ("a", "b")`:       false,
		`"c" notin ("a")`:            true,
		`${os} in (linux, darwin)`:   true,
		`${n} in ("40", "x")`:        true,
		`"40" in (40, 41)`:           true,
		`1 in (1.5, 7)`:              true, // 1.5 is 1 as an integer
		`1.0 in (1, 2)`:              true,
		`"nu" in "${os}"`:            true,
		`"z" in "${os}"`:             false,
		`True in ("True", "x")`:      false,
		`"True" in (true, false)`:    true,
		// "and" and "or" bind equally, from the right.
		`1 == 2 and 1 == 1 or 1 == 1`: false,
		`(1 == 2 and 1 == 1) or 1==1`: true,
		`1 == 1 or 1 == 2 and 1 == 2`: true,
		`1 == 1 and 1 == 2 or 1 == 1`: true,
	} {
		holds(t, s, want)
	}
}

func holds(t *testing.T, s string, want bool) {
	t.Helper()
	c, err := ParseCondition(s)
	if err != nil {
		t.Errorf("%s: %v", s, err)
		return
	}
	if got, err := c.Holds(someFacts); err != nil || got != want {
		t.Errorf("%s is %v, %v, want %v", s, got, err, want)
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
		"${n == 40":               "a reference is written ${name}",
		"${} == 40":               "a reference is written ${name}",
		"${a.b} == 40":            "${a.b} is an expression",
		"${len(os)} == 5":         "${len(os)} is an expression",
		`"${len(os)}" == "5"`:     "${len(os)} is an expression",
		"$n == 40":                "a reference is written ${name}",
		"'abc == 3":               "closing quote",
		"1.2.3 == 3":              "1.2.3 is no number",
		"1e3 == 3":                "1e3 is no number",
		"- == 3":                  "- is no number",
		"&& true":                 "unexpected &&",
		"true ! false":            "unexpected !",
		"1 in ()":                 "unexpected )",
		"1 in (1, 2":              "a ) is missing",
		"(1, 2) == 1":             "a ) is missing",
		"1 issuperset (1)":        "issuperset is not known",
		strings.Repeat("(", 5000): "nested more than",
		strings.Repeat("!", 5000): "nested more than",
	} {
		if _, err := ParseCondition(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: error is %v, want %q", s, err, want)
		}
	}
}

func TestUndecidableConditionsAreErrors(t *testing.T) {
	for s, want := range map[string]string{
		"${lint.exit_code} > 1": "activity lint has not run",
		"${n}":                  `is 40, neither true nor false`,
		"3 && true":             "neither true nor false",
		"'true'":                "neither true nor false",
		"${s} < 5":              "no order",
		"${unset} < 5":          `"${unset}" < 5`,
		"${empty}":              "neither true nor false",
		"1 in 'a1'":             "must be a list",
	} {
		c, err := ParseCondition(s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		if _, err := c.Holds(someFacts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %q", s, err, want)
		}
	}
}

func TestTextsWithReferencesAreBounded(t *testing.T) {
	c, err := ParseCondition(`"` + strings.Repeat("${long}", 40) + `" == ""`)
	if err != nil {
		t.Fatal(err)
	}
	long := facts{variables: map[string]string{"long": strings.Repeat("x", 64<<10)}}
	if _, err := c.Holds(long); err == nil || len(err.Error()) > 300 || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("error is %.400v", err)
	}
}

func TestALongChainIsNoNesting(t *testing.T) {
	holds(t, strings.Repeat("1 == 1 and ", 10_000)+"1 == 1", true)
}

func TestAConditionNamesTheExitCodesItNeeds(t *testing.T) {
	c, err := ParseCondition("exit_code == 0 and (${a.exit_code} in (1, exit_code) or !${b} == ${c.exit_code})")
	if want := []string{"", "a", "", "c"}; err != nil || !slices.Equal(c.ExitCodes(), want) {
		t.Errorf("they are %q, %v, want %q", c.ExitCodes(), err, want)
	}
}

func FuzzParseCondition(f *testing.F) {
	for _, s := range []string{
		"exit_code == 0 && ${x} < 100 || !(${build.exit_code} != 3)",
		`not 'a\'b' == "c" or true and -1.5 >= ${y}`, "((1))", "'\\", "${}", "\xff",
		`"${os}" IN ("a", linux, 1.5e-3, +2)`, "1 notin '${n}'", "1.e5 == .5",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCondition(s)
		if err != nil {
			return
		}
		holds, undecided := c.Holds(someFacts)
		// String adds parentheses, so only what is far from the limit of
		// nesting can be parsed again.
		if strings.Count(s, "(")+strings.Count(s, "!")+strings.Count(strings.ToLower(s), "not") > maxNesting/3 {
			return
		}
		text := c.String()
		again, err := ParseCondition(text)
		if err != nil {
			t.Fatalf("%q became %q: %v", s, text, err)
		}
		if got := again.String(); got != text {
			t.Errorf("%q became %q, then %q", s, text, got)
		}
		if same, err := again.Holds(someFacts); same != holds || (err == nil) != (undecided == nil) {
			t.Errorf("%q holds %v, %v, but %q %v, %v", s, holds, undecided, text, same, err)
		}
	})
}

func FuzzParseTemplate(f *testing.F) {
	for _, s := range []string{"${n}", "${${n}}", "$", "${#n}", "${int(n)}", "\xff${ n }"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tmpl, err := ParseTemplate(s)
		if err != nil {
			return
		}
		// With nothing set, only the spaces in references change.
		nothing, err := tmpl.Render(facts{}, 2*len(s))
		if err != nil {
			t.Fatal(err)
		}
		if strings.ReplaceAll(nothing, " ", "") != strings.ReplaceAll(s, " ", "") && !strings.ContainsAny(s, "\t\n\v\f\r\u0085\u00a0") {
			t.Errorf("%q renders as %q", s, nothing)
		}
	})
}
