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
// it, and afterwards until Ctrl-C; see package query/httpapi. The flags -app and
// -token or -trusted-app, or -no-auth, say who may ask; without any of them it
// refuses to start. With -no-auth it answers only requests to localhost, to an
// address or to a -host. The commands of statusctl that only read work on it with
// -db http://127.0.0.1:8080.
//
// With -operate all who may ask may also operate the task: over HTTP
// (operate_task and operate_node) and with the buttons of the page. With
// -operator ann only that user may. While anybody may, the runner waits for them
// when a pipeline has failed or is paused, instead of ending:
//
//   - pause of the task: running commands may end, and nothing begins until it is
//     resumed. Pause of a subprocess: the same inside of it
//   - pause of an activity: its command and what is in its process group stop,
//     its timeout too, until it is resumed (not on Windows). The next step of a
//     paused pipeline does not begin with the others
//   - retry of a node that failed, with the inputs of its definition and its
//     automatic retries anew; also before an automatic retry is due
//   - skip of a node that failed, or of the next step of a paused pipeline: the
//     pipeline goes on after it
//   - forced_fail of an activity: its command is ended, and no policy for failures
//     applies. An automatic retry that is due later is given up
//   - revoke of the task: its commands are ended, and the task too
//
// Whatever else is asked for is refused with a message that says why. The record
// names the user who did it.
//
// With -notify URL each transition is delivered to an HTTP endpoint as a signed
// CloudEvent, at least once and in order; see package query/notify. The file
// NAME.notify-… keeps how far an endpoint has come, so that a run after a crash
// delivers what the killed one did not.
//
// The task's status goes to standard output as JSON, unless that is a terminal
// and -json is not given. With -failed-first a pipeline shows FAILED as soon as
// anything in it has failed, even while the rest runs.
//
// # Definitions
//
// A definition is a BlueKing pipeline tree as its builder writes it: id,
// start_event, end_event, activities, gateways, flows. The runner decides as
// the reference engine of such trees does. What it cannot do is refused: all
// that is wrong with a definition is reported before anything runs, by the name
// of the field or the expression. Fields that nobody knows are passed over. A
// ServiceActivity has
//
//   - component: {"code": "shell", "inputs": {"command": {"value": "make"}}};
//     inputs may have command_windows as well, which Windows prefers. Any other
//     input is a variable of this command alone
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
// it is entered again. A SubProcess holds a pipeline of its own.
//
// A flow that leads back, through an exclusive gateway, enters nodes again:
// they loop, and a subprocess runs its inside again.
//
// An exclusive gateway takes the flow whose condition is true, or else its
// default_condition; it fails if several are true. A conditional parallel one
// takes all whose condition is true, or else the default. A parallel part ends
// in one converge gateway, which waits for the branches that were taken.
//
// All nodes of a pipeline are recorded when it begins, so that its status shows
// what is still to come. Those of branches that are not taken are skipped as soon
// as nothing leads to them any more.
//
// The web API's form of a definition is read, too: pipelines without an id,
// component.data, and constants with plain values or outputs of nodes. A
// subprocess that only names its template is refused.
//
// # Variables
//
// Each pipeline has variables of its own, in data.inputs. A variable has a
// value, which is text of type plain, or of type splice with references such as
// ${name} to others. Or it has a source_act, an activity or subprocess, and
// becomes its output source_key whenever that ends: what a command set, what a
// subprocess lists in its data.outputs, _loop or _result. A subprocess gets
// values from its params.
//
// Of the reference's template language the runner knows ${name} alone. Any other
// expression, such as ${hosts.split(",")[0]}, is refused by name.
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
// ${build.exit_code} that of another. What is in quotes is a text, also with
// references in it, and texts compare as texts: "1.10" is not "1.1". A reference
// without quotes is a number if it reads as one. An integer makes the other
// operand an integer if it can be one. The operators are == != < <= > >= in
// notin, and and, or and not, which may be written && || and !. "and" and "or"
// bind equally and from the right, so that a and b or c is a and (b or c): use
// parentheses. A reference to a variable without a value is the text ${name}.
//
// # Commands
//
// A command runs in the runner's working directory by sh -c (on Windows cmd
// /c), in a process group of its own; what it leaves running in that group ends
// with it. After a timeout, and when the runner stops commands, on Linux also
// what has left the group is ended, except for a process that has both cleared
// its environment and lost its parents.
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
// lower-case letter; the rest, such as PATH and LD_PRELOAD, programs take for
// settings of theirs. Such a name, and a value that is too long or that no
// environment can hold, fails the step, with exit code 125.
//
// The error text of a failed command ends with its last lines of output. A long
// line keeps its beginning and its end, and a carriage return overwrites, as on
// a terminal.
//
// # What is kept
//
// The database has everything, each part in the same commit as what it belongs to:
// the definition is the input of the task; the inputs of a node, and the variables
// that a subprocess begins with, are the input of an attempt; exit code, variables
// and the last lines of output are its output. They are kept as text: a value that
// must stay secret does not belong into a variable. A node's key is its ID in the
// definition, which answers have as its ID, and the flows between nodes are recorded
// as edges. So statusctl export and import move a task whole, and -resume goes on
// with it elsewhere.
//
// A database on a server can be shared by runners. The runner of examples/postgres
// is this one with PostgreSQL.
//
// A pipeline that fails is left RUNNING and shows FAILED: -resume retries the
// nodes that failed, with their automatic retries anew. Commands that were
// running when the runner was killed are failed as interrupted, then retried.
// They may be running still: a command should bear being run twice.
//
// Exit code: 0 finished, 1 failed, 2 wrong usage or definition, 130 suspended.
package main
