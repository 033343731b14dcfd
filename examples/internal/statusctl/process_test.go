package statusctl

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// asTool makes the test binary run the tool.
const asTool = "STATUSCTL_TEST_AS_TOOL"

func TestMain(m *testing.M) {
	if os.Getenv(asTool) != "" {
		os.Exit(Main(nil))
	}
	goleak.VerifyTestMain(m)
}

// process is the tool as a separate process.
func process(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), asTool+"=1", "TZ=Asia/Shanghai", "ZONEINFO=")
	return cmd
}

func TestAnsweredOperationsSurviveAKill(t *testing.T) {
	db := filepath.Join(t.TempDir(), "a.db")
	const rounds, lines = 3, 20
	for round := range rounds {
		cmd := process(t, "apply", "-db", db)
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		answers := bufio.NewScanner(stdout)
		for i := range lines {
			// Each line waits for the answer to the one before it.
			if _, err := fmt.Fprintf(stdin, `{"op":"create","biz":"b","task":"%d-%d"}`+"\n", round, i); err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf(`{"ok":true,"seq":%d,`, round*lines+i+1)
			if !answers.Scan() || !strings.HasPrefix(answers.Text(), want) {
				t.Fatalf("answer %q, want %s", answers.Text(), want)
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed
	}
	out, err := process(t, "list", "-db", db, "-limit", "1000").Output()
	if n := strings.Count(string(out), "\n") - 1; err != nil || n != rounds*lines {
		t.Errorf("%d tasks, %v", n, err)
	}
	if out, err := process(t, "check", "-db", db).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestTheExampleWithOneProcessPerLine(t *testing.T) {
	db := filepath.Join(t.TempDir(), "a.db")
	want := strings.SplitAfter(succeed(t, read(t, "testdata/apply/example.jsonl"), "apply", "-tz", "Asia/Shanghai", "-db", memory), "\n")
	for line := range strings.Lines(read(t, "testdata/apply/example.jsonl")) {
		cmd := process(t, "-db", db, "apply") // TZ is the default zone
		cmd.Stdin = strings.NewReader(line)
		got, err := cmd.Output()
		if plain := errorText.ReplaceAllString(string(got), "$1"); err != nil || plain != errorText.ReplaceAllString(want[0], "$1") {
			t.Errorf("%s%s%v, want %s", line, got, err, want[0])
		}
		want = want[1:]
	}
}

func TestExitCodesOfAProcess(t *testing.T) {
	dir := t.TempDir()
	for name, test := range map[string]struct {
		stdin string
		args  []string
		code  int
	}{
		"input read to its end":   {`{"op":"create","biz":"b","task":"t"}`, []string{"apply", "-db", memory}, 0},
		"nothing but refusals":    {"x\ny", []string{"apply", "-db", memory}, 0},
		"no input":                {"", []string{"apply", "-db", memory}, 0},
		"a store that is no file": {"", []string{"apply", "-db", dir}, 1},
		"an unknown flag":         {"", []string{"apply", "-x"}, 2},
		"no command":              {"", nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := process(t, test.args...)
			cmd.Stdin = strings.NewReader(test.stdin)
			out, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != test.code {
				t.Errorf("exit code %d\n%s", code, out)
			}
		})
	}
}
