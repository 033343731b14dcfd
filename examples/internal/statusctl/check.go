package statusctl

import (
	"context"
	"fmt"

	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/store"
)

var checkCommand = command{
	name: "check", summary: "read the whole database and report inconsistencies",
	detail: `
Repairs nothing. salvage copies the readable parts of a damaged file.`,
	run: func(ctx context.Context, t *tool, _ []string) error {
		return t.look(ctx, forChecking, func(r store.Reader) error { return check(ctx, t, r) })
	},
}

type checkResult struct {
	OK       bool `json:"ok"`
	Problems int  `json:"problems"`
}

func check(ctx context.Context, t *tool, r store.Reader) error {
	p := problems{tool: t}
	examine := func() error { return store.Check(ctx, r, p.report) }
	if checker, ok := r.(store.Checker); ok { // which checks more than readers can
		examine = func() error { return checker.Check(ctx, p.report) }
	}
	if err := examine(); err != nil {
		return err
	}
	text := t.where() + " is sound"
	if p.n > 0 {
		text = fmt.Sprintf("%s is damaged: %s", t.where(), count(p.n, "problem"))
	}
	p.show(checkResult{p.n == 0, p.n}, text)
	return p.end()
}

// problems prints the problems of a file, one by one.
type problems struct {
	*tool
	n   int
	err error // of showing them
}

type problemLine struct {
	Problem string `json:"problem"`
}

func (p *problems) report(problem string) {
	p.n++
	p.show(problemLine{problem}, problem)
}

// show prints a line, for programs or for people.
func (p *problems) show(line any, text string) {
	switch {
	case p.err != nil:
	case p.json:
		p.err = writeLine(p.stdout, line)
	default:
		_, p.err = fmt.Fprintln(p.stdout, picture.Printable(text))
	}
}

// end is errAnswered if there were any.
func (p *problems) end() error {
	if p.err == nil && p.n > 0 {
		return errAnswered
	}
	return p.err
}
