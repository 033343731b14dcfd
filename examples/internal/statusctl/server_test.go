package statusctl

import (
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/examples/internal/database"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/wire"
)

// fakeServer has one database, at fake://h/d.
type fakeServer struct {
	store  store.Store // nil before it is made
	opened []database.Options
	tells  bool
}

// handle is one opening of the database.
type handle struct{ store.Store }

func (h *handle) Close() error { return nil } // others have it open too

// notifier is a handle that always reports a change.
type notifier struct{ handle }

func (n *notifier) Changed() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func (f *fakeServer) open(_ context.Context, url string, o database.Options) (store.Store, error) {
	f.opened = append(f.opened, o)
	if url != "fake://h/d" || f.store == nil && !o.Create {
		return nil, fs.ErrNotExist
	}
	if f.store == nil {
		f.store = store.NewMemory()
	}
	if f.tells {
		return &notifier{handle{f.store}}, nil
	}
	return &handle{f.store}, nil
}

// call runs the tool with the server.
func (f *fakeServer) call(ctx context.Context, stdin string, args ...string) outcome {
	var stdout, stderr strings.Builder
	t := &tool{stdin: strings.NewReader(stdin), stdout: &stdout, stderr: &stderr, servers: f.servers()}
	return outcome{t.call(ctx, args), stdout.String(), stderr.String()}
}

func (f *fakeServer) servers() *database.Servers {
	return &database.Servers{Usage: "URLs begin with fake://", Openers: map[string]database.Opener{"fake": f.open}}
}

func TestCommandsWorkOnADatabaseOnAServer(t *testing.T) {
	f, file := new(fakeServer), told(t)
	for _, step := range []struct {
		stdin  string
		args   string
		code   int
		stdout string // a part of it
	}{
		{"", "list", exitFailed, ""}, // it does not exist, and reading does not make it
		{"", "export", exitFailed, ""},
		{succeed(t, "", "export", "-db", file), "import", exitOK, "imported 3 tasks with 35 transitions"},
		{`{"op":"create","biz":"3","task":"1"}`, "apply", exitOK, `"seq":36`},
		{"", "list", exitOK, "BIZ"},
		{"", "get 3 1", exitOK, `"result": true`},
		{"", "tree 3 1", exitOK, "CREATED"},
		{"", "timeline 3 1", exitOK, ""},
		{"", "watch -after 35", exitOK, "create"},
		{"", "purge -keep 0 -biz 3", exitOK, "removed 0 tasks"},
		{"", "stats", exitOK, "database    fake://h/d\n"},
		{"", "stats -json", exitOK, `{"tasks":4,`},
		{"", "check", exitOK, "fake://h/d is sound\n"},
		{"", "backup x", exitUsage, ""},
		{"", "-h", exitOK, "URLs begin with fake://"},
	} {
		got := f.call(t.Context(), step.stdin, append(strings.Fields(step.args), "-db", "fake://h/d")...)
		if got.code != step.code || !strings.Contains(got.stdout, step.stdout) || (got.stderr != "") != (step.code != exitOK) {
			t.Errorf("%s: exit code %d\n%s%s", step.args, got.code, got.stdout, got.stderr)
		}
	}
	if slices.ContainsFunc(f.opened, func(o database.Options) bool { return o.Run }) {
		t.Error("a tool takes leases")
	}
}

func TestFollowingADatabaseOnAServer(t *testing.T) {
	for _, tells := range []bool{false, true} { // is polled, or notifies
		f := &fakeServer{tells: tells}
		ctx, stop := context.WithCancel(t.Context())
		f.call(ctx, `{"op":"create","biz":"b","task":"0"}`, "apply", "-db", "fake://h/d")
		out, stdout := io.Pipe()
		exit := make(chan int)
		go func() {
			exit <- (&tool{stdout: stdout, stderr: io.Discard, servers: f.servers()}).call(ctx, []string{"watch", "-follow", "-json", "-db", "fake://h/d"})
		}()
		lines := json.NewDecoder(out)
		for seq := range uint64(5) {
			var line wire.Transition
			if err := lines.Decode(&line); err != nil || line.Seq != seq+1 {
				t.Fatalf("line %+v, %v, want %d", line, err, seq+1)
			}
			f.call(ctx, `{"op":"create","biz":"b","task":"`+string(rune('1'+seq))+`"}`, "apply", "-db", "fake://h/d")
		}
		stop()
		out.Close()
		if code := <-exit; code != exitOK {
			t.Errorf("exit code %d", code)
		}
	}
}

// purging is a database that is purged during reads: its lists name tasks that are
// deleted before or during their own read.
type purging struct {
	store.Store
	before, within string // task IDs
}

func (p *purging) Load(ctx context.Context, ref store.Ref) (store.Snapshot, error) {
	if ref.Key.Task == p.before {
		return store.Snapshot{}, state.ErrNotFound
	}
	return p.Store.Load(ctx, ref)
}

func (p *purging) Transitions(ctx context.Context, key state.Key, after uint64, limit int) ([]*state.Transition, error) {
	if key.Task == p.within {
		return nil, state.ErrNotFound
	}
	return p.Store.Transitions(ctx, key, after, limit)
}

func TestAnExportLeavesOutTasksPurgedDuringIt(t *testing.T) {
	f := new(fakeServer)
	f.call(t.Context(), creates(4), "apply", "-db", "fake://h/d")
	f.store = &purging{f.store, "1", "2"}
	got := f.call(t.Context(), "", "export", "-db", "fake://h/d")
	if got.code != exitOK {
		t.Fatalf("exit code %d: %s", got.code, got.stderr)
	}
	to := &fakeServer{}
	if got := to.call(t.Context(), got.stdout, "import", "-db", "fake://h/d"); got.stdout != "imported 2 tasks with 2 transitions\n" {
		t.Errorf("import: %s%s", got.stdout, got.stderr)
	}
}
