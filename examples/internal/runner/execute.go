package runner

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/examples/internal/serving"
	"github.com/pipestatus/pipestatus/examples/internal/terminal"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/query/picture"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// execute runs the pipeline and returns the exit code.
func (c *call) execute() (code int, err error) {
	// A signal must not prevent outcomes from being recorded, so this context
	// never ends.
	ctx := context.Background()
	def, err := c.definition()
	if err != nil {
		return 0, err
	}
	if c.standby {
		return c.standBy(ctx)
	}
	s, err := c.open(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := c.chooseTask(ctx, s); err != nil {
		return 0, err
	}
	if c.resume {
		if taken, err := c.takeOver(ctx, s); err != nil || !taken {
			return exitSuspended, err
		}
	}
	return c.work(ctx, s, def)
}

// work runs the chosen task, which no other runner has, and returns the exit code.
// def is nil to use the definition of a task to resume.
func (c *call) work(ctx context.Context, s *storage, def *definition) (int, error) {
	res := newResults()
	if c.resume {
		var err error
		if def, err = c.recordedDefinition(ctx, s, def); err != nil {
			return 0, err
		}
		if res, err = readResults(ctx, s, c.key(), def); err != nil {
			return 0, err
		}
	}
	return c.run(ctx, s, def, res)
}

func (c *call) key() state.Key { return state.Key{Business: c.business, Task: c.task} }

// run runs the task on a new engine, shows its progress, serves it if
// that is asked for, and answers. It returns the exit code.
func (c *call) run(ctx context.Context, s *storage, def *definition, res *results) (code int, err error) {
	e, err := engine.Open(ctx, s, &engine.Options{Limits: state.Limits{DataBytes: state.MaxDataBytes}})
	if err != nil {
		return 0, err
	}
	r := newRun(e, c.key(), def, res)
	operator := newOperator(c.key())
	if c.operable() {
		r.requests, r.patient = operator.requests, !c.standby
	}
	notifications, err := c.notify(ctx, e)
	if err != nil {
		return 0, errors.Join(err, e.Close())
	}
	server, err := c.serve(ctx, e, operator)
	if err != nil {
		notifications.end(c.tell)
		return 0, errors.Join(err, e.Close())
	}
	d := newDisplay(c, def)
	r.note, r.grace = d.note, c.grace
	d.follow(e, e.Position())
	d.note(fmt.Sprintf("task %s of business %s in %s", c.task, c.business, c.where()))
	if server != nil {
		d.note("serving " + c.page(server))
	}
	if c.resume {
		err = r.resume(ctx)
	} else {
		err = r.begin(ctx)
	}
	if err == nil {
		err = r.loop(ctx, c.signals)
	}
	d.stop(ctx, e, s)
	var shown state.State
	if err == nil {
		code, shown, err = c.answer(ctx, e, def)
	}
	if server != nil {
		if err == nil && !r.stopping && !c.standby {
			c.tell("still serving %s (Ctrl-C to stop)", c.page(server))
			r.refuseAll(shown, c.signals)
		}
		close(operator.closed)
		err = errors.Join(err, server.Close()) // before the engine: streams tell the end
	}
	notifications.end(c.tell)
	return code, errors.Join(err, e.Close())
}

// operable reports whether any user may operate the task.
func (c *call) operable() bool { return c.operate || len(c.operators) > 0 }

// serve begins to serve the engine's records; nil if that was not requested.
func (c *call) serve(ctx context.Context, e *engine.Engine, operator *operator) (*serving.Server, error) {
	if c.http == "" {
		return nil, nil
	}
	o := &httpapi.Options{
		Authenticator: c.authenticator, AuthorizeStore: serving.WholeStore, Hosts: c.access.Hosts(c.http),
		Query: c.query(),
	}
	if c.operable() {
		o.Operator = operator
		o.AuthorizeOperation = func(_ context.Context, who httpapi.Identity, op httpapi.Operation) bool {
			mine := state.Key{Business: op.Business, Task: op.Task} == operator.task
			return mine && (c.operate || slices.Contains(c.operators, who.User))
		}
	}
	return serving.Listen(ctx, c.http, httpapi.New(e, o))
}

// page is where the task is on the status page.
func (c *call) page(server *serving.Server) string {
	if serving.OnSocket(c.http) {
		return server.URL()
	}
	where := server.URL() + "#/task?" + url.Values{"bk_biz_id": {c.business}, "task_id": {c.task}}.Encode()
	if c.access.Open() && !server.Loopback() {
		where += " to every program that can reach it"
	}
	return where
}

// definition is the one to run, nil for that of the task to resume.
func (c *call) definition() (*definition, error) {
	data := bundled
	switch {
	case c.file != "":
		var err error
		if data, err = os.ReadFile(c.file); err != nil {
			return nil, &usageError{err.Error()}
		}
	case c.resume:
		return nil, nil
	}
	return parseDefinition(data, windows)
}

// recordedDefinition is the one that the task to resume began with; given, if
// not nil, must be the same.
func (c *call) recordedDefinition(ctx context.Context, s *storage, given *definition) (*definition, error) {
	source, err := readDefinition(ctx, s, c.key())
	if err != nil {
		return nil, err
	}
	if source == nil {
		return nil, fmt.Errorf("task %s in %s has no input: was it begun by a runner?", c.key(), c.where())
	}
	recorded, err := parseDefinition(source, windows)
	if err != nil || given == nil {
		return recorded, err
	}
	var a, b any
	if err := errors.Join(json.Unmarshal(given.source, &a), json.Unmarshal(recorded.source, &b)); err != nil {
		return nil, err
	}
	if !reflect.DeepEqual(a, b) {
		return nil, &usageError{fmt.Sprintf("task %s began with another definition; resume it without naming one", c.key())}
	}
	return recorded, nil
}

// chooseTask sets the task if none is named, and checks that it exists, or
// not yet.
func (c *call) chooseTask(ctx context.Context, s *storage) error {
	if c.task == "" && !c.resume {
		c.task = time.Now().Format("20060102-150405.000")
		if s.leases != nil { // others may begin at the same moment
			c.task += "-" + strings.ToLower(rand.Text()[:4])
		}
	}
	if c.task == "" {
		if err := c.unfinishedTask(ctx, s); err != nil {
			return err
		}
	}
	if err := c.key().Validate(); err != nil {
		return &usageError{err.Error()}
	}
	_, err := s.Locate(ctx, store.Ref{Key: c.key()})
	switch {
	case errors.Is(err, state.ErrNotFound) && c.resume:
		return &usageError{fmt.Sprintf("nothing to resume: %s has no task %s", c.where(), c.key())}
	case errors.Is(err, state.ErrNotFound):
		return nil
	case err == nil && !c.resume:
		return &usageError{fmt.Sprintf("%s has a task %s already; -resume continues it", c.where(), c.key())}
	}
	return err
}

// unfinishedTask sets the task to the one that is unfinished: of those that
// other runners may have too, to the one that none has.
func (c *call) unfinishedTask(ctx context.Context, s *storage) error {
	var names []string
	var err error
	if s.leases != nil {
		names, err = c.namesIn(func(cursor string) (store.ListPage, error) { return s.leases.Lapsed(ctx, cursor, 0) })
	}
	if err == nil && len(names) == 0 {
		names, err = c.namesIn(func(cursor string) (store.ListPage, error) {
			return s.List(ctx, store.ListQuery{Business: c.business, Unfinished: true, Cursor: cursor})
		})
	}
	switch {
	case err != nil:
		return err
	case len(names) == 0:
		return &usageError{fmt.Sprintf("nothing to resume: business %s has no unfinished task in %s", c.business, c.where())}
	case len(names) > 1:
		return &usageError{"which task? Name it with -task: " + strings.Join(names, ", ")}
	}
	c.task = names[0]
	return nil
}

// namesIn is the tasks of the business in all pages of a list.
func (c *call) namesIn(list func(cursor string) (store.ListPage, error)) (names []string, err error) {
	for cursor := ""; ; {
		page, err := list(cursor)
		if err != nil {
			return nil, err
		}
		for _, t := range page.Tasks {
			if t.Key.Business == c.business {
				names = append(names, t.Key.Task)
			}
		}
		if cursor = page.Cursor; cursor == "" {
			return names, nil
		}
	}
}

// query is how the task is shown.
func (c *call) query() *query.Options {
	return &query.Options{Location: c.zone, FailedFirst: c.failedFirst, Keys: true}
}

// answer prints the documented response, if a program reads it or it was requested,
// and a hint for the next step. It returns the exit code and the shown state.
func (c *call) answer(ctx context.Context, e *engine.Engine, def *definition) (int, state.State, error) {
	q := query.New(e, c.query())
	if c.json || !isTerminal(c.stdout) {
		response, err := q.AppendJSON(ctx, nil, c.business, c.task)
		if err != nil {
			return 0, 0, err
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, response, "", "  "); err != nil {
			return 0, 0, err
		}
		indented.WriteByte('\n')
		if _, err := c.stdout.Write(terminal.JSON(indented.Bytes())); err != nil && !terminal.ReaderGone(err) {
			return 0, 0, err
		}
	}
	snap, err := q.Snapshot(ctx, c.business, c.task)
	if err != nil {
		return 0, 0, err
	}
	return c.conclude(snap.Tree, labels(def)), snap.Tree.Shown(0), nil
}

// conclude prints how to continue and, last, how it ended.
func (c *call) conclude(tree *state.Tree, labels map[string]string) int {
	for i := range tree.Len() {
		if n := tree.Node(i); n.State == state.Failed {
			again := ""
			if n.RetryAt.IsSet() {
				again = ", and waits for its retry"
			}
			fmt.Fprintf(c.stderr, "\n%s failed%s:\n", picture.Printable(labels[n.Key]), again)
			for line := range strings.Lines(n.Error) {
				fmt.Fprintf(c.stderr, "  %s\n", picture.Printable(strings.TrimRight(line, " \r\n")))
			}
		}
	}
	hint, code := "", exitFailed
	switch tree.State(0) {
	case state.Finished:
		code = exitFinished
	case state.Suspended:
		hint, code = "to continue", exitSuspended
	case state.Running:
		hint = "to retry the failed nodes and continue"
	}
	if hint != "" {
		fmt.Fprintf(c.stderr, "\n%s:\n  runner -db %s -biz %s -task %s -resume\n", hint,
			quoted(c.where()), quoted(c.business), quoted(c.task))
	}
	shown := tree.Shown(0)
	if tree.State(0) == state.Suspended {
		shown = state.Suspended // also if something failed
	}
	fmt.Fprintf(c.stderr, "\n%s, recorded in %s\n", shown, picture.Printable(c.where()))
	return code
}

// quoted returns s as a shell reads it as one word.
func quoted(s string) string {
	special := func(r rune) bool {
		return r >= utf8.RuneSelf || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_-./:@%+,", r)
	}
	if s != "" && !strings.ContainsFunc(s, special) {
		return s
	}
	if picture.Printable(s) == s {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	// The escapes of bash, ksh and zsh, for unprintable characters.
	var text strings.Builder
	text.WriteString("$'")
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch c := s[i : i+size]; {
		case r == '\'' || r == '\\':
			text.WriteString(`\` + c)
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&text, `\x%02x`, c)
		case picture.Printable(c) != c:
			fmt.Fprintf(&text, `\U%08x`, r)
		default:
			text.WriteString(c)
		}
		i += size
	}
	text.WriteString("'")
	return text.String()
}
