package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore/internal/pages"
)

var (
	salvageSeed   = flag.Int("salvage.seed", 5, "what is damaged at random")
	salvageRounds = flag.Int("salvage.rounds", 6, "how many files of each kind are damaged at random")
)

// wrecks are files to be damaged, with records in the journal as well as
// in its place, in its place only, or in part only in the journal.
var wrecks = map[string]*Options{
	"twice":        {OverlayTransitions: 8},
	"in place":     {OverlayTransitions: 8, FeedTransitions: 1},
	"in the queue": {OverlayTransitions: 150, FeedTransitions: 1},
}

// wreckImage is the file of a store with a story, as a killed process leaves it.
func wreckImage(t testing.TB, o *Options) (image, *model) {
	t.Helper()
	s := openQuick(t, filepath.Join(t.TempDir(), "whole.db"), o)
	m := story(t, s, 500, 8)
	return s.image(t), m
}

// salvageImage salvages an image, which must stay unchanged, and compares the
// result with the model: everything that is not reported as damaged must be
// right.
func (m *model) salvageImage(t testing.TB, damaged image, what string) (done Salvaged, reports []string) {
	t.Helper()
	path := damaged.write(t)
	dir := filepath.Dir(path)
	to := filepath.Join(dir, "new.db")
	done, err := Salvage(context.Background(), path, to, func(problem string) { reports = append(reports, problem) })
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, damaged.file) {
		t.Errorf("%s: the damaged file is altered, %v", what, err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 2+len(damaged.journal[:min(1, len(damaged.journal))]) {
		t.Errorf("%s: the directory holds %v, %v", what, names, err)
	}
	s := openQuick(t, to, nil)
	defer s.Close()
	if err := s.Check(context.Background(), func(p string) { t.Errorf("%s: check: %s", what, p) }); err != nil {
		t.Errorf("%s: check: %v", what, err)
	}
	journal := slices.ContainsFunc(reports, func(r string) bool { return strings.Contains(r, "journal") || strings.Contains(r, "feed") })
	stale := slices.ContainsFunc(reports, func(r string) bool { return strings.Contains(r, "removed records") })
	page, err := s.List(context.Background(), store.ListQuery{})
	if err != nil || len(page.Tasks) != done.Whole+done.Partly {
		t.Errorf("%s: %d tasks, %v, reported %+v", what, len(page.Tasks), err, done)
	}
	for i := range page.Tasks {
		if key := page.Tasks[i].Key; m.tasks[key] == nil && !stale && !journal {
			t.Errorf("%s: task %s is made up", what, key)
		}
	}
	for key, task := range m.tasks {
		told := slices.ContainsFunc(reports, func(r string) bool { return strings.HasPrefix(r, "task "+key.String()+": ") })
		if problem := task.differs(s, key); problem != "" && !told && !journal && !stale && len(reports) > 0 && !unnamed(reports) {
			t.Errorf("%s: task %s, of which nothing is reported: %s\n%s", what, key, problem, strings.Join(reports, "\n"))
		} else if problem != "" && len(reports) == 0 {
			t.Errorf("%s: task %s, and nothing is reported at all: %s", what, key, problem)
		}
		if told && !task.wasOnce(s, key) {
			t.Errorf("%s: task %s is as it never was\n%s", what, key, strings.Join(reports, "\n"))
		}
	}
	return done, reports
}

// unnamed reports that a task without a readable key was reported.
func unnamed(reports []string) bool {
	return slices.ContainsFunc(reports, func(r string) bool { return strings.HasPrefix(r, "task number") })
}

// differs returns the difference between a task in s and the model, apart from
// sequences; "" if there is none.
func (task *modelTask) differs(s *Store, key state.Key) string {
	ctx := context.Background()
	snap, err := s.Load(ctx, store.Ref{Key: key})
	if err != nil {
		return err.Error()
	}
	if !slices.Equal(nodesOf(snap.Tree), nodesOf(task.tree)) {
		return "its tree is another"
	}
	trs, err := s.Transitions(ctx, key, 0, 0)
	if err != nil || len(trs) != len(task.transitions) {
		return fmt.Sprintf("%d transitions, %v, want %d", len(trs), err, len(task.transitions))
	}
	for i, tr := range trs {
		same := *tr
		same.Sequence = task.transitions[i].Sequence
		if !reflect.DeepEqual(&same, task.transitions[i]) {
			return fmt.Sprintf("transition %d is %+v, want %+v", i, tr, task.transitions[i])
		}
	}
	for i := range task.tree.Len() {
		id := task.tree.ID(i)
		if attempts, err := attemptsOf(ctx, s, id); err != nil || !sameAttempts(attempts, task.all(i)) {
			return fmt.Sprintf("node %q has other attempts, %v", id, err)
		}
	}
	return ""
}

// wasOnce reports whether a task in s, if it exists, equals the model's at some
// moment.
func (task *modelTask) wasOnce(s *Store, key state.Key) bool {
	snap, err := s.Load(context.Background(), store.Ref{Key: key})
	if errors.Is(err, state.ErrNotFound) {
		return true
	}
	if err != nil {
		return false
	}
	got, tree := nodesOf(snap.Tree), state.NewTree(key)
	for _, tr := range task.transitions {
		if tree, err = tree.Replay(tr); err != nil {
			return false
		}
		if slices.Equal(got, nodesOf(tree)) {
			return true
		}
	}
	return false
}

func TestSalvageCopiesASoundFileCompletely(t *testing.T) {
	for name, o := range wrecks {
		whole, m := wreckImage(t, o)
		done, reports := m.salvageImage(t, whole, name)
		if done != (Salvaged{Whole: len(m.tasks)}) || len(reports) > 0 {
			t.Errorf("%s: of %d tasks %+v, %q", name, len(m.tasks), done, reports)
		}
	}
}

// Every page but the first two is lost in turn, overwritten by zeros and by
// noise.
func TestSalvageFindsRecordsOutsideALostPage(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	pageSize := os.Getpagesize()
	for name, o := range wrecks {
		whole, m := wreckImage(t, o)
		var sum Salvaged
		pages := len(whole.file) / pageSize
		for page := 2; page < pages; page++ {
			damaged := slices.Clone(whole.file)
			lost := damaged[page*pageSize:][:pageSize]
			clear(lost)
			if page%2 == 1 {
				for i := range lost {
					lost[i] = byte(r.Uint32())
				}
			}
			done, reports := m.salvageImage(t, image{damaged, whole.journal}, fmt.Sprintf("%s, page %d", name, page))
			if done.Whole < len(m.tasks) && len(reports) == 0 {
				t.Errorf("%s, page %d: %+v of %d tasks, and nothing is reported", name, page, done, len(m.tasks))
			}
			sum.Whole, sum.Partly, sum.Lost = sum.Whole+done.Whole, sum.Partly+done.Partly, sum.Lost+done.Lost
		}
		t.Logf("%s: %d pages, %d tasks each, %+v", name, pages, len(m.tasks), sum)
		if name == "twice" && sum.Whole < (pages-2)*len(m.tasks)*9/10 {
			t.Errorf("tasks are lost although their pages are in the file twice: %+v of %d tasks in %d pages", sum, len(m.tasks), pages)
		}
	}
}

func TestSalvageNeedsNeitherMetaPagesNorRoot(t *testing.T) {
	pageSize := os.Getpagesize()
	for name, o := range wrecks {
		whole, m := wreckImage(t, o)
		meta, ok := pages.ReadMeta(bytes.NewReader(whole.file), int64(pageSize))
		if !ok {
			t.Fatal("no meta page")
		}
		for what, pages := range map[string][]uint64{
			"meta pages": {0, 1}, "root": {meta.Root}, "free list": {meta.Freelist}, "all of these": {0, 1, meta.Root, meta.Freelist},
		} {
			damaged := slices.Clone(whole.file)
			for _, page := range pages {
				clear(damaged[int(page)*pageSize:][:pageSize])
			}
			done, reports := m.salvageImage(t, image{damaged, whole.journal}, name+" without "+what)
			if name == "twice" && done.Whole < len(m.tasks) || done.Whole+done.Partly < len(m.tasks) || len(reports) == 0 {
				t.Errorf("%s without %s: %+v of %d tasks, %q", name, what, done, len(m.tasks), reports)
			}
		}
	}
}

func TestSalvageOfATruncatedFile(t *testing.T) {
	whole, m := wreckImage(t, wrecks["twice"])
	pageSize := os.Getpagesize()
	for _, size := range []int{len(whole.file) * 9 / 10, len(whole.file) * 2 / 3 / pageSize * pageSize} {
		if done, reports := m.salvageImage(t, image{whole.file[:size], whole.journal}, fmt.Sprint("cut to ", size)); done.Whole+done.Partly == 0 || len(reports) == 0 {
			t.Errorf("cut to %d of %d bytes: %+v, %q", size, len(whole.file), done, reports)
		}
	}
}

func TestSalvageOfAlteredBytesCopiesNoWrongValue(t *testing.T) {
	r := rand.New(rand.NewPCG(5, uint64(*salvageSeed)))
	for name, o := range wrecks {
		whole, m := wreckImage(t, o)
		for round := range *salvageRounds {
			damaged := slices.Clone(whole.file)
			for range 1 + r.IntN(30) {
				damaged[8192+r.IntN(len(damaged)-8192)] ^= 1 << r.IntN(8)
			}
			m.salvageImage(t, image{damaged, whole.journal}, fmt.Sprintf("%s, round %d", name, round))
		}
	}
}

// The list of free pages has no checksum, and the free pages have removed
// records.
func TestSalvageNoticesADamagedListOfFreePages(t *testing.T) {
	s := openQuick(t, filepath.Join(t.TempDir(), "tasks.db"), wrecks["in place"])
	m := story(t, s, 200, 8)
	for i := range 3 {
		m.commit(t, s, m.large(t, fmt.Sprint("removed", i), 40))
		s.writeBackAll()
	}
	for i := range 3 {
		m.commit(t, s, m.deletion(state.Key{Business: "2", Task: fmt.Sprint("removed", i)}))
	}
	s.writeBackAll()
	whole, pageSize := s.image(t), os.Getpagesize()
	meta, ok := pages.ReadMeta(bytes.NewReader(whole.file), int64(pageSize))
	free := 0
	if _, err := pages.ReadFreelist(bytes.NewReader(whole.file), int64(pageSize), &meta, func(uint64) { free++ }); !ok || err != nil || free < 8 {
		t.Fatalf("%t, %d free pages, %v", ok, free, err)
	}
	flip := func(what string, at, bit int) {
		t.Helper()
		damaged := slices.Clone(whole.file)
		damaged[int(meta.Freelist)*pageSize+at] ^= 1 << bit
		if _, reports := m.salvageImage(t, image{damaged, whole.journal}, what); len(reports) == 0 {
			t.Errorf("%s, bit %d: nothing is reported", what, bit)
		}
	}
	for bit := range 8 {
		flip("count", 10, bit)
		for i := bit % 4; i < free; i += 4 {
			flip(fmt.Sprint("free page ", i), pages.HeaderBytes+8*i, bit)
		}
	}
	// The list can only contain its own page where that keeps the order.
	at := int(meta.Freelist)*pageSize + pages.HeaderBytes
	own := 0
	for own < free-1 && binary.NativeEndian.Uint64(whole.file[at+8*own:]) < meta.Freelist {
		own++
	}
	damaged := slices.Clone(whole.file)
	binary.NativeEndian.PutUint64(damaged[at+8*own:], meta.Freelist)
	if _, reports := m.salvageImage(t, image{damaged, whole.journal}, "its own page"); len(reports) == 0 {
		t.Error("a list that names its own page: nothing is reported")
	}
}

// The record with the schema's version is sealed, so that a damaged one is not
// mistaken for a later version.
func TestSalvageDistinguishesADamagedFormatFromALaterOne(t *testing.T) {
	whole, m := wreckImage(t, wrecks["twice"])
	format := formatRecord(schemaVersion)
	for bit := range 8 {
		altered := slices.Clone(format)
		altered[0] ^= 1 << bit
		damaged := image{bytes.ReplaceAll(whole.file, format, altered), whole.journal}
		if done, reports := m.salvageImage(t, damaged, fmt.Sprint("bit ", bit)); done.Whole != len(m.tasks) || len(reports) == 0 {
			t.Errorf("bit %d: %+v of %d tasks, %q", bit, done, len(m.tasks), reports)
		}
	}
	later := image{bytes.ReplaceAll(whole.file, format, formatRecord(schemaVersion+1)), whole.journal}.write(t)
	if _, err := Salvage(t.Context(), later, later+".new", nil); !errors.Is(err, store.ErrIncompatible) {
		t.Errorf("a later schema: %v", err)
	}
}

func TestSalvageNamesATaskThatOnlyTheIndexNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tasks.db")
	s := openQuick(t, path, wrecks["in place"])
	m := story(t, s, 300, 4)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var lost []string
	alterBolt(t, path, func(tx *bolt.Tx) error {
		for key, task := range m.tasks {
			if len(lost) == 3 {
				break
			}
			lost = append(lost, fmt.Sprintf("task %s: lost: only the index names it", key))
			prefix := seqKey(task.header.Number)
			for _, b := range [...]bucket{tasksBucket, nodesBucket, attemptsBucket, transitionsBucket} {
				c := b.in(tx).Cursor()
				for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
					if err := c.Delete(); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
	var reports []string
	done, err := Salvage(t.Context(), path, path+".new", func(problem string) { reports = append(reports, problem) })
	if err != nil || done != (Salvaged{Whole: len(m.tasks) - len(lost), Lost: len(lost)}) {
		t.Errorf("%+v, %v of %d tasks", done, err, len(m.tasks))
	}
	for _, want := range lost {
		if !slices.Contains(reports, want) {
			t.Errorf("%q is not among %q", want, reports)
		}
	}
}

func TestSalvageRefusesUnsuitableFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := filepath.Join(dir, "a.db")
	s := openQuick(t, db, nil)
	story(t, s, 20, 2)
	to, other := filepath.Join(dir, "to.db"), filepath.Join(dir, "other")
	if err := os.WriteFile(other, bytes.Repeat([]byte("text\n"), 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	expect := func(path, to string, want error) {
		t.Helper()
		if done, err := Salvage(t.Context(), path, to, nil); !errors.Is(err, want) || done != (Salvaged{}) {
			t.Errorf("%s to %s: %+v, %v, want %v", path, to, done, err, want)
		}
	}
	expect(db, to, store.ErrLocked)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	expect(db, other, fs.ErrExist)
	expect(db, db, fs.ErrExist)
	expect(other, to, store.ErrCorrupt)
	expect(filepath.Join(dir, "none"), to, fs.ErrNotExist)
	expect(db, filepath.Join(dir, "none", "to.db"), fs.ErrNotExist)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Salvage(ctx, db, to, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that ended: %v", err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 2 {
		t.Errorf("the directory holds %v, %v", names, err)
	}
}
