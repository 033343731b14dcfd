//go:build unix

package runner

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

var stride = flag.Int("stride", 4, "try every so manyth commit in the tests that stop a run at a commit")

// everythingTree has a subprocess with a parallel part that loops and has
// params and outputs, then a parallel part with a loop in a branch, a retry, a
// skip, an ignored failure and a branch that goes straight to the converge
// gateway, and an activity of three passes that needs an output. The retried
// activity makes a file, flag, by which it knows that it has failed before.
func everythingTree(flag string) object {
	inside := parallelTree("ConditionalParallelGateway")
	find(inside, "fork")["conditions"] = object{"fork>b": object{"evaluate": "${n} == 1"}}
	find(inside, "fork")["default_condition"] = object{"flow_id": "fork>a"}
	for _, id := range []string{"a", "b"} {
		setCommand(inside, id, "echo ::set y=$NODE_ID")
	}
	inside["data"] = object{"outputs": []any{"${y}"}}
	tree := newTree("outer")
	tree["data"] = object{"inputs": object{
		"${n}": object{"value": 0}, "${x}": object{"value": 0}, "${from_sub}": object{"source_act": "sub", "source_key": "${y}"},
	}}
	subprocess(tree, "sub", inside)
	find(tree, "sub")["params"] = object{"${n}": object{"type": "splice", "value": "${n}"}}
	activity(tree, "count", `echo "::set n=$NODE_LOOP"`)
	gateway(tree, "again", "ExclusiveGateway")
	chain(tree, "outer_start", "sub", "count", "again")
	connect(tree, "again", "sub", "${n} < 2")

	gateway(tree, "spread", "ParallelGateway")
	gateway(tree, "meet", "ConvergeGateway")
	connect(tree, "again", "spread", "default")
	activity(tree, "x", `echo "::set x=$NODE_LOOP"`)
	gateway(tree, "x_again", "ExclusiveGateway")
	chain(tree, "spread", "x", "x_again")
	connect(tree, "x_again", "x", "${x} < 2")
	connect(tree, "x_again", "meet", "default")
	activity(tree, "retried", "test -e "+flag+" || { touch "+flag+"; exit 1; }", "auto_retry", object{"enable": true, "times": 1})
	activity(tree, "skipped", "false", "auto_skip", true)
	activity(tree, "ignored", "false", "error_ignorable", true)
	chain(tree, "spread", "retried", "meet")
	activity(tree, "thrice", `test "$from_sub" = b`, "loop_config", object{"enable": true, "loop_times": 3})
	chain(tree, "spread", "skipped", "ignored", "meet", "thrice", "outer_end")
	chain(tree, "spread", "meet")
	return tree
}

// localRun is a run of a definition in this process, on a store that does
// something just before its nth commit.
type localRun struct {
	t     *testing.T
	store store.Store
	path  string // of the store, "" if that is in memory
	def   *definition

	operator *operator // nil: nobody operates it
}

// counted calls before with the number of each commit, from 1; an error takes
// its place.
type counted struct {
	store.Store
	commits int
	before  func(commit int) error
}

func (c *counted) Commit(ctx context.Context, changes []store.Write) ([]store.Result, error) {
	c.commits++
	if err := c.before(c.commits); err != nil {
		return nil, err
	}
	return c.Store.Commit(ctx, changes)
}

func newEverythingRun(t *testing.T) *localRun {
	t.Helper()
	dir := t.TempDir()
	def, err := parseDefinition(encode(t, everythingTree(filepath.Join(dir, "flag"))), false)
	if err != nil {
		t.Fatal(err)
	}
	return inMemory(t, def)
}

// onFile puts the run on a file.
func (r *localRun) onFile() {
	r.t.Helper()
	r.reopen(filepath.Join(r.t.TempDir(), "run.db"))
}

func (r *localRun) reopen(path string) {
	r.t.Helper()
	s, err := boltstore.Open(path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = s.Close() })
	r.store, r.path = s, path
}

// kill leaves the store as a process does that is killed: a file is not closed.
func (r *localRun) kill() {
	r.t.Helper()
	if r.path == "" {
		return
	}
	killed := filepath.Join(r.t.TempDir(), "killed.db")
	for _, suffix := range []string{"", "-journal"} {
		data, err := os.ReadFile(r.path + suffix)
		if err == nil {
			err = os.WriteFile(killed+suffix, data, 0o600)
		}
		if err != nil && !(suffix != "" && errors.Is(err, fs.ErrNotExist)) { // before the first commit
			r.t.Fatal(err)
		}
	}
	r.reopen(killed)
}

// results are the input and output of the last attempt of each node but the root,
// whose input is the definition.
func (r *localRun) results() (lines []string) {
	r.t.Helper()
	snap, err := r.store.Load(r.t.Context(), store.ByKey("1", "1"))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 1; i < snap.Tree.Len(); i++ {
		n := snap.Tree.Node(i)
		in, out, err := store.AttemptData(r.t.Context(), r.store, store.ByNode(n.ID), n.Number())
		if err != nil {
			r.t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%s: %s -> %s", n.Key, in.Bytes(), out.Bytes()))
	}
	slices.Sort(lines)
	return lines
}

// inMemory is a run of a definition on a new store.
func inMemory(t *testing.T, def *definition) *localRun {
	t.Helper()
	return &localRun{t: t, store: store.NewMemory(), def: def}
}

// do runs the task from where it is, as a new process does, and returns the
// number of commits and the error that ended it.
func (r *localRun) do(signals <-chan os.Signal, before func(commit int) error) (commits int, err error) {
	r.t.Helper()
	ctx, s := r.t.Context(), &counted{Store: r.store, before: before}
	e, err := engine.Open(ctx, s, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	defer e.Close()
	task := state.Key{Business: "1", Task: "1"}
	// All that an earlier process knew is in the record.
	def, res := r.def, newResults()
	source, err := readDefinition(ctx, r.store, task)
	isNew := errors.Is(err, state.ErrNotFound)
	if !isNew && err == nil {
		def, err = parseDefinition(source, false)
	}
	if !isNew && err == nil {
		res, err = readResults(ctx, r.store, task, def)
	}
	if !isNew && err != nil {
		r.t.Fatal(err)
	}
	run := newRun(e, task, def, res)
	run.grace = 1 << 40
	if r.operator != nil {
		run.requests, run.patient = r.operator.requests, true
	}
	if isNew {
		if err := run.begin(ctx); err != nil {
			return s.commits, err
		}
	} else if err := run.resume(ctx); err != nil {
		return s.commits, err
	}
	return s.commits, run.loop(ctx, signals)
}

func (r *localRun) shape() []string {
	r.t.Helper()
	lines := shape(r.status())
	slices.Sort(lines[1:]) // branches that raced
	return lines
}

func (r *localRun) status() *query.Status {
	r.t.Helper()
	status, err := query.New(r.store, &query.Options{Keys: true}).Status(r.t.Context(), "1", "1")
	if err != nil {
		r.t.Fatal(err)
	}
	return status
}

var errDisk = errors.New("the disk is gone")

func proceed(int) error { return nil }

// uninterrupted runs everythingTree without a crash. It returns the final shape, the
// results and the number of commits.
func uninterrupted(t *testing.T) (want, results []string, commits int) {
	t.Helper()
	whole := newEverythingRun(t)
	commits, err := whole.do(nil, proceed)
	if err != nil {
		t.Fatal(err)
	}
	want = whole.shape()
	for _, line := range []string{
		"  sub FINISHED loop=2", "    a FINISHED", "    b FINISHED", "    join FINISHED loop=2", "  x FINISHED loop=2",
		"  retried FINISHED retry=1", "  skipped FINISHED retry=1 skip", "  meet FINISHED", "  thrice FINISHED loop=3", "  end FINISHED",
	} {
		if !slices.Contains(want, line) {
			t.Errorf("no line %q in\n%s", line, strings.Join(want, "\n"))
		}
	}
	results = whole.results()
	if line := `count:  -> {"exit_code":0,"set":{"n":"2"}}`; !slices.Contains(results, line) {
		t.Errorf("no result %q in\n%s", line, strings.Join(results, "\n"))
	}
	return want, results, commits
}

func TestARunContinuesAfterACrashAtAnyCommit(t *testing.T) {
	t.Parallel()
	want, results, commits := uninterrupted(t)
	withoutRetries := func(lines []string) (plain []string) {
		for _, line := range lines {
			before, rest, found := strings.Cut(line, " retry=")
			if found {
				_, rest, _ = strings.Cut(rest, " ")
				line = strings.TrimSuffix(before+" "+rest, " ")
			}
			plain = append(plain, line)
		}
		return plain
	}
	for k := 1; k <= commits; k += *stride {
		r := newEverythingRun(t)
		if k%2 == 1 || *stride == 1 {
			r.onFile()
		}
		_, err := r.do(nil, func(commit int) error {
			if commit >= k {
				return errDisk
			}
			return nil
		})
		if !errors.Is(err, errDisk) {
			t.Fatalf("commit %d: the crash came to %v", k, err)
		}
		r.kill()
		if _, err := r.do(nil, proceed); err != nil {
			t.Fatalf("commit %d: %v", k, err)
		}
		// Activities that were running at the crash were retried.
		if diff := cmp.Diff(withoutRetries(want), withoutRetries(r.shape())); diff != "" {
			t.Errorf("after a crash at commit %d (-want +got):\n%s", k, diff)
		}
		if diff := cmp.Diff(results, r.results()); diff != "" {
			t.Errorf("results after a crash at commit %d (-want +got):\n%s", k, diff)
		}
	}
}

func TestARunContinuesAfterASuspendAtAnyCommit(t *testing.T) {
	t.Parallel()
	want, results, commits := uninterrupted(t)
	for k := min(2, *stride); k <= commits; k += *stride {
		r := newEverythingRun(t)
		signals := make(chan os.Signal, 1)
		if _, err := r.do(signals, func(commit int) error {
			if commit == k {
				signals <- os.Interrupt
			}
			return nil
		}); err != nil {
			t.Fatalf("commit %d: %v", k, err)
		}
		if shown := r.shape()[0]; shown != pipelineName+" SUSPENDED" && k < commits-5 {
			t.Errorf("suspended at commit %d it shows %s", k, shown)
		}
		if _, err := r.do(nil, proceed); err != nil {
			t.Fatalf("commit %d: %v", k, err)
		}
		if diff := cmp.Diff(want, r.shape()); diff != "" {
			t.Errorf("after a suspend at commit %d (-want +got):\n%s", k, diff)
		}
		if diff := cmp.Diff(results, r.results()); diff != "" {
			t.Errorf("results after a suspend at commit %d (-want +got):\n%s", k, diff)
		}
	}
}
