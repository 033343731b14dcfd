//go:build unix

package runner

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/state"
)

// The program that shows the progress, or reads the answer, may end before the
// pipeline.
func TestAPipelineFinishesWhenItsOutputIsClosed(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	db, told, g := filepath.Join(t.TempDir(), "p.db"), filepath.Join(t.TempDir(), "told"), newGate(t)
	tree := newTree("p")
	activity(tree, "a", g.command())
	// A command is not affected: the system ends what writes to nobody.
	activity(tree, "b", `{ yes; echo $? > `+told+`; } | head -n 1`)
	activity(tree, "c", "exit 3", "error_ignorable", true)
	chain(tree, "p_start", "a", "b", "c", "p_end")
	cmd := exec.Command(exe, "-db", db, "-task", "t1", write(t, tree))
	cmd.Env = append(os.Environ(), asProgram+"=1")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g.await(t)
	stdout.Close()
	stderr.Close()
	g.open(t)
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended badly: %v", err)
	}
	if s := statusOf(t, db, "t1"); s.State != state.Finished || named(t, s, "c").State != state.Finished {
		t.Errorf("it ends as %q", shape(s))
	}
	if code, err := os.ReadFile(told); err != nil || strings.TrimSpace(string(code)) != "141" {
		t.Errorf("a command that writes to nobody ends with %q, %v", code, err)
	}
}
