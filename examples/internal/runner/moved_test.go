//go:build unix

package runner

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// statusctl calls the tool, which is built for it, and returns what it prints.
func statusctl(t *testing.T, program string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("statusctl %v: %v", args, err)
	}
	return out
}

// The database is all there is of a run: what is exported from it and imported
// into another one continues there, with its definition, exit codes and variables.
func TestAnExportedRunIsResumedInAnotherDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := filepath.Join(dir, "statusctl")
	if out, err := exec.Command("go", "build", "-o", program, "../../statusctl").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	marker := filepath.Join(dir, "ok")
	inside := newTree("sub")
	inside["data"] = object{"inputs": object{"${level}": object{"value": "unset"}}, "outputs": []any{"${deep}"}}
	activity(inside, "dig", `echo "::set deep=$level and down"`)
	chain(inside, "sub_start", "dig", "sub_end")
	tree := newTree("p")
	tree["data"] = object{"inputs": object{
		"${where}": object{"value": "here"}, "${found}": object{"source_act": "s", "source_key": "${deep}"},
	}}
	activity(tree, "look", `echo "::set where=there"; exit 3`, "error_ignorable", true)
	subprocess(tree, "s", inside)
	find(tree, "s")["params"] = object{"${level}": object{"type": "splice", "value": "from ${where}"}}
	activity(tree, "check", `test "$where" = there && test "$found" = "from there and down" && test -e `+marker)
	gateway(tree, "code", "ExclusiveGateway")
	activity(tree, "wrong", "false")
	chain(tree, "p_start", "look", "s", "check", "code")
	connect(tree, "code", "p_end", "${look.exit_code} == 3 and ${check.exit_code} == 0")
	connect(tree, "code", "wrong", "default")
	chain(tree, "wrong", "p_end")

	from, to := filepath.Join(dir, "from.db"), filepath.Join(dir, "to.db")
	if o := callRunner(t, "-db", from, "-task", "moved", write(t, tree)); o.code != exitFailed {
		t.Fatalf("exit code %d", o.code)
	}
	file := filepath.Join(dir, "export.jsonl")
	if err := os.WriteFile(file, statusctl(t, program, "export", "-db", from), 0o600); err != nil {
		t.Fatal(err)
	}
	statusctl(t, program, "import", "-db", to, file)
	for _, old := range []string{from, from + "-journal"} {
		_ = os.Remove(old) // there may be no journal
	}
	if err := os.WriteFile(marker, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, callRunner(t, "-db", to, "-resume", "-task", "moved"), exitFinished,
		pipelineName+" FINISHED", "  start FINISHED", "  look FINISHED", "  s FINISHED", "    start FINISHED", "    dig FINISHED", "    end FINISHED",
		"  check FINISHED retry=1", "  code FINISHED", "  wrong FINISHED retry=1 skip", "  end FINISHED")
}
