package statusctl

import (
	"context"
	"flag"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
)

var diffCommand = command{
	name: "diff", args: "BIZ TASK OTHER-TASK", summary: "compare two runs of a pipeline, node by node",
	least: 3, most: 3,
	detail: `
A node is compared with the one that has the same key or, without a key, the same
name in the same container. Without -all only nodes that differ are shown: in
state, in error, in the number of attempts, or in how long they took, by more than
a tenth and a second.`,
	bind: func(flags *flag.FlagSet) action {
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
				q := r.With(&query.Options{Now: t.now})
				return t.showDifferences(a.Tree, b.Tree, q.Compare(a.Tree, b.Tree), *all)
			})
		}
	},
}

// sideRecord is a node in one of the runs, in JSON.
type sideRecord struct {
	Node    string  `json:"node"`
	State   string  `json:"state"`
	Loop    int     `json:"loop"`
	Retries int     `json:"retries"`
	Skips   int     `json:"skips"`
	Seconds float64 `json:"seconds"` // how long it took, or has taken
	Error   string  `json:"error"`
}

// differenceRecord is a node of two runs in JSON; a side is absent if its run does
// not have the node.
type differenceRecord struct {
	Path    []string    `json:"path"`
	A       *sideRecord `json:"a,omitempty"`
	B       *sideRecord `json:"b,omitempty"`
	Differs bool        `json:"differs"`
}

func recordOf(s *query.Side) *sideRecord {
	if s == nil {
		return nil
	}
	return &sideRecord{s.ID, s.Shown.String(), s.Loop, s.Retries, s.Skips, s.Took.Seconds(), s.Error}
}

// sideText is the text for a side in a table.
func (t *tool) sideText(s *query.Side) string {
	if s == nil {
		return "–"
	}
	text := s.Shown.String()
	if s.Started.IsSet() {
		text += " " + picture.Duration(s.Took)
	}
	if remarks := picture.Remarks(&s.Attempt, t.zone); remarks != "" {
		text += ", " + remarks
	}
	return text
}

func (t *tool) showDifferences(a, b *state.Tree, list []query.Difference, all bool) error {
	rows := table{states: -1, cut: []int{0, 3}, paths: []int{0}}
	rows.add("NODE", taskName(a.Key()), taskName(b.Key()), "ERROR")
	for i := range list {
		d := &list[i]
		different := d.Differs()
		if !different && !all {
			continue
		}
		var names []string
		if d.B != nil {
			names = path(b, d.B.Index)
		} else {
			names = path(a, d.A.Index)
		}
		if t.json {
			if err := writeLine(t.stdout, differenceRecord{names, recordOf(d.A), recordOf(d.B), different}); err != nil {
				return err
			}
			continue
		}
		cause := ""
		for _, s := range []*query.Side{d.B, d.A} {
			if s != nil && cause == "" {
				cause = picture.Cause(s.Error)
			}
		}
		rows.add(pathText(names), t.sideText(d.A), t.sideText(d.B), short(cause, 120))
	}
	switch {
	case t.json:
		return nil
	case len(rows.rows) == 1:
		return t.write("The runs do not differ.\n")
	}
	return rows.show(t.stdout)
}
