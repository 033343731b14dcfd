//go:build unix

package runner

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

func TestEveryRunIsASeparateTask(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	file := write(t, loopTree("true", "exit_code == 1"))
	o := callRunner(t, "-quiet", file)
	_, db, _ := strings.Cut(o.stderr, "recorded in ")
	db = strings.TrimSpace(db)
	if dir := os.Getenv("TMPDIR"); o.code != exitFinished || !strings.HasPrefix(db, dir) {
		t.Fatalf("exit code %d, database %q is not in %s", o.code, db, dir)
	}
	again := callRunner(t, "-db", db, file)
	if again.code != exitFinished || again.status.ID == o.status.ID {
		t.Errorf("a second run: exit code %d, root %s", again.code, again.status.ID)
	}
}

func TestCallsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := filepath.Join(dir, "p.db")
	file := write(t, loopTree("true", "exit_code == 1"))
	if o := callRunner(t, "-db", db, "-task", "1", file); o.code != exitFinished {
		t.Fatal("a good call fails")
	}
	recorded := statusOf(t, db, "1")
	broken := filepath.Join(dir, "broken.json")
	if err := os.WriteFile(broken, []byte(`{"id":"p"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		want string
		args []string
	}{
		{"flag provided but not defined: -frob", []string{"-frob"}},
		{"flag provided but not defined: -frob", []string{file, "-frob"}},
		{"one definition at a time", []string{file, file}},
		{"unknown time zone Mars/Base", []string{"-tz", "Mars/Base"}},
		{"nobody may send requests", []string{"-http", "127.0.0.1:0", file}},
		{"-no-auth need -http", []string{"-no-auth", file}},
		{"have no effect", []string{"-http", "127.0.0.1:0", "-no-auth", "-app", "web:secret", file}},
		{"-operate and -operator need -http", []string{"-operate", file}},
		{"-operator has no effect", []string{"-http", "127.0.0.1:0", "-app", "web:secret", "-token", "t=ann", "-operate", "-operator", "ann", file}},
		{"nobody is a USER", []string{"-http", "127.0.0.1:0", "-no-auth", "-operator", "ann", file}},
		{"-resume needs -db", []string{"-resume"}},
		{"no such file", []string{filepath.Join(dir, "none.json")}},
		{"end_event: is missing", []string{broken}},
		{"nothing to resume", []string{"-db", filepath.Join(dir, "none.db"), "-resume"}},
		{"business 1 has no unfinished task", []string{"-db", db, "-resume"}},
		{`has no task "1"/"2"`, []string{"-db", db, "-resume", "-task", "2"}},
		{`has a task "1"/"1" already`, []string{"-db", db, "-task", "1", file}},
		{"began with another definition", []string{"-db", db, "-task", "1", "-resume", write(t, loopTree("false", "exit_code == 1"))}},
		{"control", []string{"-db", db, "-task", "a\nb", file}},
	} {
		o := callRunner(t, tt.args...)
		if o.code != exitUsage || !strings.Contains(o.stderr, tt.want) || o.status != nil {
			t.Errorf("%q: exit code %d, want %q in the error", tt.args, o.code, tt.want)
		}
	}
	if diff := cmp.Diff(recorded, statusOf(t, db, "1")); diff != "" {
		t.Errorf("a refused call changed what is recorded: %s", diff)
	}
	if o := callRunner(t, "-db", filepath.Join(dir, "no", "dir", "p.db"), file); o.code != exitFailed {
		t.Errorf("a missing directory: exit code %d", o.code)
	}
}

func TestHelpNamesEveryFlag(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if code := (&call{stdout: &stdout, stderr: &stderr}).invoke([]string{"-h"}); code != exitFinished || stderr.Len() > 0 {
		t.Errorf("exit code %d, errors %q", code, stderr.String())
	}
	for _, flag := range []string{"-db", "-store", "-resume", "-biz", "-task", "-tz", "-quiet", "-json", "-failed-first", "-grace", "-http", "-app", "-trusted-app", "-token", "-no-auth", "-operate", "-operator", "FILE.json", "Exit code"} {
		if !strings.Contains(stdout.String(), flag) {
			t.Errorf("help does not name %s", flag)
		}
	}
}

func TestProgressIsLinesWithoutATerminal(t *testing.T) {
	t.Parallel()
	tree := loopTree("exit 2", "${a.exit_code} == 0")
	find(tree, "a")["auto_retry"] = object{"enable": true, "times": 1}
	find(tree, "a")["error_ignorable"] = true
	o := callRunner(t, "-db", filepath.Join(t.TempDir(), "p.db"), write(t, tree))
	var lines []string
	for line := range strings.Lines(o.stderr) {
		if len(line) > 10 && line[2] == ':' {
			lines = append(lines, strings.TrimSpace(line[10:]))
		}
	}
	want := []string{
		"start     pipeline", "start     a", "fail      a: exit status 2", "retry 1   a", "start     a",
		"fail, ignored a: exit status 2", "finish    pipeline",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("lines are %q", lines)
	}
	if strings.Contains(o.stderr, "\x1b") {
		t.Error("there are control sequences")
	}
}

// The output of a command is shown in a terminal, which must not obey it.
func TestControlSequencesOfCommandsDoNotReachTheTerminal(t *testing.T) {
	t.Parallel()
	tree := newTree("p")
	activity(tree, "a", `printf 'a\342\200\256b\302\2332J\033[2J\342\201\247c\342\200\250\r\000\377\n'; exit 3`)
	find(tree, "a")["name"] = "\u202eeman\u009b2J\u3164"
	chain(tree, "p_start", "a", "p_end")
	var stdout bytes.Buffer
	var stderr syncBuffer
	c := &call{stdout: &stdout, stderr: &stderr}
	if code := c.invoke([]string{"-db", filepath.Join(t.TempDir(), "p.db"), "-task", "\u2067t", write(t, tree)}); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	printed := stdout.String() + stderr.String()
	for _, r := range printed {
		if r != '\n' && (!unicode.IsPrint(r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)) {
			t.Errorf("it prints %U: %q", r, printed)
			break
		}
	}
	if s := parseResponse(t, stdout.Bytes()); search(s, "\u202eeman\u009b2J\u3164") == nil {
		t.Errorf("the name is not what it was: %s", stdout.String())
	}
}

func TestTimesAreShownInTheZoneAskedFor(t *testing.T) {
	t.Parallel()
	o := callRunner(t, "-quiet", "-tz", "Asia/Shanghai", "-db", filepath.Join(t.TempDir(), "p.db"),
		write(t, loopTree("true", "exit_code == 1")))
	if _, offset := o.status.Started.Zone(); offset != 8*3600 || o.status.State != state.Finished {
		t.Errorf("start time is %s", o.status.Started)
	}
}

func TestFlagsMayFollowTheDefinition(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "p.db")
	o := callRunner(t, write(t, loopTree("true", "exit_code == 1")), "-quiet", "-db", db, "-task", "t1")
	if o.code != exitFinished || !strings.HasSuffix(o.stderr, "FINISHED, recorded in "+db+"\n") {
		t.Errorf("exit code %d", o.code)
	}
}

func TestAnErrorKeepsItsIndentation(t *testing.T) {
	t.Parallel()
	tree := newTree("p")
	activity(tree, "a", `printf 'Traceback:\n    deploy()\n'; exit 3`)
	chain(tree, "p_start", "a", "p_end")
	o := runTree(t, tree, exitFailed, pipelineName+" FAILED", "  start FINISHED", "  a FAILED")
	if !strings.Contains(o.stderr, "a failed:\n  Traceback:\n      deploy()\n  exit status 3\n") {
		t.Error("it is not as the command wrote it")
	}
}

// A quoted text can be pasted into a shell, and shows no unprintable characters.
func TestQuotedIsOneWordForAShell(t *testing.T) {
	for text, want := range map[string]string{
		"/tmp/p.db":        "/tmp/p.db",
		"":                 "''",
		"nightly build":    "'nightly build'",
		"it's":             `'it'\''s'`,
		"می\u200cخواهم":    `$'می\U0000200cخواهم'`,
		"\u202eb\\'\xff\n": `$'\U0000202eb\\\'\xff\U0000000a'`,
	} {
		if got := quoted(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestAFileThatAnotherProcessHasOpenIsExplained(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "p.db")
	s, err := boltstore.Open(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if o := callRunner(t, "-resume", "-db", db); o.code != exitFailed || !strings.Contains(o.stderr, "'statusctl -db http://HOST:PORT'") {
		t.Errorf("exit code %d, %s", o.code, o.stderr)
	}
}
