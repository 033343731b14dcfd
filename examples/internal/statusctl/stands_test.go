package statusctl

import (
	"strings"
	"testing"
)

// lines of operations in which a task waits for a person, long before noon.
const waiting = `{"op":"create","biz":"2","task":"10","id":"root","at":1524700000}
{"op":"start","node":"root","at":1524700000}
{"op":"declare","node":"a","parent":"root","kind":"service_activity","name":"copy","at":1524700000}
{"op":"start","node":"a","at":1524700000}
`

// A task that waits for a person takes no time: all commands say so.
func TestTheClockOfAWaitingTaskStandsInEveryCommand(t *testing.T) {
	for want, op := range map[string]string{
		"FAILED":    `{"op":"fail","node":"a","error":"no","at":1524700081}`,
		"SUSPENDED": `{"op":"suspend","node":"a","at":1524700081}`,
	} {
		db := t.TempDir() + "/a.db"
		if answers := succeed(t, waiting+op+"\n", "apply", "-db", db); strings.Contains(answers, `"ok":false`) {
			t.Fatal(answers)
		}
		for _, args := range [][]string{{"list"}, {"tree", "2", "10"}, {"history", "a"}, {"history", "2", "10"}, {"timeline", "2", "10"}} {
			out := noon(t, append(args, "-db", db)...)
			if !strings.Contains(out, want) || !strings.Contains(out, "1m 21s") || strings.Contains(out, "so far") {
				t.Errorf("%s of a task that is %s:\n%s", args[0], want, out)
			}
		}
	}
}

func TestWhyNamesEarlierFailedAttempts(t *testing.T) {
	db := t.TempDir() + "/a.db"
	again := `{"op":"fail","node":"a","error":"no","at":1524700001}
{"op":"retry","node":"a","at":1524700002}
{"op":"start","node":"a","at":1524700003}
`
	answers := succeed(t, waiting+strings.Repeat(again, 200)+`{"op":"finish","node":"a","at":1524700004}`+"\n", "apply", "-db", db)
	if strings.Contains(answers, `"ok":false`) {
		t.Fatal(answers)
	}
	const want = "Nothing is FAILED now in 2/10, which shows RUNNING; 200 attempts failed before:\n    copy, node a, retried 200×\n\"statusctl history NODE\" shows their errors.\n"
	if out := noon(t, "why", "2", "10", "-db", db); out != want {
		t.Errorf("%s, want\n%s", out, want)
	}
}

func TestWhyTellsWhatASuspendedTaskWaitsFor(t *testing.T) {
	db := t.TempDir() + "/a.db"
	answers := succeed(t, waiting+`{"op":"suspend","node":"a","note":"approval of \u001b[2Jthe board","at":1524700004}`+"\n", "apply", "-db", db)
	if strings.Contains(answers, `"ok":false`) {
		t.Fatal(answers)
	}
	const want = "copy, node a, is suspended, waits: approval of the board\nNothing has failed in 2/10, which shows SUSPENDED.\n"
	if out := noon(t, "why", "2", "10", "-db", db); out != want {
		t.Errorf("%q, want %q", out, want)
	}
}

func TestAPausedTaskThatShowsFailedIsCalledSuspended(t *testing.T) {
	db := t.TempDir() + "/a.db"
	answers := succeed(t, waiting+`{"op":"fail","node":"a","error":"no","at":1524700004}
{"op":"suspend","node":"root","at":1524700005}
`, "apply", "-db", db)
	if strings.Contains(answers, `"ok":false`) {
		t.Fatal(answers)
	}
	if out := noon(t, "why", "2", "10", "-db", db); !strings.HasSuffix(out, "\n    no\n\nThe task is suspended: nothing new begins before it is resumed, for example with 'runner -resume'.\n") {
		t.Error(out)
	}
	root := strings.Split(noon(t, "tree", "2", "10", "-db", db), "\n")[1]
	if !strings.Contains(root, "FAILED") || !strings.HasSuffix(root, " suspended") {
		t.Error(root)
	}
}
