package statusctl

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestABackupAnswersLikeItsOriginal(t *testing.T) {
	db, tasks := scenarios(t)
	want := answers(t, db, tasks)
	for _, flags := range [][]string{nil, {"-compact"}} {
		second := filepath.Join(t.TempDir(), "copy.db")
		out := succeed(t, "", append([]string{"backup", second, "-db", db}, flags...)...)
		if !strings.HasPrefix(out, "copied "+db+" to "+second+": ") || !strings.Contains(out, "up to transition ") {
			t.Errorf("%q prints %q", flags, out)
		}
		if diff := cmp.Diff(want, answers(t, second, tasks)); diff != "" {
			t.Errorf("%q (-original +copy):\n%s", flags, diff)
		}
		succeed(t, "", "check", "-db", second)
	}
}

func TestABackupOverwritesNothing(t *testing.T) {
	db := told(t)
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{other, db} {
		before := read(t, target)
		if got := call(t.Context(), "", "backup", target, "-db", db); got.code != exitFailed || !strings.Contains(got.stderr, target+" exists and is left") {
			t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
		}
		if got := call(t.Context(), "", "backup", target, "-db", db, "-json"); got.code != exitFailed || !strings.HasPrefix(got.stdout, `{"ok":false,"code":"exists"`) {
			t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
		}
		if target == other && read(t, target) != before {
			t.Errorf("%s was altered", target)
		}
	}
	succeed(t, "", "check", "-db", db)
}

func TestCompactReleasesTheRoomOfPurgedTasks(t *testing.T) {
	db := filepath.Join(t.TempDir(), "a.db")
	var in bytes.Buffer
	for i := range 400 {
		id := "p" + string(rune('A'+i%26)) + strings.Repeat("x", i/26)
		for _, op := range []map[string]any{
			{"op": "create", "biz": "b", "task": id, "id": id, "name": strings.Repeat("name ", 100)},
			{"op": "revoke", "node": id},
		} {
			mustWrite(t, &in, op)
		}
	}
	succeed(t, in.String(), "apply", "-db", db)
	succeed(t, "", "purge", "-db", db, "-keep", "2")
	var done compacted
	mustRead(t, []byte(succeed(t, "", "compact", "-db", db, "-json")), &done)
	info, err := os.Stat(db)
	if err != nil || !done.OK || done.After >= done.Before || done.After != info.Size() {
		t.Errorf("%+v, the file has %d bytes, %v", done, info.Size(), err)
	}
	var f figures
	mustRead(t, []byte(succeed(t, "", "stats", "-db", db, "-json")), &f)
	if f.Tasks != 2 || f.Shown["REVOKED"] != 2 || f.Unfinished != 0 || *f.Bytes != info.Size() || *f.Pending != 0 {
		t.Errorf("figures %+v", f)
	}
	if out := succeed(t, "", "compact", "-db", db); !strings.HasPrefix(out, "compacted "+db+": ") {
		t.Errorf("it prints %q", out)
	}
	succeed(t, "", "check", "-db", db)
	left, err := os.ReadDir(filepath.Dir(db))
	if err != nil || len(left) != 1 {
		t.Errorf("next to the database: %v, %v", left, err)
	}
}

func TestFiguresOfAFileMatchItsTasks(t *testing.T) {
	db := told(t)
	var got map[string]any
	if err := json.Unmarshal([]byte(noon(t, "-db", db, "stats", "-json")), &got); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(db)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"bytes": float64(info.Size()), "tasks": 3.0, "nodes": 12.0, "feed_first": 1.0, "to_write_back": 0.0,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}

func TestSizesInUnits(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 5 << 20: "5.0 MiB", 3 << 30: "3.0 GiB", 2048 << 40: "2048.0 TiB",
	} {
		if got := byteCount(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
