package httpapi_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/pipestatus/pipestatus/query"
	"github.com/pipestatus/pipestatus/query/httpapi"
)

// With the handler's list of changes, a client computes the same offset as
// package time, at any moment.
func TestTheZoneIsAnsweredWithItsChanges(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia"} {
		location, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		f := serve(t, &httpapi.Options{Authenticator: httpapi.NoAuth{}, Query: &query.Options{Location: location, Now: clock}})
		var answer struct {
			Data struct {
				Name    string
				Changes []struct {
					From   time.Time
					Offset int
				}
			}
		}
		if err := json.Unmarshal(f.get("/api/zone").Body.Bytes(), &answer); err != nil || answer.Data.Name != name {
			t.Fatal(name, answer, err)
		}
		now := clock()
		for at := now.AddDate(-20, 0, 0); at.Before(now.AddDate(1, 0, 0)); at = at.Add(7*time.Hour + 13*time.Minute) {
			_, want := at.In(location).Zone()
			got := 0
			for _, c := range answer.Data.Changes {
				if !at.Before(c.From) {
					got = c.Offset
				}
			}
			if got != want {
				t.Fatalf("%s: %d seconds at %v, want %d", name, got, at, want)
			}
		}
	}
}
