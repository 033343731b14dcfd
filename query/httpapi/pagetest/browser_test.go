package pagetest

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/store"
)

var shots = flag.String("shots", "", "directory for pictures of the page")

// patience bounds every wait. No test depends on a duration.
const patience = 30 * time.Second

// service is an engine behind a handler that can be stopped and started again
// at the same address.
type service struct {
	*testing.T
	engine *engine.Engine
	opts   *httpapi.Options
	addr   string
	server *http.Server
}

func newService(t *testing.T, opts *httpapi.Options) *service {
	t.Helper()
	e, err := engine.Open(t.Context(), store.NewMemory(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	if opts == nil {
		opts = &httpapi.Options{Authenticator: httpapi.NoAuth{}}
	}
	opts.Query = &query.Options{Location: time.FixedZone("", 8*3600)}
	s := &service{T: t, engine: e, opts: opts, addr: "127.0.0.1:0"}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *service) start() {
	s.Helper()
	var listener net.Listener
	var err error
	for range 100 {
		if listener, err = net.Listen("tcp", s.addr); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		s.Fatal(err)
	}
	s.addr = listener.Addr().String()
	h := httpapi.New(s.engine, s.opts)
	s.server = &http.Server{Handler: h}
	s.server.RegisterOnShutdown(h.Shutdown)
	go s.server.Serve(listener)
}

// relocate makes the service show its times in another zone.
func (s *service) relocate(zone *time.Location) {
	s.Helper()
	s.stop()
	s.opts.Query = &query.Options{Location: zone}
	s.start()
}

// stop ends the service. Browsers open connections in advance, without a request, for
// which Shutdown would wait five seconds.
func (s *service) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		s.server.Close()
	}
}

// within is the service for a part of the test.
func (s *service) within(t *testing.T) *service {
	part := *s
	part.T = t
	return &part
}

func (s *service) record(ops ...engine.Op) {
	s.Helper()
	if _, err := s.engine.Record(s.Context(), ops...); err != nil {
		s.Fatal(err)
	}
}

// tab is one tab of the browser. Any problem in it fails the test: an
// exception, a violated policy, a request to another server.
type tab struct {
	*testing.T
	ctx  context.Context
	base string

	mu     sync.Mutex
	errors []string
}

// browser is the browser whose tabs the pages of all tests are.
var browser context.Context

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(inBrowser(m.Run))
}

func inBrowser(run func() int) int {
	profile, err := os.MkdirTemp("", "pagetest")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(profile)
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"), chromedp.UserDataDir(profile), chromedp.NoSandbox,
		chromedp.Flag("headless", "new"), chromedp.Flag("disable-component-update", true),
		chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.WindowSize(1280, 800),
		chromedp.WSURLReadTimeout(2*time.Minute),
	)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	defer stop()
	ctx, cancel := chromedp.NewContext(allocator)
	defer cancel()
	if err := chromedp.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	browser = ctx
	// A test mostly waits for the page.
	if err := flag.Set("test.parallel", "4"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := run()
	// Waits until the browser has ended and its profile can be removed.
	_ = chromedp.Cancel(ctx)
	return code
}

func open(s *service, path string) *tab {
	s.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	s.Cleanup(cancel)
	ctx, expire := context.WithTimeout(ctx, 3*time.Minute)
	s.Cleanup(expire)
	p := &tab{T: s.T, ctx: ctx, base: "http://" + s.addr + "/"}
	chromedp.ListenTarget(ctx, p.listen)
	// All tabs count as visible, like those of several windows.
	p.run(network.Enable(), log.Enable(), emulation.SetFocusEmulationEnabled(true), chromedp.Navigate(p.base+path))
	s.Cleanup(p.check)
	return p
}

func (p *tab) listen(event any) {
	var trouble string
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		trouble = e.ExceptionDetails.Error()
	case *log.EventEntryAdded:
		// Some tests stop the server on purpose.
		if e.Entry.Level == log.LevelError && e.Entry.Source != log.SourceNetwork {
			trouble = e.Entry.Text
		}
	case *network.EventRequestWillBeSent:
		if url := e.Request.URL; !strings.HasPrefix(url, p.base) && !strings.HasPrefix(url, "data:") {
			trouble = "request to " + url
		}
	}
	if trouble != "" {
		p.mu.Lock()
		p.errors = append(p.errors, trouble)
		p.mu.Unlock()
	}
}

func (p *tab) check() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.errors {
		p.Errorf("in the page: %s", e)
	}
}

func (p *tab) run(actions ...chromedp.Action) {
	p.Helper()
	if err := chromedp.Run(p.ctx, actions...); err != nil {
		p.Fatal(err)
	}
}

// eval is the value of an expression in the page.
func (p *tab) eval(expression string, into any) {
	p.Helper()
	p.run(chromedp.Evaluate(expression, into))
}

// until waits until an expression in the page is true.
func (p *tab) until(format string, args ...any) {
	p.Helper()
	condition := fmt.Sprintf(format, args...)
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var ok bool
		// While the page is loading, its script has not run.
		p.eval("typeof $ !== 'undefined' && !!("+condition+")", &ok)
		if ok {
			return
		}
		if time.Now().After(deadline) {
			var text string
			p.eval("document.body.innerText", &text)
			p.Fatalf("never true: %s\nthe page shows:\n%s", condition, text)
		}
	}
}

// row is an expression for the row of a node with a name.
func row(name string) string {
	return "[...document.querySelectorAll('.row:not([hidden])')].find(r => r.querySelector('.name')?.title === " + quote(name) + ")"
}

// rowState is an expression for the state in that row.
func rowState(name string) string { return row(name) + "?.querySelector('.state').textContent" }

func quote(value any) string {
	text, _ := json.Marshal(value) // texts and lists of them marshal
	return string(text)
}

// click clicks on an element that a person could click: visible and enabled.
func click(what string) chromedp.Action {
	return chromedp.Tasks{chromedp.WaitEnabled(what, chromedp.ByQuery), chromedp.Click(what, chromedp.ByQuery)}
}

func (p *tab) click(what string) { p.Helper(); p.run(click(what)) }

// copied makes the page store copied texts in window.copied.
func (p *tab) copied() {
	p.Helper()
	p.eval("window.copied = '', navigator.clipboard.writeText = async (t) => { window.copied = t; }, 0", nil)
}

// key presses one.
func (p *tab) key(keys string) { p.Helper(); p.run(chromedp.KeyEvent(keys)) }

// slide moves the slider like a hand.
func (p *tab) slide(value int) {
	p.Helper()
	p.eval(fmt.Sprintf("slider = $('slider'), slider.value = %d, slider.dispatchEvent(new Event('input')), 0", value), nil)
}

// shot keeps a picture, in light and dark.
func (p *tab) shot(name string) {
	p.Helper()
	if *shots == "" {
		return
	}
	for _, scheme := range []string{"light", "dark"} {
		var png []byte
		p.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
			chromedp.Sleep(200*time.Millisecond), chromedp.CaptureScreenshot(&png))
		if err := os.WriteFile(filepath.Join(*shots, name+"-"+scheme+".png"), png, 0o644); err != nil {
			p.Fatal(err)
		}
	}
}

// resize gives the tab another width.
func (p *tab) resize(width int64) {
	p.Helper()
	p.run(chromedp.EmulateViewport(width, 800))
}
