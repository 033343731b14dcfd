package statusctl

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/store"
)

var errorText = regexp.MustCompile(`(?m)(^{"ok":false,"code":"\w+",)"error":"([^"\\]|\\.)*"`)

func TestTranscripts(t *testing.T) {
	inputs, err := filepath.Glob("testdata/apply/*.jsonl")
	if err != nil || len(inputs) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, in := range inputs {
		name := strings.TrimSuffix(filepath.Base(in), ".jsonl")
		t.Run(name, func(t *testing.T) {
			for _, db := range []string{":memory:", filepath.Join(t.TempDir(), "a.db")} {
				got := succeed(t, read(t, in), "apply", "-tz", "Asia/Shanghai", "-db", db)
				// The message of an error depends on the store.
				golden(t, "apply/"+name+".golden", errorText.ReplaceAllString(got, `$1"error":"…"`))
			}
		})
	}
}

// begin makes a recorder on a new store.
func begin(t testing.TB, s store.Store) *recorder {
	t.Helper()
	e, err := engine.Open(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &recorder{engine: e, reader: newReader(e, time.UTC)}
}

func creates(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"op":"create","biz":"b","task":"%d","id":"%d"}`+"\n", i, i)
	}
	return b.String()
}

func TestAnAnswerComesBeforeTheNextLineIsSent(t *testing.T) {
	stdin, lines := io.Pipe()
	answers, stdout := io.Pipe()
	exit := make(chan int)
	go func() {
		exit <- (&tool{stdin: stdin, stdout: stdout, stderr: io.Discard}).call(t.Context(), []string{"apply", "-db", filepath.Join(t.TempDir(), "a.db")})
		stdout.Close()
	}()
	in := bufio.NewScanner(answers)
	for i, line := range []string{
		`{"op":"create","biz":"b","task":"t","id":"p"}`, `{"op":"start","node":"p"}`, `nonsense`,
		`{"op":"status","biz":"b","task":"t"}`, `{"op":"history","node":"p"}`,
		`{"op":"batch","ops":[{"op":"suspend","node":"p"},{"op":"resume","node":"p"}]}`,
	} {
		if _, err := io.WriteString(lines, line+"\n"); err != nil {
			t.Fatal(err)
		}
		if !in.Scan() {
			t.Fatalf("no answer to line %d", i)
		}
	}
	lines.Close()
	if code := <-exit; code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// blocked is an output that is not read until it is released.
type blocked struct {
	bytes.Buffer
	release chan struct{}
}

func (b *blocked) Write(p []byte) (int, error) {
	<-b.release
	return b.Buffer.Write(p)
}

func TestAtMost64LinesAreInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		r := begin(t, s)
		out := &blocked{release: make(chan struct{})}
		done := make(chan error)
		go func() { done <- r.apply(t.Context(), strings.NewReader(creates(1000)), out) }()
		synctest.Wait()
		if n := r.engine.Position().Sequence; n != 64 {
			t.Errorf("%d operations are recorded with no answer read", n)
		}
		out.release <- struct{}{} // what was written is read
		synctest.Wait()
		if n, read := int(r.engine.Position().Sequence), strings.Count(out.String(), "\n"); read == 0 || n != read+64 {
			t.Errorf("%d operations are recorded with %d answers read", n, read)
		}
		close(out.release)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := strings.Count(out.String(), `"ok":true`); n != 1000 {
			t.Errorf("%d answers", n)
		}
	})
}

// slow is a store whose commits take a second.
type slow struct{ store.Store }

func (s slow) Commit(ctx context.Context, changes []store.Write) ([]store.Result, error) {
	time.Sleep(time.Second)
	return s.Store.Commit(ctx, changes)
}

func TestQuestionsSeeAllEarlierLinesAndNoLaterOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, slow{store.NewMemory()})
		var out bytes.Buffer
		in := `{"op":"create","biz":"b","task":"t","id":"p"}
			{"op":"create","biz":"b","task":"other","id":"o"}
			{"op":"start","node":"p"}
			{"op":"status","biz":"b","task":"t"}
			{"op":"suspend","node":"p"}
			{"op":"status","biz":"b","task":"t"}
			{"op":"revoke","node":"p"}`
		if err := r.apply(t.Context(), strings.NewReader(in), &out); err != nil {
			t.Fatal(err)
		}
		answers := strings.Split(out.String(), "\n")
		if !strings.Contains(answers[3], `"state":"RUNNING"`) || !strings.Contains(answers[5], `"state":"SUSPENDED"`) {
			t.Errorf("answers\n%s", out.String())
		}
	})
}

func TestLinesInFlightShareCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, slow{store.NewMemory()})
		begun := time.Now()
		if err := r.apply(t.Context(), strings.NewReader(creates(256)), io.Discard); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > 8*time.Second {
			t.Errorf("256 lines took %v with commits of a second", took)
		}
	})
}

// failing is a store whose commits fail after the first ones.
type failing struct {
	store.Store
	after int
	err   error
	once  bool
}

func (f *failing) Commit(ctx context.Context, changes []store.Write) ([]store.Result, error) {
	if f.after--; f.after >= 0 || f.once && f.after < -1 {
		return f.Store.Commit(ctx, changes)
	}
	return nil, f.err
}

func TestOnlyFatalErrorsEndTheInput(t *testing.T) {
	// Questions between the operations make each a separate commit.
	in := strings.ReplaceAll(creates(4), "\n", "\n"+`{"op":"status","biz":"b","task":"0"}`+"\n")
	for _, test := range []struct {
		err   error
		want  []string // codes of the operations' answers
		fatal bool
	}{
		{store.ErrFull, []string{"", "full", "", ""}, false},
		{store.ErrFailed, []string{"", "failed"}, true},
		{store.ErrCorrupt, []string{"", "corrupt"}, true},
		{errors.New("nobody knows this one"), []string{"", "failed"}, true},
	} {
		r := begin(t, &failing{Store: store.NewMemory(), after: 1, err: test.err, once: true})
		var out bytes.Buffer
		if err := r.apply(t.Context(), strings.NewReader(in), &out); errors.Is(err, errAnswered) != test.fatal {
			t.Errorf("%v: apply ends with %v", test.err, err)
		}
		var got []string
		for line := range strings.Lines(out.String()) {
			if strings.HasPrefix(line, `{"ok"`) {
				var a refused
				if err := json.Unmarshal([]byte(line), &a); err != nil {
					t.Fatal(err)
				}
				got = append(got, a.Code)
			}
		}
		if strings.Join(got, ",") != strings.Join(test.want, ",") {
			t.Errorf("%v: answers %q, want %q", test.err, got, test.want)
		}
	}
}

func TestAnInterruptStopsReadingAndAnswersLinesInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, slow{store.NewMemory()})
		ctx, interrupt := context.WithCancel(t.Context())
		stdin, lines := io.Pipe()
		defer lines.Close()
		var out bytes.Buffer
		done := make(chan error)
		go func() { done <- r.apply(ctx, stdin, &out) }()
		if _, err := io.WriteString(lines, creates(3)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second / 2) // the first commit has begun
		interrupt()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if n := strings.Count(out.String(), `{"ok":true,`); n != 3 {
			t.Errorf("answers\n%s", out.String())
		}
	})
}

func TestABrokenOutputEndsApply(t *testing.T) {
	r := begin(t, store.NewMemory())
	reader, stdout := io.Pipe()
	reader.Close()
	if err := r.apply(t.Context(), strings.NewReader(creates(1000)), stdout); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

func TestABrokenInputIsAnError(t *testing.T) {
	broken := errors.New("broken")
	r := begin(t, store.NewMemory())
	var out bytes.Buffer
	stdin, lines := io.Pipe()
	go func() {
		_, _ = io.WriteString(lines, creates(2))
		lines.CloseWithError(broken)
	}()
	if err := r.apply(t.Context(), stdin, &out); !errors.Is(err, broken) {
		t.Error(err)
	}
	if strings.Count(out.String(), `"ok":true`) != 2 {
		t.Errorf("answers\n%s", out.String())
	}
}

func TestAHugeLineIsRefusedAndTheNextIsRead(t *testing.T) {
	huge := `{"op":"fail","node":"a","error":"` + strings.Repeat("x", maxLine) + `"}`
	got := succeed(t, huge+"\n"+creates(1), "apply", "-db", ":memory:")
	want := fmt.Sprintf(`{"ok":false,"code":"invalid_argument","error":"invalid argument: line too long: more than %d bytes"}`, maxLine) +
		"\n" + `{"ok":true,"seq":1,"node":"0","version":""}` + "\n"
	if got != want {
		t.Errorf("answers\n%s", got)
	}
}

func TestAnyInputIsAnsweredLineByLine(t *testing.T) {
	const create = `{"op":"create","biz":"b","task":"t","id":"p"}`
	const start = `{"op":"start","node":"p"}`
	for name, test := range map[string]struct{ in, want string }{
		"nothing":                      {"", ""},
		"blank lines":                  {"\n \n\t\r\n\n" + create + "\n\n" + start + "\n \n", "ok ok"},
		"no newline at the end":        {create + "\n" + start, "ok ok"},
		"carriage returns":             {create + "\r\n\r\n" + start + "\r\n", "ok ok"},
		"a carriage return alone":      {create + "\r" + start, "invalid_argument"},
		"a byte order mark":            {"\ufeff" + create + "\n" + create, "invalid_argument ok"},
		"a byte order mark alone":      {"\ufeff\n" + create, "invalid_argument ok"},
		"NUL bytes":                    {"\x00\n" + create + "\x00\n" + create, "invalid_argument invalid_argument ok"},
		"a form feed":                  {"\f\n" + create, "invalid_argument ok"},
		"UTF-16":                       {"\xff\xfe{\x00\n" + create, "invalid_argument ok"},
		"two objects":                  {create + start + "\n" + create, "invalid_argument ok"},
		"an object over two lines":     {"{\n" + create[1:] + "\n" + create, "invalid_argument invalid_argument ok"},
		"depth":                        {strings.Repeat("[", maxLine) + "\n" + create, "invalid_argument ok"},
		"depth in a field":             {`{"op":"start","node":` + strings.Repeat(`{"a":`, 1<<18) + "\n" + create, "invalid_argument ok"},
		"many fields":                  {"{" + strings.Repeat(`"a":1,`, 1<<19) + `"b":1}` + "\n" + create, "invalid_argument ok"},
		"many names":                   {manyNames() + "\n" + create, "invalid_argument ok"},
		"many operations that are not": {`{"op":"batch","ops":[` + strings.Repeat("1,", 1<<20) + "1]}\n" + create, "invalid_argument ok"},
		"a huge number":                {`{"op":"start","node":"p","at":` + strings.Repeat("9", 1<<20) + "}\n" + create, "invalid_argument ok"},
		"a huge error":                 {create + "\n" + start + "\n" + `{"op":"fail","node":"p","error":"` + strings.Repeat("x", 1<<20) + `"}`, "ok ok ok"},
	} {
		t.Run(name, func(t *testing.T) {
			out := succeed(t, test.in, "apply", "-db", memory)
			var got []string
			for answer := range strings.Lines(out) {
				var a refused
				mustRead(t, []byte(answer), &a)
				if a.OK {
					a.Code = "ok"
				}
				got = append(got, a.Code)
			}
			if codes := strings.Join(got, " "); codes != test.want || len(out) > 4096 {
				t.Errorf("answers %q, want %q: %.1000s", codes, test.want, out)
			}
		})
	}
}

func manyNames() string {
	b := []byte(`{"op":"start"`)
	for i := range 1 << 18 {
		b = fmt.Appendf(b, `,"%d":1`, i)
	}
	return string(append(b, '}'))
}

func TestIDsAndVersionsAreGenerated(t *testing.T) {
	out := succeed(t, `{"op":"create","biz":"b","task":"t"}`, "apply", "-db", ":memory:")
	var root accepted
	if err := json.Unmarshal([]byte(out), &root); err != nil || len(root.Node) != 32 || root.Version != "" {
		t.Fatalf("%s: %v", out, err)
	}
	out = succeed(t, `{"op":"create","biz":"b","task":"t","id":"p"}
		{"op":"declare","parent":"p","kind":"end_event"}`, "apply", "-db", ":memory:")
	var node accepted
	if err := json.Unmarshal([]byte(strings.Split(out, "\n")[1]), &node); err != nil || len(node.Node) != 32 || len(node.Version) != 32 {
		t.Errorf("%s: %v", out, err)
	}
}

func FuzzApply(f *testing.F) {
	transcripts, _ := filepath.Glob("testdata/apply/*.jsonl")
	for _, name := range transcripts {
		f.Add([]byte(read(f, name)))
	}
	f.Add([]byte("{\"op\":\"start\",\"node\":\"\\ud800\\u0061\"}\r\n\r\n[[[[\n\"\\"))
	f.Fuzz(func(t *testing.T, in []byte) {
		lines := 0
		for line := range bytes.SplitSeq(in, []byte("\n")) {
			if len(bytes.Trim(line, " \t\r")) > 0 {
				lines++
			}
		}
		e, err := engine.Open(t.Context(), store.NewMemory(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		r := &recorder{engine: e, reader: newReader(e, time.UTC)}
		var out bytes.Buffer
		if err := r.apply(t.Context(), bytes.NewReader(in), &out); err != nil {
			t.Fatal(err)
		}
		for answer := range bytes.Lines(out.Bytes()) {
			lines--
			var v struct{ OK, Result *bool }
			if err := json.Unmarshal(answer, &v); err != nil || (v.OK == nil) == (v.Result == nil) {
				t.Errorf("answer %s: %v", answer, err)
			}
		}
		if lines != 0 {
			t.Errorf("%d lines have no answer", lines)
		}
	})
}
