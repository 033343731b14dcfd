// Command runner runs pipelines of shell commands and records them in a pipestatus
// database. It is a small runner that embeds the module. Its code is in
// examples/internal/runner: run.go executes, batch.go groups the operations of a
// commit, and resume.go restores the progress of a task from its record.
//
//	runner                      # the bundled pipeline, in a new database
//	runner FILE.json            # your pipeline
//	runner -db x.db -resume     # continue after Ctrl-C, a failure or kill -9
//
// With -http 127.0.0.1:8080 the runner serves get_task_status, the events of its
// tasks and a status page while the pipeline runs, on the engine that records
// it, and afterwards until Ctrl-C; see package query/httpapi. The flags -app and
// -token or -trusted-app, or -no-auth, control access; without any of them the
// runner refuses to start. With -no-auth it answers only requests to localhost, to
// an IP address or to a -host. The commands of statusctl that only read work on it
// with -db http://127.0.0.1:8080.
//
// With -operate, every permitted caller may also operate the task: over HTTP
// (operate_task and operate_node) and with the buttons of the page. With -operator
// ann, only that user may. In both cases the runner does not end when a pipeline has
// failed or is paused, but waits for an operation:
//
//   - pause of the task: running commands may end, and nothing begins until it is
//     resumed. Pause of a subprocess: the same for the nodes in it
//   - pause of an activity: its process group and its timeout stop until it is
//     resumed (not on Windows). In a paused pipeline, a paused next step waits for
//     its own resume
//   - retry of a node that failed, with the inputs of its definition and its
//     automatic retries anew; also before an automatic retry is due
//   - skip of a node that failed, or of the next step of a paused pipeline: the
//     pipeline continues after it
//   - forced_fail of an activity: its command is ended, and no policy for failures
//     applies. An automatic retry that is due later is given up
//   - revoke of the task: its commands are ended, and the task too
//
// Any other operation is refused with a message that gives the reason. The record
// names the user behind each operation.
//
// With -notify URL each transition is delivered to an HTTP endpoint as a signed
// CloudEvent, at least once and in order; see package query/notify. The file
// NAME.notify-… keeps the position of an endpoint, so that the next run after a
// crash delivers the missing events.
//
// The task's status goes to standard output as JSON, unless that is a terminal
// and -json is not given. With -failed-first a pipeline shows FAILED as soon as
// anything in it has failed, even while the rest runs.
//
// # Definitions
//
// A definition is a BlueKing pipeline tree as its builder writes it: id,
// start_event, end_event, activities, gateways, flows. The runner follows the rules
// of the reference engine of such trees and refuses unsupported features: it reports
// all errors of a definition before anything runs, by the name of the field or the
// expression. Unknown fields are ignored. A ServiceActivity has
//
//   - component: {"code": "shell", "inputs": {"command": {"value": "make"}}};
//     inputs may have command_windows as well, which Windows prefers. Each other
//     input, such as "target": {"value": "docs"}, is a variable in the environment of
//     this command only; it hides a variable of the pipeline with the same name
//   - timeout: seconds after which the command and all it started is ended. The
//     reference's timeout_config does the same, and may skip the activity
//   - auto_retry: {"enable": true, "times": 3, "interval": 0.5}: how often, and
//     after how many seconds, a failed command is run again
//   - auto_skip: true: skip it if it still fails after that
//   - error_ignorable: true: ignore the failure instead
//   - loop_config: {"enable": true, "loop_times": 3}: how many passes it makes
//     each time it is entered
//   - retryable, skippable: false: refuse to (also by their older names,
//     can_retry and isSkipped)
//
// A node that has made 100 passes, or as many as its max_loops says, fails when
// it is entered again. A SubProcess holds a nested pipeline.
//
// A flow that leads back, through an exclusive gateway, enters nodes again:
// they loop, and a subprocess runs its nodes again.
//
// An exclusive gateway takes the flow whose condition is true, or else its
// default_condition; it fails if several are true. A conditional parallel one
// takes all whose condition is true, or else the default. A parallel part ends
// in one converge gateway, which waits for the branches that were taken.
//
// All nodes of a pipeline are recorded when it begins, so that its status shows the
// remaining steps. Nodes of branches that are not taken are skipped as soon as no
// flow can lead to them any more.
//
// The web API's form of a definition is read, too: pipelines without an id,
// component.data, and constants with plain values or outputs of nodes. A
// subprocess that only names its template is refused.
//
// # Variables
//
// Each pipeline has its own variables, in data.inputs. A variable has a value, which
// is text of type plain, or of type splice with references such as ${name} to
// others. Or it has a source_act, an activity or subprocess, and takes the output
// source_key of that node whenever the node ends: a variable that a command has set,
// one that a subprocess lists in its data.outputs, _loop or _result. A subprocess
// gets values from its params.
//
// Of the reference's template language, the runner supports only ${name}. It refuses
// any other expression, such as ${hosts.split(",")[0]}, by name.
//
// Lists and objects are their JSON, and true and false are True and False. A
// value has up to 64 KiB, and all variables of a pipeline have up to 1 MiB.
//
// # Conditions
//
// Conditions compare variables, exit codes, numbers and texts:
//
//	exit_code == 0 and ${percent} < 100 and "${os}" in ("linux", "darwin")
//
// where exit_code is that of the activity before the gateway, and
// ${build.exit_code} that of another. A quoted operand is a text, even with
// references in it, and texts compare as texts: "1.10" is not "1.1". A reference
// without quotes is a number if it reads as one. An integer makes the other
// operand an integer if it can be one. The operators are == != < <= > >= in
// notin, and and, or and not, which may be written && || and !. "and" and "or"
// bind equally and from the right, so that a and b or c is a and (b or c): use
// parentheses. A reference to a variable without a value is the text ${name}.
//
// # Commands
//
// A command runs in the runner's working directory by sh -c (on Windows cmd /c), in
// a new process group; remaining processes of that group end with it. After a
// timeout, and when the runner stops commands, processes that have left the group
// are ended too (on Linux), except for a process that has both cleared its
// environment and lost its parents.
//
// The command gets the pipeline's variables in its environment, and NODE_ID,
// NODE_LOOP, NODE_RETRY (passes from 1, retries and skips from 0), TASK_ID and
// RUNNER_COMMAND, which marks its processes. The shell expands them: a value is
// never read as a command. Only in a command of type splice the runner puts the
// text of ${name} in, as the reference engine does, and the shell reads it. A
// command sets a variable of its pipeline with a line of output such as
//
//	::set percent=40
//
// It may set the variables of the definition, and others whose names contain a
// lower-case letter. Other names, such as PATH and LD_PRELOAD, are settings of
// programs. Such a name, and a value that is too long or that no environment can
// hold, fails the step with exit code 125.
//
// The error text of a failed command is its last lines of output, and below them how
// it ended. A long line keeps its beginning and its end, and a carriage return
// overwrites, as on a terminal.
//
// # Records
//
// The database has everything, in the same commit as the operation it belongs to: the
// definition is the input of the task; the inputs of a node, and the variables that
// a subprocess begins with, are the input of an attempt; exit code, variables and
// the last lines of output are its output. They are kept as plain text: do not put a
// secret into a variable. A node's key is its ID in the definition, which answers
// show as its ID, and the flows between nodes are recorded as edges. Therefore
// statusctl export and import move a complete task, and -resume continues it
// elsewhere. The runner removes no task: statusctl purge does.
//
// A database on a server can be shared by runners. The runner of examples/postgres
// is this one with PostgreSQL.
//
// A pipeline that fails is left RUNNING and shows FAILED: -resume retries the
// nodes that failed, with their automatic retries anew. Commands that were
// running when the runner was killed are failed as interrupted, then retried. Such a
// command may still be running: commands should tolerate being run twice.
//
// Exit code: 0 finished, 1 failed, 2 wrong usage or definition, 130 suspended.
package main
