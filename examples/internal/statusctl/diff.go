package statusctl

import (
	"context"
	"flag"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
)

var diffCommand = command{
	name: "diff", args: "BIZ TASK TASK", summary: "compare two runs of a pipeline, node by node",
	least: 3, most: 3,
	detail: `
Nodes are compared that are called alike, in containers that are called alike.
Without -all only nodes that differ are shown: in state, in what happened to
them, or in how long they took, by more than a tenth and a second.`,
	bind: func(flags *flag.FlagSet) func(context.Context, *tool, []string) error {
		all := flags.Bool("all", false, "also show nodes that do not differ")
		return func(ctx context.Context, t *tool, args []string) error {
			return t.read(ctx, func(r *reader) error {
				a, err := r.Snapshot(ctx, args[0], args[1])
				if err != nil {
					return err
				}
				b, err := r.Snapshot(ctx, args[0], args[2])
				if err != nil {
					return err
				}
				return t.showDifferences(comparison{a: a.Tree, b: b.Tree, tool: t}, *all)
			})
		}
	},
}

// comparison is of two runs.
type comparison struct {
	*tool
	a, b *state.Tree
}

// side is a node in one of the runs, in JSON.
type side struct {
	Node    string  `json:"node"`
	State   string  `json:"state"`
	Loop    int     `json:"loop"`
	Retries int     `json:"retries"`
	Skips   int     `json:"skips"`
	Seconds float64 `json:"seconds"` // how long it took, or has taken
	Error   string  `json:"error"`
	remarks string
	started bool
}

// differenceRecord is a node of two runs in JSON; a side is absent where there
// is no such node.
type differenceRecord struct {
	Path    []string `json:"path"`
	A       *side    `json:"a,omitempty"`
	B       *side    `json:"b,omitempty"`
	Differs bool     `json:"differs"`
}

// side is node i of one of the trees.
func (c *comparison) side(tree *state.Tree, i int) *side {
	if i < 0 {
		return nil
	}
	n := tree.Node(i)
	s := &side{
		Node: n.ID, State: tree.Shown(i).String(), Loop: n.Loop, Retries: n.Retries, Skips: n.Skips, Error: n.Error,
		remarks: picture.Remarks(&n.Attempt, c.zone), started: n.Started.IsSet(),
	}
	if !s.started {
		return s
	}
	end := n.Finished
	if stands := query.Stands(tree, i); stands.IsSet() {
		end = stands
	}
	if !end.IsSet() {
		end = state.InstantOf(c.now())
	}
	s.Seconds = end.Time().Sub(n.Started.Time()).Seconds()
	return s
}

// differs reports whether two sides are worth a look.
func differs(a, b *side) bool {
	if a == nil || b == nil || a.State != b.State || a.remarks != b.remarks || a.Error != b.Error {
		return true
	}
	longer := max(a.Seconds, b.Seconds)
	return longer-min(a.Seconds, b.Seconds) > max(1, longer/10)
}

// String is what a table shows of a side.
func (s *side) String() string {
	if s == nil {
		return "–"
	}
	text := s.State
	if s.started {
		text += " " + span(time.Duration(s.Seconds*float64(time.Second)))
	}
	if s.remarks != "" {
		text += ", " + s.remarks
	}
	return text
}

func (t *tool) showDifferences(c comparison, all bool) error {
	rows := table{states: -1}
	rows.add("NODE", taskName(c.a.Key()), taskName(c.b.Key()), "ERROR")
	for _, pair := range query.Compare(c.a, c.b) {
		a, b := c.side(c.a, pair.A), c.side(c.b, pair.B)
		names := path(c.b, pair.B)
		if pair.B < 0 {
			names = path(c.a, pair.A)
		}
		different := differs(a, b)
		if !different && !all {
			continue
		}
		if t.json {
			if err := writeLine(t.stdout, differenceRecord{names, a, b, different}); err != nil {
				return err
			}
			continue
		}
		name, cause := "(the whole)", ""
		if len(names) > 0 {
			name = brief(strings.Join(names, " / "), 60)
		}
		for _, s := range []*side{b, a} {
			if s != nil && cause == "" {
				cause = picture.Cause(s.Error)
			}
		}
		rows.add(name, a.String(), b.String(), brief(cause, 120))
	}
	switch {
	case t.json:
		return nil
	case len(rows.rows) == 1:
		rows.rows = nil
		rows.add("The runs do not differ.")
	}
	rows.fit(t.stdout)
	return rows.write(t.stdout, nil)
}
