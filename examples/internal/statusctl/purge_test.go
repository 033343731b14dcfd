package statusctl

import (
	"path/filepath"
	"strings"
	"testing"
)

// A task that shows FAILED and will never be retried used to be kept silently.
func TestPurgeReportsTheTasksItKept(t *testing.T) {
	db := filepath.Join(t.TempDir(), "a.db")
	succeed(t, `{"op":"create","biz":"b","task":"done","id":"d","at":0}
{"op":"report","node":"d","state":"FINISHED","at":0}
{"op":"create","biz":"b","task":"failed","id":"f","at":0}
{"op":"begin","node":"f","at":0}
{"op":"begin","node":"fa","parent":"f","kind":"service_activity","at":0}
{"op":"report","node":"fa","state":"FAILED","at":0}
{"op":"create","biz":"b","task":"running","id":"r","at":0}
{"op":"begin","node":"r","at":0}
{"op":"begin","node":"ra","parent":"r","kind":"service_activity","at":0}
{"op":"create","biz":"b","task":"new","id":"n"}`, "apply", "-db", db)
	for _, c := range []struct{ args, want string }{
		{"-state FAILED -older-than 30d", "removed 0 tasks, passed over 1 task: 1 settled but not ended (-settled includes these)\n"},
		{"-older-than 30d -dry-run -settled", "would remove 2 tasks, passed over 2 tasks: 1 too recent, 1 under way\n"},
		{"-older-than 30d -json", `{"ok":true,"removed":1,"passed_over":{"newest":0,"recent":1,"unfinished":1,"settled":1,"changed":0}}` + "\n"},
		{"-keep 1 -by-end -settled", "removed 1 task, passed over 2 tasks: 1 kept as the newest, 1 under way\n"},
	} {
		if got := succeed(t, "", append([]string{"purge", "-db", db}, strings.Fields(c.args)...)...); !strings.HasSuffix(got, c.want) {
			t.Errorf("purge %s: %q, want %q", c.args, got, c.want)
		}
	}
}
