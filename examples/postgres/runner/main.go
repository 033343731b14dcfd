// Command runner is the runner of examples/runner for databases on PostgreSQL
// too, which many runners on many machines share: -db, or -store, takes their
// URL. All that a task's next runner must know is in the database.
//
//	runner -store postgres://ann@db.example/pipelines FILE.json
//	runner -store postgres://ann@db.example/pipelines -standby
//	runner -store postgres://ann@db.example/pipelines -resume -task ID
//
// A runner holds a lease of its task and renews it while it lives. With -standby
// a runner waits for tasks whose runner has died in the middle, and runs them to
// their end, one after another; what failed or was suspended is left to a
// person and -resume. With -resume it waits until no other runner has the task.
// Of several only one gets it. One that was only thought dead, because it could
// not renew its lease for as long as -lease, can record nothing more and ends
// with an error; its command and that of the other may have run at the same
// time.
//
// Leave the password to PGPASSWORD or ~/.pgpass.
package main

import (
	"os"

	"github.com/pipestatus/pipestatus/examples/internal/runner"
	"github.com/pipestatus/pipestatus/examples/postgres/internal/server"
)

func main() { os.Exit(runner.Main(server.PostgreSQL())) }
