package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheQuickFormMeasuresEveryContender(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-quick", "-json", "-dir", t.TempDir()}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]int)
	for dec := json.NewDecoder(&out); dec.More(); {
		var r row
		if err := dec.Decode(&r); err != nil {
			t.Fatal(err)
		}
		if r.Value <= 0 || r.Unit == "" {
			t.Errorf("%s of %s: %v %s", r.Figure, r.Of, r.Value, r.Unit)
		}
		seen[r.Of]++
	}
	for _, e := range entries() {
		if want := len(writers) + 2*2; seen[e.name] != want {
			t.Errorf("%s: %d rows, want %d", e.name, seen[e.name], want)
		}
	}
}

func TestConnectionsWithoutFullSyncAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db, err := sql.Open("sqlite", strings.Replace(dsn(path), "FULL", "NORMAL", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Ping(); err == nil || !strings.Contains(err.Error(), "not FULL") {
		t.Errorf("opening with NORMAL: %v", err)
	}

	db, err = sql.Open("sqlite", dsn(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := requireAllFull(t.Context(), db); err != nil {
		t.Errorf("with FULL: %v", err)
	}
	if _, err := db.Exec("PRAGMA synchronous = NORMAL"); err != nil {
		t.Fatal(err)
	}
	if err := requireAllFull(t.Context(), db); err == nil {
		t.Error("a connection set to NORMAL later passes")
	}
	if err := requireLastFull(path); err == nil {
		t.Error("a connection set to NORMAL later passes as the last one")
	}
}
