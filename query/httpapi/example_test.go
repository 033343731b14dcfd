package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/httpapi"
	"github.com/pipestatus/pipestatus/store"
)

// A service that serves the documented call, the events and the status page
// of its records, in addition to its own paths.
func Example() {
	ctx := context.Background()
	e, err := engine.Open(ctx, store.NewMemory(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	if _, err := e.Create(ctx, "2", "10", engine.ID("root")); err != nil {
		fmt.Println(err)
		return
	}

	h := httpapi.New(e, &httpapi.Options{
		Authenticator: &httpapi.Applications{
			Secrets: map[string]string{"esb_test": httpapi.HashSecret("xxx")},
			Trusted: []string{"esb_test"},
		},
		Authorize: func(_ context.Context, who httpapi.Identity, business string) bool {
			return who.User == "ann" && business == "2"
		},
		Query: &query.Options{Location: time.UTC},
	})
	mux := http.NewServeMux()
	mux.Handle(httpapi.DefaultPrefix+"/", h)
	mux.Handle("/status/", http.StripPrefix("/status", h))
	server := httptest.NewUnstartedServer(mux)
	server.Config.RegisterOnShutdown(h.Shutdown)
	server.Start()
	defer server.Close()

	resp, err := server.Client().Get(server.URL + httpapi.DefaultPrefix +
		"/get_task_status/?bk_app_code=esb_test&bk_app_secret=xxx&bk_username=ann&bk_biz_id=2&task_id=10")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	var answer query.Response
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.StatusCode, answer.Result, answer.Data.ID, answer.Data.State)
	// Output:
	// 200 true root CREATED
}
