package pagetest

import (
	"bufio"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query/httpapi"
)

// shellPipeline is a pipeline of two commands, the first of which needs a file.
const shellPipeline = `{"id":"p","name":"Deploy","start_event":{"id":"s","type":"EmptyStartEvent","outgoing":"f1"},
"end_event":{"id":"e","type":"EmptyEndEvent","incoming":"f3"},"gateways":{},"activities":{
"a":{"id":"a","name":"needs","type":"ServiceActivity","incoming":"f1","outgoing":"f2","component":{"code":"shell","inputs":{"command":{"value":"test -e %[1]s/%[2]s"}}}},
"b":{"id":"b","name":"waits","type":"ServiceActivity","incoming":"f2","outgoing":"f3","component":{"code":"shell","inputs":{"command":{"value":"while [ -d %[1]s ]; do sleep 0.05; done"}}}}},
"flows":{"f1":{"id":"f1","source":"s","target":"a"},"f2":{"id":"f2","source":"a","target":"b"},"f3":{"id":"f3","source":"b","target":"e"}}}`

// runPipeline runs shellPipeline in the example runner, which every caller may
// operate, and opens its page.
func runPipeline(t *testing.T, dir, needs string) *tab {
	t.Helper()
	program := filepath.Join(t.TempDir(), "runner")
	build := exec.Command("go", "build", "-o", program, "./examples/runner")
	build.Dir = "../../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file := filepath.Join(t.TempDir(), "p.json")
	if err := os.WriteFile(file, fmt.Appendf(nil, shellPipeline, dir, needs), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-http", "127.0.0.1:0", "-no-auth", "-operate", "-grace", "1ms", "-db", filepath.Join(t.TempDir(), "p.db"), "-task", "t1", file)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if _, at, ok := strings.Cut(lines.Text(), "serving "); ok {
			u, err := url.Parse(at)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				for lines.Scan() { // so that it can write
				}
			}()
			return open(&service{T: t, addr: u.Host}, "#"+u.Fragment)
		}
	}
	t.Fatal("it does not say where it serves")
	return nil
}

// press presses the button of an action, twice if it asks for confirmation.
func (p *tab) press(box, action string) {
	p.Helper()
	button := fmt.Sprintf("document.querySelector('#%s [data-action=%s]:not(:disabled)')", box, action)
	p.until("%s", button)
	p.eval(button+".click(), 0", nil)
	if action != "pause" && action != "resume" {
		p.eval(button+".click(), 0", nil)
	}
}

func TestARealPipelineIsOperatedFromThePage(t *testing.T) {
	t.Parallel()
	for _, decide := range []string{"retry", "skip"} {
		t.Run(decide, func(t *testing.T) {
			dir := t.TempDir()
			p := runPipeline(t, dir, "ok")
			p.until("%s === 'FAILED'", rowState("needs"))
			p.eval(row("needs")+".click()", nil)
			p.shot("runner-" + decide)
			if err := os.WriteFile(filepath.Join(dir, "ok"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			p.press("d-actions", decide)
			p.until("%s === 'FINISHED'", rowState("needs"))
			p.until("%s === 'RUNNING'", rowState("waits"))
			p.eval(row("waits")+".click()", nil)
			p.press("d-actions", "pause")
			p.until("%s === 'SUSPENDED'", rowState("waits"))
			p.run(chromedp.EmulateViewport(390, 800, chromedp.EmulateMobile))
			p.until("document.documentElement.scrollWidth <= 390")
			p.shot("runner-phone-" + decide)
			p.press("t-actions", "revoke")
			p.until("$('t-state').textContent === 'REVOKED' && %s === 'REVOKED'", rowState("waits"))
		})
	}
}

// runner records requested operations.
type runner struct{ e *engine.Engine }

func (r *runner) Operate(ctx context.Context, op httpapi.Operation) error {
	node := op.Node
	if node == "" {
		node = "root"
	}
	by := engine.Actor(op.Actor)
	do := map[httpapi.Action][]engine.Op{
		httpapi.Pause: {engine.Suspend(node, by)}, httpapi.Resume: {engine.Resume(node, by)}, httpapi.Revoke: {engine.Revoke(node, by)},
		httpapi.Retry: {engine.Retry(node, by), engine.Start(node, by)}, httpapi.Skip: {engine.Skip(node, by)},
		httpapi.ForceFail: {engine.Fail(node, "forced", by)},
	}
	_, err := r.e.Record(ctx, do[op.Action]...)
	return err
}

// operable is a service whose tasks every caller may operate.
func operable(t *testing.T) *service {
	t.Helper()
	r := new(runner)
	s := newService(t, &httpapi.Options{
		Authenticator: httpapi.NoAuth{}, Operator: r,
		AuthorizeOperation: func(context.Context, httpapi.Identity, httpapi.Operation) bool { return true },
	})
	r.e = s.engine
	return s
}

// While the server is away, one message says so and the clocks stand. Once the page is
// live again, no message is left.
func TestAnOutageIsToldOnceAndForgotten(t *testing.T) {
	t.Parallel()
	s := operable(t)
	recordDeploy(s)
	p := open(s, deployPath)
	p.until("$('mark').textContent === 'live' && %s === 'RUNNING'", rowState("migrate database"))
	const pause = "document.querySelector('#t-actions [data-action=pause]:not(:disabled)')"
	// The page may not have noticed yet that the server is away.
	p.eval("operate = async () => { throw new TypeError('Failed to fetch'); }, "+pause+".click(), 0", nil)
	p.until("$('problem').textContent === 'The server does not answer.' && " + pause)
	s.stop()
	p.until("!$('outage').hidden && $('problem').hidden && !$('outage').textContent.includes('fetch') && $('mark').textContent === 'reconnecting'")
	p.eval(pause+".click(), 0", nil)
	p.until("%s && $('problem').hidden", pause)
	p.shot("outage")
	const took = "?.querySelector('.duration').textContent"
	var first, second string
	p.eval("taskView.draw(), "+row("migrate database")+took, &first)
	p.eval("clockAhead += 3600000, taskView.draw(), new Promise((done) => setTimeout(() => done("+row("migrate database")+took+"), 100))", nil)
	p.until("$('t-where').textContent.includes('running for 5m')")
	p.eval(row("migrate database")+took, &second)
	if first != second {
		t.Errorf("a duration grows from %q to %q while the server is away", first, second)
	}
	s.start()
	p.eval("$('outage-retry').click(), 0", nil) // it may be over already
	p.until("$('outage').hidden && $('problem').hidden && $('mark').textContent === 'live' && %s !== %s", row("migrate database")+took, quote(first))
}

func TestATaskIsOperatedFromThePage(t *testing.T) {
	t.Parallel()
	s := operable(t)
	recordDeploy(s)
	s.record(engine.Fail("migrate", "boom"))
	p := open(s, deployPath)
	press := func(box, action string) {
		t.Helper()
		p.until("document.querySelector('#%s [data-action=%s]:not(:disabled)')", box, action)
		p.eval(fmt.Sprintf("document.querySelector('#%s [data-action=%s]').click(), 0", box, action), nil)
	}
	p.until("%s === 'FAILED'", rowState("migrate database"))
	p.eval(row("migrate database")+".click()", nil)
	p.shot("actions")
	press("d-actions", "retry")
	p.until("document.querySelector('#d-actions [data-action=retry]').textContent === 'Really retry?'")
	press("d-actions", "retry")
	p.until("%s === 'RUNNING'", rowState("migrate database"))
	press("d-actions", "forced_fail")
	p.until("document.querySelector('#d-actions [data-action=forced_fail]').textContent === 'Really make it fail?'")
	press("d-actions", "forced_fail")
	p.until("%s === 'FAILED'", rowState("migrate database"))
	press("d-actions", "skip")
	press("d-actions", "skip")
	p.until("%s === 'FINISHED' && $('d-actions').children.length === 0", rowState("migrate database"))
	press("t-actions", "pause")
	p.until("$('t-state').textContent === 'SUSPENDED'")
	press("t-actions", "resume")
	p.until("document.querySelector('#t-actions [data-action=pause]')")
	press("t-actions", "revoke")
	press("t-actions", "revoke")
	p.until("$('t-state').textContent === 'REVOKED' && $('t-actions').children.length === 0")
}
