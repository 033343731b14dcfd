// Command statusctl is the statusctl of examples/statusctl with support for stores
// on PostgreSQL: -db takes their URL.
//
//	statusctl list -db postgres://ann@db.example/pipelines
//	statusctl export | statusctl import -db postgres://ann@db.example/pipelines
//
// Leave the password to PGPASSWORD or ~/.pgpass. Commands that work on files only
// (backup, compact, salvage) have their counterparts in the server's own tools.
package main

import (
	"os"

	"github.com/pipestatus/pipestatus/examples/internal/statusctl"
	"github.com/pipestatus/pipestatus/examples/postgres/internal/server"
)

func main() { os.Exit(statusctl.Main(server.PostgreSQL())) }
