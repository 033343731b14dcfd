package boltstore_test

import (
	"bufio"
	"bytes"
	"context"
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

	"go.uber.org/goleak"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

// The test binary runs itself as the process that is killed.
const (
	victimEnv  = "PIPESTATUS_VICTIM" // what to do
	victimFile = "PIPESTATUS_VICTIM_FILE"
	victimName = "PIPESTATUS_VICTIM_NAME" // begins the names of its tasks
)

func TestMain(m *testing.M) {
	if job := os.Getenv(victimEnv); job != "" {
		fmt.Fprintln(os.Stderr, victim(job, os.Getenv(victimFile), os.Getenv(victimName)))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// tiny makes every part of the write path happen all the time.
var tiny = boltstore.Options{OverlayTransitions: 48, FeedTransitions: 300, LockTimeout: time.Minute}

// jobs are what the process does besides what victim does itself.
var jobs = map[string]func(path string) error{"migrate": migrate}

// openBoth opens a file and an engine on it.
func openBoth(path string, o *boltstore.Options) (*boltstore.Store, *engine.Engine, error) {
	s, err := boltstore.Open(path, o)
	if err != nil {
		return nil, nil, err
	}
	e, err := engine.Open(context.Background(), s, nil)
	return s, e, err
}

// victim works until it is killed and says on its standard output what it was
// told is done: "ack SEQUENCE NODE", and of tasks to delete "going
// TASK" before and "gone TASK" after. It returns only on errors.
func victim(job, path, name string) error {
	if job, ok := jobs[job]; ok {
		return job(path)
	}
	s, e, err := openBoth(path, &tiny)
	if err != nil {
		return err
	}
	fmt.Println("open")
	// The runtime ends a process in which nothing can happen any more, such as one
	// that is only to open the file.
	defer time.AfterFunc(time.Hour, func() {}).Stop()
	failed := make(chan error)
	say := func(words ...any) { fmt.Println(words...) }
	if job == "compact" {
		go func() {
			for err == nil {
				err = s.Compact(context.Background())
			}
			failed <- err
		}()
	}
	for w := range 6 {
		go func() {
			switch job {
			case "write", "compact":
				for n := 0; ; n++ {
					if err := runTask(e, fmt.Sprintf("%s-%d-%d", name, w, n), n, say); err != nil {
						failed <- err
						return
					}
				}
			case "delete":
				for n := w; ; n += 6 {
					if err := deleteTask(e, fmt.Sprintf("%s-0-%d", name, n), say); err != nil {
						failed <- err
						return
					}
				}
			}
		}()
	}
	return <-failed
}

func deleteTask(e *engine.Engine, task string, say func(...any)) error {
	say("going", task)
	if err := e.Delete(context.Background(), "2", task); errors.Is(err, state.ErrNotFound) {
		return nil // in an earlier life
	} else if err != nil {
		return err
	}
	say("gone", task)
	return nil
}

// runTask takes a task through its life, its nodes some in batches, some step
// by step, and deletes every third.
func runTask(e *engine.Engine, task string, n int, say func(...any)) error {
	record := func(ops ...engine.Op) error {
		results, err := e.Record(context.Background(), ops...)
		if err != nil {
			return fmt.Errorf("task %s: %w", task, err)
		}
		for _, r := range results {
			say("ack", r.Sequence, r.Node)
		}
		return nil
	}
	whole, node := task+".whole", task+".node"
	// Up to the limit, and rarely much, so that the victim does other things, too.
	data := bytes.Repeat([]byte(task), 1+n%5)
	if n%7 == 3 {
		data = bytes.Repeat([]byte{byte(n)}, state.DefaultDataBytes>>(n%4))
	}
	steps := [][]engine.Op{
		{engine.Create("2", task, engine.ID(task), engine.Input([]byte(task)))},
		{engine.Start(task)},
		{engine.Declare(task, state.ServiceActivity, engine.ID(node))},
		{engine.Start(node, engine.Input([]byte{}))},
		{engine.Fail(node, "exit status 1", engine.Output(data))},
		{engine.Declare(task, state.ServiceActivity, engine.ID(whole)), engine.Start(whole), engine.Finish(whole)},
		{engine.Retry(node)},
		{engine.Start(node)},
		{engine.Finish(node, engine.Output(data)), engine.Finish(task)},
	}
	for _, ops := range steps {
		if err := record(ops...); err != nil {
			return err
		}
	}
	if n%3 != 1 {
		return nil
	}
	return deleteTask(e, task, say)
}

// witness is what a victim said.
type witness struct {
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
	return &witness{acks: make(map[string][]ack), going: make(map[string]bool), gone: make(map[string]bool)}
}

// listen reads to the end. A last line without end was not said.
func (w *witness) listen(out io.Reader, said func(line string)) {
	for r := bufio.NewReader(out); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		w.lines++
		var a ack
		var task string
		if n, _ := fmt.Sscanf(line, "ack %d %s", &a.sequence, &a.node); n == 2 {
			task, _, _ = strings.Cut(a.node, ".")
			w.acks[task] = append(w.acks[task], a)
		} else if n, _ := fmt.Sscanf(line, "going %s", &task); n == 1 {
			w.going[task] = true
		} else if n, _ := fmt.Sscanf(line, "gone %s", &task); n == 1 {
			w.gone[task] = true
		}
		said(line)
	}
}

// kill runs a victim and kills it some time after it has said something, or
// after it was started.
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

// verify opens what the victim left and holds it against what was said.
func (w *witness) verify(t *testing.T, path string, o *boltstore.Options) {
	t.Helper()
	s, err := boltstore.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for task, acks := range w.acks {
		w.verifyTask(t, s, task, acks)
	}
	if err := s.Check(t.Context(), func(p string) { t.Errorf("check: %s", p) }); err != nil {
		t.Errorf("check: %v", err)
	}
}

func (w *witness) verifyTask(t *testing.T, s *boltstore.Store, task string, acks []ack) {
	t.Helper()
	key := state.Key{Business: "2", Task: task}
	snap, err := s.Load(t.Context(), store.Ref{Key: key})
	if errors.Is(err, state.ErrNotFound) {
		if !w.going[task] {
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
	for _, a := range acks {
		if !kept[a] {
			t.Errorf("task %s: %+v was acknowledged and is lost", key, a)
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
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	said := 0
	n := kills(8, 200)
	for i := 0; i < n; {
		path := filepath.Join(t.TempDir(), "victim.db")
		w := newWitness()
		for range min(8, n-i) { // lives of one file
			w.kill(t, "write", path, fmt.Sprint("life", i), time.Duration(r.IntN(150))*time.Millisecond, false)
			w.verify(t, path, &tiny)
			i++
			if t.Failed() {
				t.Fatalf("after %d kills", i)
			}
		}
		said += w.lines
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

func TestProcessKilledDuringDeletesLeavesNothingHalf(t *testing.T) {
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	n := kills(3, 40)
	for i := 0; i < n; {
		path := filepath.Join(t.TempDir(), "victim.db")
		w := newWitness()
		w.lived(t, path, 400) // each must be there or be going
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

// lived writes a file with tasks that ended, each acknowledged to w.
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
		if err := runTask(e, fmt.Sprintf("life-0-%d", n), 0, func(words ...any) { fmt.Fprintln(&said, words...) }); err != nil {
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
