package statusctl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// damagedStore is a store in which one more task has an unreadable header, and
// one an unreadable node.
type damagedStore struct {
	store.Store
	node state.Key
}

func (s *damagedStore) List(ctx context.Context, q store.ListQuery) (store.ListPage, error) {
	page, err := s.Store.List(ctx, q)
	if q.Cursor == "" {
		page.Unreadable = append(page.Unreadable, store.Unreadable{Number: 7, Err: fmt.Errorf("%w: it is damaged", store.ErrCorrupt)})
	}
	return page, err
}

func (s *damagedStore) Load(ctx context.Context, ref store.Ref) (store.Snapshot, error) {
	if ref.Key == s.node {
		return store.Snapshot{}, fmt.Errorf("%w: its node is damaged", store.ErrCorrupt)
	}
	return s.Store.Load(ctx, ref)
}

// partedStore is a store of which a part cannot be reached.
type partedStore struct{ store.Store }

func (s *partedStore) List(ctx context.Context, q store.ListQuery) (store.ListPage, error) {
	page, err := s.Store.List(ctx, q)
	page.Missing = []error{fmt.Errorf("%w: member b", store.ErrUnavailable)}
	return page, err
}

func TestListsAndExportsNameWhatIsMissing(t *testing.T) {
	s := &partedStore{recorded(t)}
	var out strings.Builder
	l := &lister{tool: &tool{stdout: &out, zone: time.UTC, now: time.Now}, query: store.ListQuery{Limit: 50}}
	err := l.list(t.Context(), newReader(s, time.UTC), time.Now())
	if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "member b") || strings.Count(out.String(), "\n") < 4 {
		t.Errorf("list: %v\n%s", err, out.String())
	}
	var export bytes.Buffer
	err = writeExport(t.Context(), newReader(s, time.UTC), &export)
	if !errors.Is(err, store.ErrUnavailable) || strings.Contains(export.String(), `"end"`) {
		t.Errorf("export: %v\n%s", err, export.String())
	}
}

func TestAnExportSkipsUnreadableTasks(t *testing.T) {
	whole := recorded(t)
	keys, err := allTasks(t.Context(), whole)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = writeExport(t.Context(), newReader(&damagedStore{whole, keys[1]}, time.UTC), &out)
	var passed *store.UnreadableError
	if !errors.As(err, &passed) || len(passed.Tasks) != 2 || !errors.Is(err, store.ErrCorrupt) {
		t.Fatalf("error %v", err)
	}
	got, err := allTasks(t.Context(), load(t, out.String()))
	if err != nil || len(got) != len(keys)-1 {
		t.Errorf("%d tasks are in the export, want %d: %v", len(got), len(keys)-1, err)
	}
}

func TestFiguresAndListsCountUnreadableTasks(t *testing.T) {
	s := &damagedStore{Store: recorded(t)}
	var out strings.Builder
	tool := &tool{stdout: &out, zone: time.UTC, now: time.Now}
	if err := showStats(t.Context(), tool, s); err != nil || !strings.Contains(out.String(), "unreadable") {
		t.Errorf("stats: %v\n%s", err, out.String())
	}
	out.Reset()
	l := &lister{tool: tool, query: store.ListQuery{Limit: 50}}
	err := l.list(t.Context(), newReader(s, time.UTC), time.Now())
	if !errors.Is(err, store.ErrCorrupt) || strings.Count(out.String(), "\n") < 4 {
		t.Errorf("list: %v\n%s", err, out.String())
	}
}
