package statusctl

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/store/wire"
)

// told returns a file with a story of three tasks.
func told(t *testing.T) (db string) {
	t.Helper()
	db = filepath.Join(t.TempDir(), "a.db")
	answers := succeed(t, read(t, "testdata/story.jsonl"), "apply", "-db", db)
	if strings.Contains(answers, `"ok":false`) {
		t.Fatal(answers)
	}
	return db
}

// noon calls the tool at a fixed time in Shanghai.
func noon(t *testing.T, args ...string) string {
	t.Helper()
	zone, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	tool := &tool{stdin: strings.NewReader(""), stdout: &out, stderr: &out, zone: zone, db: "pipestatus.db"}
	tool.now = func() time.Time { return time.Unix(1524731121, 0) }
	if err := tool.run(t.Context(), args); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

var recordedAt = regexp.MustCompile(`recorded \d{4}-[\d :+-]+\d`)

var inUse = regexp.MustCompile(`[\d.]+ KiB are in use`)

func TestOutputForPeopleAndPrograms(t *testing.T) {
	db := told(t)
	for name, args := range map[string][]string{
		"usage":               {"-h"},
		"usage-list":          {"list", "-h"},
		"get":                 {"get", "2", "10"},
		"get-node":            {"get", "2", "sub2"},
		"get-json":            {"get", "-json", "2", "9"},
		"list":                {"list"},
		"list-json":           {"list", "-json"},
		"list-business":       {"list", "-biz", "7"},
		"list-unfinished":     {"list", "-unfinished"},
		"list-state":          {"list", "-state", "finished,created"},
		"list-nothing":        {"list", "-biz", "8"},
		"list-pattern":        {"list", "-name", "nightly*"},
		"list-started":        {"list", "-sort", "started"},
		"list-duration":       {"list", "-sort", "duration", "-limit", "2"},
		"list-text":           {"list", "-text", "NIGHTLY"},
		"list-part-of-name":   {"list", "-name", "nightly"},
		"tree":                {"tree", "2", "10"},
		"tree-node":           {"tree", "2", "sub2"},
		"graph":               {"graph", "2", "10"},
		"why":                 {"why", "2", "10"},
		"why-json":            {"why", "2", "10", "-json"},
		"why-nothing":         {"why", "7", "weekly"},
		"top":                 {"top"},
		"top-ids":             {"top", "-ids", "-limit", "1"},
		"top-json":            {"top", "-json"},
		"diff":                {"diff", "2", "10", "9"},
		"diff-same":           {"diff", "2", "10", "10"},
		"diff-json":           {"diff", "2", "10", "9", "-json"},
		"usage-diff":          {"diff", "-h"},
		"tree-failed-first":   {"tree", "-failed-first", "2", "10"},
		"tree-json":           {"tree", "-json", "2", "10"},
		"tree-at":             {"tree", "2", "10", "-at", "2018-04-26 16:09:40"},
		"tree-mermaid":        {"tree", "-mermaid", "2", "10"},
		"tree-mermaid-at":     {"tree", "-mermaid", "2", "sub", "-at", "2018-04-26 16:09:40"},
		"get-at":              {"get", "2", "sub", "-at", "2018-04-26 16:08:40", "-json"},
		"timeline":            {"timeline", "2", "10"},
		"timeline-node":       {"timeline", "2", "sub2", "-tz", "UTC"},
		"timeline-json":       {"timeline", "-json", "2", "pack"},
		"timeline-svg":        {"timeline", "-svg", "2", "sub"},
		"timeline-nothing":    {"timeline", "7", "weekly"},
		"stats":               {"stats"},
		"usage-salvage":       {"salvage", "-h"},
		"usage-serve":         {"serve", "-h"},
		"usage-backup":        {"backup", "-h"},
		"history":             {"history", "pack"},
		"history-errors":      {"history", "e8b128dff46637368b9b1bd921abc14e"},
		"history-of-the-root": {"history", "2", "10"},
		"history-json":        {"history", "pack", "-json"},
		"history-of-one":      {"history", "5a1622f9f43e3429acb604e18dbd100a"},
		"watch":               {"watch"},
		"watch-after":         {"watch", "-after", "28"},
		"watch-ids":           {"watch", "-after", "28", "-ids"},
		"watch-of-a-task":     {"watch", "-biz", "2", "-task", "9"},
		"watch-of-a-time":     {"watch", "-since", "2018-04-26 16:09:20", "-until", "16:10"},
		"usage-watch":         {"watch", "-h"},
		"watch-json":          {"watch", "-after", "33", "-json"},
		"list-in-another-tz":  {"list", "-tz", "America/New_York"},
		"list-since-far-away": {"list", "-since", "2999-01-01"},
	} {
		t.Run(name, func(t *testing.T) {
			got := noon(t, append([]string{"-db", db}, args...)...)
			got = inUse.ReplaceAllString(got, "SIZE are in use") // depends on the page size
			got = recordedAt.ReplaceAllString(got, "recorded NOW")
			got = recordedNow.ReplaceAllString(got, `"$1":"NOW"`)
			golden(t, "show/"+name+".golden", strings.ReplaceAll(got, db, "a.db"))
			if strings.ContainsRune(got, 0x1b) {
				t.Error("output has escape sequences")
			}
		})
	}
}

func TestAPipeGetsTasksOnly(t *testing.T) {
	db := told(t)
	for line, want := range map[string]string{
		"list -since 2999-01-01": "no tasks\n", "list -limit 1": "more: -cursor ", "list -limit 1 -sort started": "2 more tasks: -limit\n",
	} {
		got := call(t.Context(), "", append(strings.Fields(line), "-db", db)...)
		if lines := strings.Count(got.stdout, "\n"); !strings.HasPrefix(got.stderr, want) || lines != 0 && lines != 2 {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

func TestTheTimesOfAListAreThoseOfTheStart(t *testing.T) {
	db := told(t) // recorded now, started in 2018
	for line, want := range map[string]int{
		"-since 2018-04-25 -until 2018-04-27": 2, "-since 2020-01-01": 0, "-since 2020-01-01 -time recorded": 3,
		"-since 2018-04-26 -until 2018-04-27 -time finished": 1,
	} {
		got := call(t.Context(), "", append(strings.Fields("list -json -tz UTC "+line), "-db", db)...)
		if tasks := strings.Count(got.stdout, "\n"); tasks != want {
			t.Errorf("%s: %d tasks, want %d", line, tasks, want)
		}
	}
}

func TestAListContinuesAtItsCursor(t *testing.T) {
	db := told(t)
	whole := noon(t, "-db", db, "list")
	rows := strings.SplitAfter(whole, "\n")[1:4]
	var got []string
	for cursor := ""; ; {
		page := noon(t, "-db", db, "list", "-limit", "1", "-cursor", cursor)
		lines := strings.SplitAfter(page, "\n")
		if page == "no more tasks\n" {
			break
		}
		got = append(got, strings.Fields(lines[1])[1])
		more := regexp.MustCompile(`(?m)^more: -cursor (.+)$`).FindStringSubmatch(page)
		if more == nil {
			break
		}
		cursor = more[1]
	}
	if want := []string{strings.Fields(rows[0])[1], strings.Fields(rows[1])[1], strings.Fields(rows[2])[1]}; strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("by pages %q, at once %q", got, want)
	}
}

func TestWatchFollowsOtherProcesses(t *testing.T) {
	db := filepath.Join(t.TempDir(), "a.db")
	succeed(t, creates(1), "apply", "-db", db)
	ctx, interrupt := context.WithCancel(t.Context())
	out, stdout := io.Pipe()
	exit := make(chan int)
	go func() {
		exit <- (&tool{stdout: stdout, stderr: io.Discard}).call(ctx, []string{"watch", "-db", db, "-follow", "-json"})
		stdout.Close()
	}()
	shown := json.NewDecoder(out)
	for seq := uint64(1); seq <= 3; seq++ {
		var tr wire.Transition
		if err := shown.Decode(&tr); err != nil || tr.Seq != seq {
			t.Fatalf("transition %d: %+v, %v", seq, tr, err)
		}
		line := fmt.Sprintf(`{"op":"create","biz":"b","task":"more %d"}`, seq)
		succeed(t, line, "apply", "-db", db)
	}
	interrupt()
	go func() { _, _ = io.Copy(io.Discard, out) }()
	if code := <-exit; code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestFlagsAcceptTimesInSeveralForms(t *testing.T) {
	zone := time.FixedZone("", 8*3600)
	now := time.Unix(1524730114, 0)
	for text, want := range map[string]string{
		"":                          "",
		"2018-04-26T16:08:34+08:00": "2018-04-26T08:08:34Z",
		"2018-04-26 16:08:34 +0800": "2018-04-26T08:08:34Z",
		"2018-04-26 16:08:34":       "2018-04-26T08:08:34Z",
		"2018-04-26 16:08":          "2018-04-26T08:08:00Z",
		"2018-04-26":                "2018-04-25T16:00:00Z",
		"36h":                       "2018-04-24T20:08:34Z",
		"30d":                       "2018-03-27T08:08:34Z",
	} {
		if got, err := parseWhen(text, zone, now); err != nil || got.String() != want {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
	if _, err := parseWhen("whenever", zone, now); err == nil {
		t.Error("a word is a time")
	}
}

func TestANodeThatNeverStartedTookNoTime(t *testing.T) {
	if got := took(time.Time{}, time.Unix(5, 0), time.Time{}, time.Unix(9, 0)); got != "" {
		t.Errorf("a node that never started took %s", got)
	}
}

func TestTablesAlignByWidthAndPaintStates(t *testing.T) {
	var rows table
	rows.add("STATE", "NAME", "x")
	rows.add("FAILED", "编译\x1b[2J\a", "y")
	rows.add("CREATED", "FAILED", "FAILED")
	var plain, painted strings.Builder
	if err := rows.write(&plain, false); err != nil {
		t.Fatal(err)
	}
	if err := rows.write(&painted, true); err != nil {
		t.Fatal(err)
	}
	want := "STATE    NAME    x\nFAILED   编译\ufffd   y\nCREATED  FAILED  FAILED\n"
	if plain.String() != want {
		t.Errorf("plain:\n%q, want\n%q", plain.String(), want)
	}
	want = strings.NewReplacer("FAILED   编", "\x1b[31mFAILED\x1b[0m   编", "CREATED", "\x1b[2mCREATED\x1b[0m").Replace(want)
	if painted.String() != want {
		t.Errorf("painted:\n%q, want\n%q", painted.String(), want)
	}
}
