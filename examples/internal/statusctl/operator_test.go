package statusctl

import (
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestClockTimesAreRead(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 29, 9, 30, 0, 0, berlin) // daylight saving began at 02:00
	for text, want := range map[string]string{
		"03:12": "2026-03-29T03:12:00+02:00", "09:30": "2026-03-29T09:30:00+02:00", "09:31": "2026-03-28T09:31:00+01:00",
		"23:59:59": "2026-03-28T23:59:59+01:00", "today": "2026-03-29T00:00:00+01:00", "yesterday": "2026-03-28T00:00:00+01:00",
		"yesterday 03:12": "2026-03-28T03:12:00+01:00", "today 03:12": "2026-03-29T03:12:00+02:00", "2h": "2026-03-29T07:30:00+02:00",
		"1d": "2026-03-28T09:30:00+01:00", "2026-03-28 03:12": "2026-03-28T03:12:00+01:00", "2026-03-28T03:12:00Z": "2026-03-28T04:12:00+01:00",
	} {
		at, err := parseWhen(text, berlin, now)
		if err != nil || at.Time().In(berlin).Format(time.RFC3339) != want {
			t.Errorf("%q is %s, %v, want %s", text, at.Time().In(berlin).Format(time.RFC3339), err, want)
		}
	}
	for _, text := range []string{"tomorrow", "25:00", "3", "yesterday 3", "03:12 today", "today ", "03:12:"} {
		if at, err := parseWhen(text, berlin, now); err == nil && text != "today " {
			t.Errorf("%q is %s", text, at)
		}
	}
}

func TestAMistypedCommandOrFlagIsGuessed(t *testing.T) {
	for line, meant := range map[string]string{
		"lsit": "did you mean list?", "tre": "did you mean tree?", "hsitory": "did you mean history?", "whyy": "did you mean why?",
		"list -stat FAILED": "did you mean -state?", "tree -failed 2 10": "did you mean -failed-first?", "-josn list": "did you mean -json?",
	} {
		var out, problem strings.Builder
		tool := &tool{stdin: strings.NewReader(""), stdout: &out, stderr: &problem}
		if code := tool.call(t.Context(), strings.Fields(line)); code != exitUsage || !strings.Contains(problem.String(), meant) {
			t.Errorf("%s: %d, %s", line, code, problem.String())
		}
	}
	for _, line := range []string{"frobnicate", "list -frobnicate"} {
		var problem strings.Builder
		tool := &tool{stdin: strings.NewReader(""), stdout: &problem, stderr: &problem}
		if tool.call(t.Context(), strings.Fields(line)); strings.Contains(problem.String(), "did you mean") {
			t.Errorf("%s: %s", line, problem.String())
		}
	}
}

func TestTheVersionIsPrinted(t *testing.T) {
	if out := noon(t, "version"); !strings.HasPrefix(out, "statusctl ") || !strings.Contains(out, " go1.") {
		t.Error(out)
	}
	if out := noon(t, "version", "-json"); !strings.Contains(out, `"go":"go1.`) {
		t.Error(out)
	}
}

func TestTheCompletionOfBashCompletes(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Logf("without a shell to try it in: %v", err)
		return
	}
	db := told(t)
	script := noon(t, "completion", "bash") + `
statusctl() { "$TOOL" "$@"; }
COMP_LINE=$1 COMP_POINT=${#1}
_statusctl
echo "${COMPREPLY[@]}"
`
	for line, want := range map[string]string{
		"statusctl tr":                               "tree",
		"statusctl list -lim":                        "-limit",
		"statusctl -db x tree -mer":                  "-mermaid",
		"statusctl -db " + db + " why ":              "2 7",
		"statusctl why -db=" + db + " 2 1":           "10",
		"statusctl why 2 -db " + db + " ":            "10 9",
		"statusctl -db " + db + " diff 2 10 ":        "10 9",
		"statusctl history 2 10 sp -db " + db:        "", // the database is completed by the shell
		"statusctl -db " + db + " history 2 10 sp":   "split",
		"statusctl -db " + db + " tree 2 10 -node e": "e8b128dff46637368b9b1bd921abc14e",
		"statusctl list -state F":                    "FAILED FINISHED",
		"statusctl list -state=F":                    "FAILED FINISHED",
		"statusctl list -db " + db + " -biz 7":       "7",
		"statusctl completion f":                     "fish",
		"statusctl frobnicate 2 ":                    "",
		"statusctl list -frobnicate ":                "",
		"statusctl top 2 ":                           "",
		"statusctl why -db " + db + ".none 2 ":       "",
	} {
		command := exec.Command(bash, "-c", script, "bash", line)
		self := process(t)
		command.Env = append(self.Env, "TOOL="+self.Path)
		out, err := command.CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != want {
			t.Errorf("%s: %s, %v; want %s", line, out, err, want)
		}
	}
}
