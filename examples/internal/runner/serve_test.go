//go:build unix

package runner

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/query/httpapi/client"
	"github.com/pipestatus/pipestatus/state"
)

var servingAt = regexp.MustCompile(`serving (http://127\.0\.0\.1:\d+/)#/task\?bk_biz_id=1&task_id=t1\n`)

// servedRun starts the program with a gate in its pipeline, serving, and waits
// for both.
func servedRun(t *testing.T, g gate, args ...string) (url string, signals chan os.Signal, results chan outcome) {
	t.Helper()
	tree := newTree("p")
	activity(tree, "a", g.command())
	chain(tree, "p_start", "a", "p_end")
	return serveTree(t, tree, g, args...)
}

// serveTree starts the program with a tree, serving, and waits for the gate in
// it.
func serveTree(t *testing.T, tree object, g gate, args ...string) (url string, signals chan os.Signal, results chan outcome) {
	t.Helper()
	r := remotely(t, tree, "", args...)
	g.await(t)
	return r.url, r.signals, r.results
}

func request(t *testing.T, url string) (*http.Response, *bufio.Reader) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp, bufio.NewReader(resp.Body)
}

func TestARunningPipelineIsServed(t *testing.T) {
	g := newGate(t)
	url, signals, results := servedRun(t, g, "-app", "web:secret", "-token", "t=ann")
	call := url + strings.TrimPrefix(httpapi.DefaultPrefix, "/") + "/get_task_status/?bk_biz_id=1&task_id=t1&bk_app_code=web&bk_token=t&bk_app_secret="
	if resp, _ := request(t, call+"wrong"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a wrong secret gets %s", resp.Status)
	}
	resp, body := request(t, call+"secret")
	data, err := io.ReadAll(body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
	want := []string{pipelineName + " RUNNING", "  start FINISHED", "  a RUNNING"}
	if got := shape(parseResponse(t, data)); !slices.Equal(got, want) {
		t.Errorf("it shows %q, want %q", got, want)
	}
	if resp, body := request(t, url); resp.StatusCode != http.StatusOK {
		t.Errorf("the page: %s", resp.Status)
	} else if page, err := io.ReadAll(body); err != nil || !strings.Contains(string(page), "<html") {
		t.Errorf("the page: %v, %.100s", err, page)
	}
	g.open(t)
	eventually(t, "the finished pipeline is still served", func() bool {
		_, body := request(t, call+"secret")
		data, err := io.ReadAll(body)
		return err == nil && parseResponse(t, data).State == state.Finished
	})
	signals <- os.Interrupt
	if o := ended(t, results); o.code != exitFinished || !strings.Contains(o.stderr, "still serving "+url) {
		t.Errorf("exit code %d", o.code)
	}
	if _, err := http.Get(url); err == nil {
		t.Error("it serves after its end")
	}
}

func TestAPipelineThatRunsIsReadAsAStore(t *testing.T) {
	g := newGate(t)
	url, signals, results := servedRun(t, g, "-app", "web:secret", "-trusted-app", "web")
	who := httpapi.Credentials{AppCode: "web", AppSecret: "secret", Username: "ann"}
	c, err := client.New(url, &client.Options{Credentials: who})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	snap, err := query.New(c, nil).Snapshot(t.Context(), "1", "t1")
	if err != nil || snap.Tree.State(0) != state.Running {
		t.Fatalf("%+v, %v", snap, err)
	}
	g.open(t)
	for event, err := range c.Watch(t.Context(), snap.Position) {
		if err != nil {
			t.Fatal(err)
		}
		if change := event.Changes[0]; change.Index == 0 && change.State == state.Finished {
			break
		}
	}
	signals <- os.Interrupt
	if o := ended(t, results); o.code != exitFinished {
		t.Errorf("exit code %d", o.code)
	}
}

// statusAt is the status of the task that a server without credentials answers.
func statusAt(t *testing.T, url string) *query.Status {
	t.Helper()
	_, body := request(t, url+strings.TrimPrefix(httpapi.DefaultPrefix, "/")+"/get_task_status/?bk_biz_id=1&task_id=t1")
	data, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return parseResponse(t, data)
}

// lastOp is the op of the last event of a stream, which must end by itself.
func lastOp(t *testing.T, events *bufio.Reader) (op string) {
	t.Helper()
	for {
		line, err := events.ReadString('\n')
		if err == io.EOF {
			return op
		}
		if err != nil {
			t.Fatal(err)
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			var event struct{ Op string }
			if err := json.Unmarshal([]byte(data), &event); err != nil {
				t.Fatal(err)
			}
			op = event.Op
		}
	}
}

func TestStreamsEndWithThePipelineAndReportItsEnd(t *testing.T) {
	for _, test := range []struct {
		name, op string
		signal   os.Signal
		code     int
	}{
		{"finished", "finish", nil, exitFinished},
		{"suspended", "finish", syscall.SIGTERM, exitSuspended}, // of the command
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGate(t)
			url, signals, results := servedRun(t, g, "-no-auth")
			resp, events := request(t, url+"api/events?bk_biz_id=1&task_id=t1")
			if resp.StatusCode != http.StatusOK {
				t.Fatal(resp.Status)
			}
			if test.signal != nil {
				signals <- test.signal
			}
			g.open(t)
			if test.signal == nil { // it serves until told to stop
				eventually(t, "it has ended", func() bool { return statusAt(t, url).State == state.Finished })
				signals <- os.Interrupt
			}
			if op := lastOp(t, events); op != test.op {
				t.Errorf("the stream ends with %q, want %q", op, test.op)
			}
			if o := ended(t, results); o.code != test.code {
				t.Errorf("exit code %d, want %d", o.code, test.code)
			}
		})
	}
}

func TestARunnerThatCannotListenRunsNothing(t *testing.T) {
	g := newGate(t)
	url, signals, results := servedRun(t, g, "-no-auth")
	addr := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/")
	tree := newTree("p")
	activity(tree, "a", "true")
	chain(tree, "p_start", "a", "p_end")
	if o := callRunner(t, "-db", filepath.Join(t.TempDir(), "p.db"), "-http", addr, "-no-auth", write(t, tree)); o.code != exitFailed || !strings.Contains(o.stderr, addr) || o.status != nil {
		t.Errorf("exit code %d", o.code)
	}
	g.open(t)
	eventually(t, "it has ended", func() bool { return statusAt(t, url).State == state.Finished })
	signals <- os.Interrupt
	ended(t, results)
}

// The same tree by both conventions: a branch has failed, the other one runs.
func TestFailedFirstShowsAFailureWhileOthersRun(t *testing.T) {
	for shown, args := range map[string][]string{"RUNNING": {"-no-auth"}, "FAILED": {"-no-auth", "-failed-first"}} {
		t.Run(shown, func(t *testing.T) {
			g := newGate(t)
			tree := parallelTree("ParallelGateway")
			setCommand(tree, "a", "exit 2")
			setCommand(tree, "b", g.command())
			url, signals, results := serveTree(t, tree, g, args...)
			eventually(t, "a has failed", func() bool { return named(t, statusAt(t, url), "a").State == state.Failed })
			if got := statusAt(t, url).State.String(); got != shown {
				t.Errorf("the pipeline shows %s", got)
			}
			g.open(t)
			eventually(t, "b has finished", func() bool { return named(t, statusAt(t, url), "b").State == state.Finished })
			signals <- os.Interrupt
			if o := ended(t, results); o.code != exitFailed || o.status.State != state.Failed {
				t.Errorf("exit code %d", o.code)
			}
		})
	}
}
