package statusctl

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// manyTasks is an export of n tasks, t0 to tN, each with a root and a leaf, which
// are r0 to rN and l0 to lN.
func manyTasks(t *testing.T, n int) string {
	t.Helper()
	var in strings.Builder
	for i := range n {
		fmt.Fprintf(&in, `{"op":"batch","ops":[{"op":"create","biz":"b","task":"t%d","id":"r%[1]d"},{"op":"declare","parent":"r%[1]d","node":"l%[1]d","kind":"service_activity"}]}`+"\n", i)
	}
	db := filepath.Join(t.TempDir(), "many.db")
	succeed(t, in.String(), "apply", "-db", db)
	return succeed(t, "", "export", "-db", db)
}

func TestAnImportThatIsRefusedChangesNothing(t *testing.T) {
	whole := manyTasks(t, 6)
	for name, test := range map[string]struct {
		in   string
		has  string // names in the database
		want []string
	}{
		"a root of two tasks":          {in: strings.ReplaceAll(whole, `"r5"`, `"r0"`), want: []string{`damaged export: node "r0" comes twice`, `task "b"/"t5"`}},
		"a leaf of two tasks":          {in: strings.ReplaceAll(whole, `"l5"`, `"l1"`), want: []string{`damaged export: node "l1" comes twice`, `task "b"/"t5"`}},
		"a leaf that is another root":  {in: strings.ReplaceAll(whole, `"l5"`, `"r1"`), want: []string{`damaged export: node "r1" comes twice`}},
		"a task that comes twice":      {in: strings.ReplaceAll(whole, `"t5"`, `"t2"`), want: []string{`damaged export: task "b"/"t2" comes twice`}},
		"a task that is there":         {in: whole, has: `{"op":"create","biz":"b","task":"t5","id":"1"}`, want: []string{`task "b"/"t5" is in `, "nothing is imported"}},
		"a node that is there":         {in: whole, has: `{"op":"create","biz":"other","task":"t","id":"l5"}`, want: []string{`node "l5" is one of task "other"/"t" in `, "nothing is imported"}},
		"a transition that leads away": {in: strings.Replace(whole, `"seq":12,"biz":"b","task":"t5"`, `"seq":12,"biz":"b","task":"t9"`, 1), want: []string{"damaged export"}},
	} {
		t.Run(name, func(t *testing.T) {
			db := filepath.Join(t.TempDir(), "b.db")
			before := ""
			if test.has != "" {
				succeed(t, test.has, "apply", "-db", db)
				before = succeed(t, "", "export", "-db", db)
			}
			got := call(t.Context(), test.in, "import", "-db", db)
			for _, want := range test.want {
				if got.code != exitFailed || !strings.Contains(got.stderr, want) {
					t.Errorf("exit code %d, want %q: %s", got.code, want, got.stderr)
				}
			}
			if test.has == "" {
				if _, err := os.Stat(db); err == nil {
					t.Error("the database exists")
				}
			} else if succeed(t, "", "export", "-db", db) != before {
				t.Error("the database has changed")
			}
		})
	}
}

func TestARepeatIsFoundAmongMoreNamesThanFitInMemory(t *testing.T) {
	const tasks = 12
	whole := manyTasks(t, tasks)
	for _, most := range []int{1, 7, 3 * tasks} {
		found, err := examineExport(t.Context(), strings.NewReader(whole), most)
		if err != nil || found.tasks != tasks {
			t.Errorf("at most %d names: %d tasks, %v", most, found.tasks, err)
		}
		for i := range tasks - 1 {
			again := strings.ReplaceAll(whole, fmt.Sprintf(`"l%d"`, tasks-1), fmt.Sprintf(`"r%d"`, i))
			if _, err := examineExport(t.Context(), strings.NewReader(again), most); err == nil || !strings.Contains(err.Error(), "comes twice") {
				t.Errorf("at most %d names: root %d repeats: %v", most, i, err)
			}
		}
	}
}

func TestFewNamesOfAnExportAreHeldAtATime(t *testing.T) {
	const most = 100
	s := nameSet{most: most, parts: 1}
	for part := uint64(0); part < s.parts; part++ {
		s.begin(part)
		for i := range 20 * most {
			if err := s.add(store.ByNode(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
			if len(s.seen) > 2*most {
				t.Fatalf("%d names of part %d are held", len(s.seen), part)
			}
		}
	}
	if s.parts < 20 || s.parts > 64 {
		t.Errorf("%d parts", s.parts)
	}
}

// A file imports a task whose history is longer than a commit can usually hold.
func TestAnImportAcceptsTasksWithALongHistory(t *testing.T) {
	from := store.NewMemory()
	r := begin(t, from)
	if _, err := r.engine.Record(t.Context(), engine.Create("b", "t", engine.ID("root")), engine.Start("root"),
		engine.Declare("root", state.ServiceActivity, engine.ID("leaf")), engine.Start("leaf")); err != nil {
		t.Fatal(err)
	}
	cause := strings.Repeat("x", state.MaxErrorBytes)
	for range (10 << 20) / state.MaxErrorBytes {
		if _, err := r.engine.Record(t.Context(), engine.Fail("leaf", cause), engine.Retry("leaf"), engine.Start("leaf")); err != nil {
			t.Fatal(err)
		}
	}
	db := filepath.Join(t.TempDir(), "b.db")
	exported := export(t, from)
	succeed(t, exported, "import", "-db", db)
	if length := len(succeed(t, "", "export", "-db", db)); length < len(exported) {
		t.Errorf("the import exports %d bytes of %d", length, len(exported))
	}
}
