// Command runner is the runner of examples/runner with support for databases on
// PostgreSQL, which many runners on many machines can share: -db, or -store, takes
// their URL. The database holds everything that a task's next runner must know.
//
//	runner -store postgres://ann@db.example/pipelines FILE.json
//	runner -store postgres://ann@db.example/pipelines -standby
//	runner -store postgres://ann@db.example/pipelines -resume -task ID
//
// A runner holds a lease of its task and renews it while it lives. With -standby
// a runner waits for tasks whose runner has died, and runs them to their end, one
// after another; failed and suspended tasks wait for a person and -resume. With
// -resume it waits until no other runner has the task. Only one of several runners
// gets it. A runner that is still alive but could not renew its lease within the
// time of -lease can record nothing more and ends with an error; its command and
// that of the next runner may have run at the same time.
//
// Leave the password to PGPASSWORD or ~/.pgpass.
package main

import (
	"os"

	"github.com/pipestatus/pipestatus/examples/internal/runner"
	"github.com/pipestatus/pipestatus/examples/postgres/internal/server"
)

func main() { os.Exit(runner.Main(server.PostgreSQL())) }
