//go:build unix

package runner

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/boltstore"
)

// remote is a runner that is operated over HTTP.
type remote struct {
	*testing.T
	url, db, credentials string
	signals              chan os.Signal
	results              chan outcome
}

// gated is a pipeline with one activity, which waits for a gate.
func gated(t *testing.T) (gate, object) {
	g, tree := newGate(t), newTree("p")
	activity(tree, "a", g.command())
	chain(tree, "p_start", "a", "p_end")
	return g, tree
}

// operated starts a runner with a tree that every caller may operate.
func operated(t *testing.T, tree object) *remote {
	return remotely(t, tree, "", "-no-auth", "-operate")
}

func remotely(t *testing.T, tree object, credentials string, args ...string) *remote {
	t.Helper()
	r := &remote{
		T: t, db: filepath.Join(t.TempDir(), "p.db"), credentials: credentials,
		signals: make(chan os.Signal), results: make(chan outcome, 1),
	}
	stderr := &syncBuffer{}
	args = append([]string{"-http", "127.0.0.1:0", "-grace", "1h", "-db", r.db, "-task", "t1"}, args...)
	args = append(args, write(t, tree))
	go func() { r.results <- callWith(t, r.signals, stderr, args...) }()
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	eventually(t, "it serves", func() bool {
		found := servingAt.FindStringSubmatch(stderr.String())
		if found != nil {
			r.url = found[1]
		}
		return found != nil
	})
	return r
}

// answerOf is the envelope of an answer.
type answerOf struct {
	status  int
	Result  bool
	Code    int
	Message string
	Data    json.RawMessage
}

// post asks a documented call, with the credentials and any pairs of parameters.
func (r *remote) post(call string, params ...string) (a answerOf) {
	r.Helper()
	body := map[string]string{"bk_biz_id": "1", "task_id": "t1"}
	for i := 0; i < len(params); i += 2 {
		body[params[i]] = params[i+1]
	}
	text, err := json.Marshal(body)
	if err != nil {
		r.Fatal(err)
	}
	url := r.url + strings.TrimPrefix(httpapi.DefaultPrefix, "/") + "/" + call + "/?" + r.credentials
	resp, err := http.Post(url, "application/json", bytes.NewReader(text))
	if err != nil {
		r.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		r.Fatal(err)
	}
	a.status = resp.StatusCode
	if err := json.Unmarshal(data, &a); err != nil && a.status != http.StatusNotFound {
		r.Fatalf("%s: %s", err, data)
	}
	return a
}

func (r *remote) status() *query.Status {
	r.Helper()
	a := r.post("get_task_status")
	if !a.Result {
		return nil // it is just beginning
	}
	var s *query.Status
	if err := json.Unmarshal(a.Data, &s); err != nil {
		r.Fatal(err)
	}
	return s
}

// becomes waits until a node, by its name, shows a state.
func (r *remote) becomes(name string, want state.State) {
	r.Helper()
	eventually(r.T, name+" is "+want.String(), func() bool {
		s := r.status()
		if s == nil {
			return false
		}
		n := search(s, name)
		return n != nil && n.State == want
	})
}

// ask asks for an action on a node, by its name, or with "" on the task.
func (r *remote) ask(name string, action httpapi.Action, more ...string) answerOf {
	r.Helper()
	if name == "" {
		return r.post("operate_task", append(more, "action", string(action))...)
	}
	return r.post("operate_node", append(more, "node_id", named(r.T, r.status(), name).ID, "action", string(action))...)
}

func (r *remote) do(name string, action httpapi.Action) {
	r.Helper()
	if a := r.ask(name, action); !a.Result {
		r.Fatalf("%s of %q is refused: %d %s", action, name, a.status, a.Message)
	}
}

// refuses checks that an action is refused, and that the message says why.
func (r *remote) refuses(name string, action httpapi.Action, why string, more ...string) {
	r.Helper()
	if a := r.ask(name, action, more...); a.Result || a.status != http.StatusOK || !strings.Contains(a.Message, why) {
		r.Errorf("%s of %q: %d %+v, want %q", action, name, a.status, a, why)
	}
}

// ends tells the runner to stop and checks how it ends.
func (r *remote) ends(code int, want ...string) {
	r.Helper()
	r.signals <- os.Interrupt
	expect(r.T, ended(r.T, r.results), code, want...)
}

// transitionsIn are those of the task.
func transitionsIn(t *testing.T, db string) []*state.Transition {
	t.Helper()
	s, err := boltstore.Open(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all, err := s.Transitions(t.Context(), state.Key{Business: "1", Task: "t1"}, 0, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// historyOf are the superseded attempts of a node.
func historyOf(t *testing.T, db, node string) []query.Attempt {
	t.Helper()
	s, err := boltstore.Open(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return historyIn(t, s, node)
}

func historyIn(t *testing.T, s store.Reader, node string) (history []query.Attempt) {
	t.Helper()
	for a, err := range query.New(s, nil).History(t.Context(), store.ByNode(node)) {
		if err != nil {
			t.Fatal(err)
		}
		history = append(history, a)
	}
	return history
}

// recordedAs is the ID under which task t1 records a node of the definition.
func recordedAs(t *testing.T, db, key string) string {
	t.Helper()
	s, err := boltstore.Open(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	snap, err := s.Load(t.Context(), store.ByNodeKey("1", "t1", key))
	if err != nil {
		t.Fatal(err)
	}
	return snap.Tree.ID(snap.Index)
}

// actors are who did what to a node, oldest first.
func actors(t *testing.T, db, node string) (did []string) {
	t.Helper()
	for _, tr := range transitionsIn(t, db) {
		if tr.Actor != "" && tr.Node() == node {
			did = append(did, tr.Op.String()+" by "+tr.Actor)
		}
	}
	return did
}
