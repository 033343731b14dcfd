package statusctl

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/picture"
)

// barWidth is the width of a timeline's bars, narrowBars on a terminal on which they
// would not fit.
const (
	barWidth   = 40
	narrowBars = 20
	wideEnough = 120
)

var timelineCommand = command{
	name: "timeline", args: "BIZ TASK|NODE", summary: "show when each attempt of each node ran",
	least: 2, most: 2,
	bind: func(flags *flag.FlagSet) action {
		var node string
		bindNode(flags, &node, "with its content")
		svg := flags.Bool("svg", false, "write an SVG picture, for pages")
		return func(ctx context.Context, t *tool, args []string) error {
			if *svg && t.json {
				return &usageError{problem: "-json and -svg exclude each other"}
			}
			return t.read(ctx, func(r *reader) error {
				of := args[1]
				if node != "" {
					detail, err := r.Node(ctx, args[0], args[1], node)
					if err != nil {
						return err
					}
					of = detail.Status.ID
				}
				spans, err := r.Timeline(ctx, args[0], of)
				switch {
				case err != nil:
					return err
				case *svg:
					_, err = t.stdout.Write(picture.AppendTimeline(nil, spans, &picture.Options{Location: t.zone, Now: t.now}))
					return err
				case t.json:
					return writeSpans(t, spans)
				}
				return drawSpans(t, spans)
			})
		}
	},
}

// spanRecord is one attempt of a timeline in JSON. Times are shown times.
type spanRecord struct {
	Node    string `json:"node"`
	Level   int    `json:"level"` // 1 for the root
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Attempt int    `json:"attempt"` // from 1
	Current bool   `json:"current"`
	State   string `json:"state"`
	Loop    int    `json:"loop"`
	Retry   int    `json:"retry"`
	Skip    bool   `json:"skip"`
	Start   string `json:"start_time"`
	Finish  string `json:"finish_time"`
	Error   string `json:"error"`
}

func writeSpans(t *tool, spans []query.Span) error {
	return writeEach(t.stdout, spans, func(s *query.Span) spanRecord {
		return spanRecord{
			Node: s.Node, Level: s.Level, Kind: s.Kind.String(), Name: s.Name, Attempt: s.Attempt, Current: s.Current,
			State: s.State.String(), Loop: s.Loop, Retry: s.Retry, Skip: s.Skip,
			Start: whenShown(s.Start), Finish: whenShown(s.End), Error: s.Error,
		}
	})
}

func drawSpans(t *tool, spans []query.Span) error {
	var from, to time.Time
	for i := range spans {
		s := &spans[i]
		if !s.Start.IsZero() && (from.IsZero() || s.Start.Before(from)) {
			from = s.Start
		}
		if end := spanEnd(s, t.now()); end.After(to) {
			to = end
		}
	}
	if from.IsZero() {
		_, err := fmt.Fprintln(t.stdout, "nothing has started")
		return err
	}
	if _, err := fmt.Fprintf(t.stdout, "%s to %s, %s\n", whenShown(from), whenShown(to.In(from.Location())), picture.Duration(to.Sub(from))); err != nil {
		return err
	}
	width := barWidth
	if columns := columnsOf(t.stdout); columns > 0 && columns < wideEnough {
		width = narrowBars
	}
	rows := table{cut: []int{1}}
	rows.add("STATE", "NODE", "BEGAN", "TOOK", "")
	for i := range spans {
		s := &spans[i]
		name := strings.Repeat("  ", s.Level-spans[0].Level) + spanLabel(s)
		if s.Start.IsZero() {
			rows.add(s.State.String(), name, "", "", "")
			continue
		}
		rows.add(s.State.String(), name, "+"+picture.Duration(s.Start.Sub(from)), took(s.Start, s.End, s.Stands, t.now()), bar(width, s.Start, spanEnd(s, t.now()), from, to))
	}
	return rows.show(t.stdout)
}

// spanEnd is the end of an attempt, the time since which it waits, now if it runs, or
// zero if it never began.
func spanEnd(s *query.Span, now time.Time) time.Time {
	d, _ := lasted(s.Start, s.End, s.Stands, now)
	return s.Start.Add(d)
}

func spanLabel(s *query.Span) string {
	name := s.Name
	if name == s.Kind.Class() {
		name = ""
	}
	text := label(s.Kind, name)
	if s.Attempt > 1 {
		text += fmt.Sprintf(" #%d", s.Attempt)
	}
	return text
}

// bar is a line from start to end on a scale of a width from from to to.
func bar(width int, start, end, from, to time.Time) string {
	cell := func(at time.Time) int {
		if !to.After(from) {
			return 0
		}
		return int(float64(width) * at.Sub(from).Seconds() / to.Sub(from).Seconds())
	}
	left := min(cell(start), width-1)
	return strings.Repeat(" ", left) + strings.Repeat("━", max(cell(end)-left, 1))
}
