// Command runner runs pipelines of shell commands and records what happens in
// a pipestatus database. It is a small runner that embeds the module, and can
// be read as such in examples/internal/runner: run.go executes, batch.go says
// what is recorded together, and resume.go finds out from the records where a
// task was.
//
//	runner                      # the bundled pipeline, in a new database
//	runner FILE.json            # yours
//	runner -db x.db -resume     # go on after Ctrl-C, a failure or kill -9
//
// With -http 127.0.0.1:8080 the runner serves get_task_status, the events of its
// tasks and a status page while the pipeline runs, on the engine that records
// it; see package query/httpapi. Who may ask is said by -app and -token or
// -trusted-app, or -no-auth; without any it refuses to start. With -no-auth only
// who asks by localhost, an address or a -host is answered.
//
// # Definitions
//
// A definition is a BlueKing pipeline tree as its builder writes it: id,
// start_event, end_event, activities, gateways, flows. Beside that, a
// ServiceActivity has
//
//   - component: {"code": "shell", "inputs": {"command": {"value": "make"}}};
//     inputs may have command_windows as well, which Windows prefers
//   - timeout: seconds after which the command and all it started is ended
//   - auto_retry: {"enable": true, "times": 3, "interval": 0.5}: how often, and
//     after how many seconds, a failed command is run again
//   - auto_skip: true: skip it if it still fails after that
//   - error_ignorable: true: ignore the failure instead
//   - retryable, skippable: false: refuse to
//
// and every node may have max_loops, the number of passes it is limited to. A
// SubProcess holds a pipeline of its own. Unknown fields are passed over. All
// that is wrong with a definition is reported before anything runs.
//
// A flow that leads back, through an exclusive gateway, enters nodes again:
// they loop, and a subprocess runs its inside again.
//
// An exclusive gateway takes the first flow, in the order of outgoing, whose
// condition is true, or else its default_condition; a conditional parallel one
// takes all whose condition is true, or else the default. A parallel part ends
// in one converge gateway, which waits for the branches that were taken.
//
// # Commands and variables
//
// A command runs in the runner's working directory by sh -c (on Windows cmd
// /c), in a process group of its own; what it leaves running there ends with
// it. It gets the variables in its environment, and NODE_ID, NODE_LOOP,
// NODE_RETRY (passes from 1, retries and skips from 0) and TASK_ID. It sets a
// variable with a line of output such as
//
//	::set percent=40
//
// The pipeline's data.inputs set them in the beginning. Conditions compare
// variables, exit codes and literals:
//
//	exit_code == 0 && ${percent} < 100 || !(${build.exit_code} != 3)
//
// where exit_code is that of the activity before the gateway. "and", "or" and
// "not" may be written out.
//
// # What is kept
//
// A node's ID in the database is derived from the task and its ID in the
// definition, so that -resume finds it again. The database holds states and
// error texts, nothing of the user's, so the definition, exit codes and
// variables go to a file of JSON Lines beside it (the database's name with
// ".results" added), synced before the end of the command is recorded. A crash
// in between leaves a line about a command that is run again. What moves a
// database (statusctl export and import) does not move that file: let pipelines
// end before.
//
// A database on a server, which several runners share, has all of it. The runner
// of examples/postgres is this one with PostgreSQL.
//
// A pipeline that fails is left RUNNING and shows FAILED: -resume retries the
// nodes that failed, with their automatic retries anew. Commands that were
// running when the runner was killed are failed as interrupted, then retried.
// They may be running still: a command should bear being run twice.
//
// Exit code: 0 finished, 1 failed, 2 wrong usage or definition, 130 suspended.
package main
