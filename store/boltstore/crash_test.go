package boltstore_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

// witness has the reports of a victim.
type witness struct {
	sizes map[string]int   // of the outputs of tasks that were begun
	acks  map[string][]ack // by task
	going map[string]bool
	gone  map[string]bool
	lines int
}

type ack struct {
	sequence uint64
	node     string
}

func newWitness() *witness {
	return &witness{sizes: make(map[string]int), acks: make(map[string][]ack), going: make(map[string]bool), gone: make(map[string]bool)}
}

// listen reads to the end. It ignores an incomplete last line.
func (w *witness) listen(out io.Reader, said func(line string)) {
	for r := bufio.NewReader(out); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		w.lines++
		var a ack
		var task string
		var size int
		if n, _ := fmt.Sscanf(line, "ack %d %s", &a.sequence, &a.node); n == 2 {
			task, _, _ = strings.Cut(a.node, ".")
			w.acks[task] = append(w.acks[task], a)
		} else if n, _ := fmt.Sscanf(line, "size %d %s", &size, &task); n == 2 {
			w.sizes[task] = size
		} else if n, _ := fmt.Sscanf(line, "going %s", &task); n == 1 {
			w.going[task] = true
		} else if n, _ := fmt.Sscanf(line, "gone %s", &task); n == 1 {
			w.gone[task] = true
		}
		said(line)
	}
}

// kill runs a victim and kills it some time after its start or after one of its
// reports.
func (w *witness) kill(t *testing.T, job, path, name string, after time.Duration, sinceStart bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimEnv+"="+job, victimFile+"="+path, victimName+"="+name)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	speaks := make(chan struct{})
	first := sync.OnceFunc(func() { close(speaks) })
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		defer first()
		w.listen(out, func(string) { first() })
	}()
	if !sinceStart {
		<-speaks
	}
	time.Sleep(after)
	_ = cmd.Process.Kill()
	<-heard
	_ = cmd.Wait() // it was killed
	if complaint.Len() > 0 {
		t.Fatalf("the victim failed before it was killed: %s", complaint.String())
	}
}

// verify opens the files of a killed victim and compares them with its reports.
func (w *witness) verify(t *testing.T, path string, o *boltstore.Options) {
	t.Helper()
	s, err := boltstore.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for task, size := range w.sizes {
		w.verifyTask(t, s, task, size)
	}
	if err := s.Check(t.Context(), func(p string) { t.Errorf("check: %s", p) }); err != nil {
		t.Errorf("check: %v", err)
	}
}

func (w *witness) verifyTask(t *testing.T, s *boltstore.Store, task string, size int) {
	t.Helper()
	key := state.Key{Business: "2", Task: task}
	snap, err := s.Load(t.Context(), store.Ref{Key: key})
	if errors.Is(err, state.ErrNotFound) {
		if len(w.acks[task]) > 0 && !w.going[task] {
			t.Errorf("task %s is gone", key)
		}
		return
	}
	if err != nil {
		t.Errorf("task %s: %v", key, err)
		return
	}
	if w.gone[task] {
		t.Errorf("task %s is there after its delete", key)
	}
	if i, ok := snap.Tree.Find(task + ".whole"); ok && snap.Tree.State(i) != state.Finished {
		t.Errorf("task %s has half a batch: %s", key, snap.Tree.State(i))
	}
	trs, err := s.Transitions(t.Context(), key, 0, 1000)
	if err != nil {
		t.Errorf("task %s: %v", key, err)
		return
	}
	kept := make(map[ack]bool)
	for _, tr := range trs {
		kept[ack{tr.Sequence, tr.Node()}] = true
	}
	for _, a := range w.acks[task] {
		if !kept[a] {
			t.Errorf("task %s: %+v was acknowledged and is lost", key, a)
		}
	}
	verifyData(t, s, snap.Tree, trs, size)
}

// verifyData checks that the attempts of a task have exactly the data of its
// transitions, byte for byte.
func verifyData(t *testing.T, s *boltstore.Store, tree *state.Tree, trs []*state.Transition, size int) {
	t.Helper()
	type datum struct {
		node    string
		attempt int
		output  bool
	}
	want := make(map[datum]*state.Data)
	for _, tr := range trs {
		d := dataWith(tr, size)
		if !tr.Data.Equal(d) {
			t.Errorf("task %s: the %s of %s has data of %s, want %s", tr.Task, tr.Op, tr.Node(), tr.Data, d)
		}
		if d != nil {
			want[datum{tr.Node(), tr.Changes[0].Number(), tr.Output() != nil}] = d
		}
	}
	for i := range tree.Len() {
		id, last := tree.ID(i), tree.Node(i)
		for n := 1; n <= last.Number(); n++ {
			in, out, err := store.AttemptData(t.Context(), s, store.ByNode(id), n)
			if err != nil {
				t.Errorf("attempt %d of node %q: %v", n, id, err)
				continue
			}
			for output, got := range map[bool]*state.Data{false: in, true: out} {
				if d := want[datum{id, n, output}]; !got.Equal(d) || !bytes.Equal(got.Bytes(), d.Bytes()) {
					t.Errorf("attempt %d of node %q has %s (output %t), want %s", n, id, got, output, d)
				}
			}
		}
	}
}

func kills(short, long int) int {
	if *boltstore.Long {
		return long
	}
	return short
}

func TestWriterKilledAtAnyMomentLosesNothingAcknowledged(t *testing.T) {
	killWriters(t, "write", kills(8, 200), 8, 150*time.Millisecond)
}

// One of the writers has data up to the greatest limit.
func TestWriterOfLargeDataKilledAtAnyMomentLosesNothingAcknowledged(t *testing.T) {
	killWriters(t, "large", kills(3, 60), 3, time.Second)
}

// killWriters kills n processes, some of which write to the same file one after
// the other.
func killWriters(t *testing.T, job string, n, lives int, within time.Duration) {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	said := 0
	for i := 0; i < n; {
		dir := t.TempDir()
		path := filepath.Join(dir, "victim.db")
		w := newWitness()
		for range min(lives, n-i) {
			w.kill(t, job, path, fmt.Sprint("life", i), time.Duration(r.Int64N(int64(within))), false)
			w.verify(t, path, &tiny)
			i++
			if t.Failed() {
				t.Fatalf("after %d kills", i)
			}
		}
		said += w.lines
		_ = os.RemoveAll(dir) // they are large
	}
	t.Logf("%d kills, %d lines said", n, said)
	if said == 0 {
		t.Error("no victim lived to say anything")
	}
}

func TestProcessKilledDuringCompactionLosesNothingAcknowledged(t *testing.T) {
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	n := kills(4, 100)
	for i := 0; i < n; {
		path := filepath.Join(t.TempDir(), "victim.db")
		w := newWitness()
		for range min(5, n-i) {
			w.kill(t, "compact", path, fmt.Sprint("life", i), time.Duration(r.IntN(150))*time.Millisecond, false)
			w.verify(t, path, &tiny)
			i++
			if t.Failed() {
				t.Fatalf("after %d kills", i)
			}
		}
	}
}

func TestProcessKilledDuringDeletesLeavesNoPartialTask(t *testing.T) {
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	n := kills(3, 40)
	for i := 0; i < n; {
		path := filepath.Join(t.TempDir(), "victim.db")
		w := newWitness()
		w.lived(t, path, 400) // each must exist or be in deletion
		for range min(3, n-i) {
			w.kill(t, "delete", path, "life", time.Duration(r.IntN(60))*time.Millisecond, false)
			w.verify(t, path, &tiny)
			i++
		}
		if len(w.going) == 0 {
			t.Error("nothing was deleted")
		}
		if t.Failed() {
			t.Fatalf("after %d kills", i)
		}
	}
}

// lived writes a file with ended tasks, each acknowledged to w.
func (w *witness) lived(t *testing.T, path string, tasks int) {
	t.Helper()
	s := mustOpen(t, path, &tiny)
	s.NoSync()
	e, err := engine.Open(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for n := range tasks {
		if err := runTask(e, fmt.Sprintf("life-0-%d", n), func(words ...any) { fmt.Fprintln(&said, words...) }); err != nil {
			t.Fatal(err)
		}
	}
	w.listen(strings.NewReader(said.String()), func(string) {})
	if err := errors.Join(e.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestProcessKilledDuringFirstCreationLeavesAFileOrNone(t *testing.T) {
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	none, some := 0, 0
	for range kills(10, 200) {
		path := filepath.Join(t.TempDir(), "victim.db")
		newWitness().kill(t, "create", path, "", time.Duration(r.IntN(80_000))*time.Microsecond, true)
		if _, err := os.Stat(path); err == nil {
			some++
		} else {
			none++
		}
		w := newWitness()
		w.verify(t, path, &tiny)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d times there was a file, %d times none yet", some, none)
}
