package statusctl

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/query/httpapi"
)

// served is the tool serving in this process.
type served struct {
	url  string
	stop context.CancelFunc
	exit <-chan int
	log  *strings.Builder // read it after stop
}

func serve(t *testing.T, args ...string) *served {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	out, stdout := io.Pipe()
	exit, log := make(chan int, 1), new(strings.Builder)
	go func() {
		exit <- (&tool{stdout: stdout, stderr: log}).call(ctx, append([]string{"serve", "-addr", "127.0.0.1:0"}, args...))
		stdout.Close()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		t.Fatalf("exit code %d\n%s", <-exit, log)
	}
	_, url, _ := strings.Cut(strings.TrimSpace(line), " at ")
	return &served{url, stop, exit, log}
}

// end ends the tool and expects success.
func (s *served) end(t *testing.T) {
	t.Helper()
	s.stop()
	if code := <-s.exit; code != exitOK {
		t.Errorf("exit code %d\n%s", code, s.log)
	}
	http.DefaultClient.CloseIdleConnections()
}

func fetch(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestServeAnswersPermittedCallers(t *testing.T) {
	db := told(t)
	s := serve(t, "-db", db, "-tz", "Asia/Shanghai",
		"-app", "web:secret", "-token", "dG9rZW4==ann", "-app", "robot:"+httpapi.HashSecret("other"), "-trusted-app", "robot")
	call := s.url + strings.TrimPrefix(httpapi.DefaultPrefix, "/") + "/get_task_status/?bk_biz_id=2&"
	want := strings.TrimSuffix(succeed(t, "", "get", "-json", "-tz", "Asia/Shanghai", "-db", copyOf(t, db), "2", "10"), "}\n")
	for name, test := range map[string]struct {
		query  string
		status int
		body   string // its beginning
	}{
		"a user with a token":                          {"task_id=10&bk_app_code=web&bk_app_secret=secret&bk_token=dG9rZW4%3D", 200, want},
		"a user that an application names":             {"task_id=10&bk_app_code=robot&bk_app_secret=other&bk_username=bob", 200, want},
		"a task that there is not":                     {"task_id=x&bk_app_code=robot&bk_app_secret=other&bk_username=bob", 200, `{"result":false,`},
		"a wrong secret":                               {"task_id=10&bk_app_code=web&bk_app_secret=other&bk_token=dG9rZW4%3D", 401, `{"result":false,`},
		"a wrong token":                                {"task_id=10&bk_app_code=web&bk_app_secret=secret&bk_token=dG9rZW4", 401, `{"result":false,`},
		"an application that is not on the white list": {"task_id=10&bk_app_code=web&bk_app_secret=secret&bk_username=bob", 401, `{"result":false,`},
		"nobody": {"task_id=10", 401, `{"result":false,`},
	} {
		if status, body := fetch(t, call+test.query); status != test.status || !strings.HasPrefix(body, test.body) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if status, body := fetch(t, s.url); status != 200 || !strings.Contains(body, "<html") {
		t.Errorf("the page: %d %.100s", status, body)
	}
	s.end(t)
	if log := s.log.String(); !strings.Contains(log, "status=401") || strings.Contains(log, "secret") || strings.Contains(log, "dG9r") {
		t.Errorf("log of requests:\n%s", log)
	}
}

// copyOf is a copy of an open database.
func copyOf(t *testing.T, db string) string {
	t.Helper()
	second := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(second, []byte(read(t, db)), 0o600); err != nil {
		t.Fatal(err)
	}
	return second
}

func TestServeNeedsAccessFlags(t *testing.T) {
	db := told(t)
	for name, test := range map[string]struct {
		args   []string
		reason string
	}{
		"nothing said":                 {nil, "nobody may send requests"},
		"everybody and somebody":       {[]string{"-no-auth", "-app", "web:hunter2"}, "have no effect"},
		"an application without users": {[]string{"-app", "web:hunter2"}, "-trusted-app"},
		"a token of no application":    {[]string{"-token", "hunter2=ann"}, "-app CODE:SECRET"},
		"a trusted one without secret": {[]string{"-app", "web:hunter2", "-trusted-app", "robot"}, `"robot" has no secret`},
		"no secret":                    {[]string{"-app", "hunter2"}, "-app: want CODE:SECRET"},
		"no user":                      {[]string{"-app", "web:hunter2", "-token", "hunter2="}, "-token: want TOKEN=USER"},
		"an application twice":         {[]string{"-app", "web:hunter2", "-app", "web:hunter3"}, "twice"},
		"half a hash":                  {[]string{"-app", "web:sha256:hunter2", "-trusted-app", "web"}, "64 hexadecimal digits"},
		"no secret, by no-auth":        {[]string{"-no-auth", "-app", "hunter2"}, "-app: want CODE:SECRET"},
	} {
		got := call(t.Context(), "", append([]string{"serve", "-db", db, "-addr", "127.0.0.1:0"}, test.args...)...)
		if got.code != exitUsage || got.stdout != "" || !strings.Contains(got.stderr, test.reason) || strings.Contains(got.stderr, "hunter") {
			t.Errorf("%s: exit code %d\n%s%s", name, got.code, got.stdout, got.stderr)
		}
	}
}

func TestServeReportsWhyItCannotListen(t *testing.T) {
	db := told(t)
	s := serve(t, "-db", db, "-no-auth", "-quiet")
	addr := strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/")
	if got := call(t.Context(), "", "serve", "-no-auth", "-db", told(t), "-addr", addr); got.code != exitFailed || !strings.Contains(got.stderr, addr) {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	s.end(t)
	if s.log.Len() > 0 {
		t.Errorf("it logs %s", s.log)
	}
}
