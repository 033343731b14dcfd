package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/pipestatus/pipestatus/query/httpapi"
)

// stuck is a client that does not read its answers.
type stuck struct {
	*httptest.ResponseRecorder
	leave chan struct{}
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.leave
	return s.ResponseRecorder.Write(p)
}

// Clients with many names that do not read their answers use up the memory for
// large answers, and others wait for it. Small answers wait for neither.
func TestClientsThatDoNotReadBlockNoSmallAnswers(t *testing.T) {
	f := serve(t, nil)
	f.recordExample()
	recordWide(f, "2", "wide", 1500)
	loaded := make(chan struct{}, 100)
	reader := &flaky{Reader: f.engine, load: func(context.Context) { loaded <- struct{}{} }}
	f.handler = handlerOn(reader, &httpapi.Options{Authenticator: byName{}, MaxMemory: 16 << 20})
	leave := make(chan struct{})
	codes := make(chan int, 100)
	const clients = 30
	for i := range clients {
		go func() {
			w := &stuck{httptest.NewRecorder(), leave}
			target := callPath + fmt.Sprintf("?bk_username=%d&bk_biz_id=2&task_id=wide", i)
			f.handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil))
			codes <- w.Code
		}()
	}
	// Some hold memory, all others wait for it.
	for range clients {
		<-loaded
	}
	if w := f.get(callPath, "bk_username", "zoe", "bk_biz_id", "2", "task_id", "10"); w.Code != 200 {
		t.Errorf("a small answer: %d %s", w.Code, w.Body)
	}
	close(leave)
	for range clients {
		if code := <-codes; code != 200 {
			t.Errorf("status %d", code)
		}
	}
}
