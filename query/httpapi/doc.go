// Package httpapi serves the documented get_task_status call, the events of
// tasks as they happen, and a status page for people: one [http.Handler] on a
// store or an engine.
//
//	h := httpapi.New(engine, &httpapi.Options{
//		Authenticator: &httpapi.Applications{
//			Secrets: map[string]string{"esb_test": "sha256:2bb8…"},
//			Trusted: []string{"esb_test"},
//		},
//	})
//	server.Handler = h
//	server.RegisterOnShutdown(h.Shutdown)
//
// All paths are relative to the mount point of the handler, so it also works behind
// [http.StripPrefix].
//
// # The documented calls
//
// They lie under [Options.Prefix], with and without a slash at the end, and
// answer GET and POST alike, but for those that say POST.
//
//	get_task_status       bk_biz_id, task_id; subprocess_id, loop, with_ex_data,
//	                      with_failed_node_info, with_auto_retry_status
//	get_tasks_status      POST: bk_biz_id, task_id_list (at most 50); include_children_status
//	get_task_node_detail  bk_biz_id, task_id, node_id; loop
//	get_task_node_data    bk_biz_id, task_id, node_id; loop
//	get_task_detail       bk_biz_id, task_id
//	get_task_list         bk_biz_id; keyword, is_started, is_finished, limit, offset, without_count
//	get_tasks_manual_intervention_state  POST: bk_biz_id, task_id_list
//	operate_task          POST: bk_biz_id, task_id, action
//	operate_node          POST: bk_biz_id, task_id, node_id, action; inputs
//
// They also lie under [Options.GatewayPrefix] as API gateways have them, with IDs
// in the path, such as /get_task_status/10/2/ and /system/get_task_status/10/2/:
// the task first, then the business. GET openapi.json describes everything.
//
// Parameters come from the query and, in a POST, from a JSON object or a form;
// the general parameters also from the JSON object in the header
// X-Bkapi-Authorization. A JSON number stands for its digits, however many. A
// parameter given in two places must have one value, a JSON object must not name one
// twice, and unknown parameters are ignored. Calls with a scope accept cmdb_biz and
// project.
//
// # The envelope
//
// The calls and the page's data answer in the documented envelope: result, data,
// code, message, request_id and trace_id. Streams of events, the lines of
// api/store, openapi.json and the page itself have other forms. Answers to a valid
// request have HTTP status 200, even refusals such as an unknown task or a malformed
// parameter. Refusals have data null and a code: 3540000 for an invalid parameter,
// 3540100 without permission, 3540400 for an unknown task or node, 3545000 for an
// operation that is not possible now, 3555000 if the service is unavailable, 3599999
// for an internal error. Invalid requests have another HTTP status: 400 for a body
// that cannot be read, 401, 403, 404 for an unknown path, 405, 408 for a body that
// does not come in time, 413, 415, 421 for an unknown host name, 429 for too many
// requests at once, and 503 with Retry-After when the store or the handler is not
// available. An answer that fails in the middle ends its connection.
//
// get_tasks_status and get_tasks_manual_intervention_state leave out the tasks
// that are not found. get_task_node_detail has the inputs and outputs of the node's
// attempt, or of the last one of a loop; its histories are the superseded attempts,
// oldest first, with theirs. inputs is the recorded input if it is a JSON object;
// outputs is the recorded output if it is a list, or a list of objects with key, name
// and value for its fields. get_task_detail has the task's input as pipeline_tree if
// it is JSON. A node is found by its ID, or else by its key. The count of
// get_task_list is left out if a business has more than 100,000 tasks. Fields that
// clients expect and pipestatus does not record, such as creator, are empty.
//
// # Operations
//
// A runner that implements [Operator] can be operated: a task is paused, resumed
// and revoked; a node is retried, skipped, paused, resumed and made to fail. An
// operation needs a separate permission ([Options.AuthorizeOperation]), is recorded
// with the user's name, and is refused to web pages of other origins.
//
// # Access control
//
// A request is authenticated, then authorized for the business it names, before
// anything is looked up: callers without permission learn nothing about a business.
// See [Options.Authenticator] and [Options.Authorize]. A handler without an
// authenticator refuses every request; one with [NoAuth] answers only requests with a
// known host name, see [Options.Hosts].
//
// # Data of the status page
//
// GET / is the page: one response that loads nothing from other servers. Its data,
// which other clients can use too, needs the same credentials; parameters are in the
// query:
//
//	GET api/tasks     bk_biz_id, state (repeated), unfinished, has_failures, name (whole, or with *
//	                  for any characters), labels (a JSON object), since, until, started_since, started_until, finished_since,
//	                  finished_until, oldest_first, text, cursor, limit
//	GET api/task      bk_biz_id, task_id, as_of: the tree as a list of nodes
//	GET api/status    bk_biz_id, task_id, as_of: the documented response with all extra fields
//	GET api/history   bk_biz_id, task_id, node_id: every attempt, the current one included, with
//	                  its data as text, and the operations whose actor is known
//	GET api/timeline  bk_biz_id, task_id: the superseded attempts of all nodes, as a list
//	GET api/events    bk_biz_id, task_id: server-sent events
//	GET api/usual     bk_biz_id, task_id, name, labels: how the last runs went that have the name and
//	                  the labels, by default those of [query.RunsLike], and when the task will end
//	GET api/compare   bk_biz_id, task_id, with: the task and another one, node by node
//	GET api/counts    the filters of api/tasks: how many of the newest of these tasks show which state
//	GET api/zone      the name and the offsets of the time zone of all times
//	POST api/operate  operate_node if node_id is given, otherwise operate_task
//
// Times in these, api/status aside, are RFC 3339 in the configured location,
// absent when unset; since, until and as_of take RFC 3339 or Unix seconds.
//
// The page first sends requests without credentials and shows a sign-in form when it
// is refused. It keeps the entered credentials in the tab's session storage and sends
// them in the header X-Bkapi-Authorization.
//
// # Reading the store
//
// Where [Options.AuthorizeStore] allows it, programs read the store itself: package
// client makes a [store.Reader] of these calls. Answers are JSON Lines, which
// package store/wire documents; version names the version that the client reads.
//
//	GET api/store/load         bk_biz_id and task_id, with or without node_key; or node_id
//	GET api/store/locate       bk_biz_id and task_id, with or without node_key; or node_id
//	GET api/store/list         the filters of api/tasks without text, cursor, limit
//	GET api/store/transitions  bk_biz_id, task_id, after, limit
//	GET api/store/attempts     as load, skip, limit, data
//	GET api/store/feed         after, limit, wait
//
// A page has at most 1,000 lines. A refusal is in the envelope and has the additional
// field errors, the names of the errors of the store. A node of a task that the
// caller may not read is not found. The feed, with wait, answers when there is a
// transition, or at the next heartbeat. Answers contain sequences: see
// [Options.AuthorizeStore].
//
// # Positions
//
// A sequence counts transitions in all businesses. Only callers with permission to
// read the store get sequences, because others could infer the activity of
// businesses that they may not see. All others get positions, even in event IDs and
// entity tags: a position stands for a sequence of one task, and can only be compared
// for equality. Positions and the cursors of lists are encrypted with [Options.Key].
//
// # Limits
//
// Answers are sent in pieces of 64 KiB, and the memory for making them is bounded
// ([Options.MaxMemory]). A request counts from its authentication; before that, a
// slow body occupies only its connection, for up to [Options.ReadTimeout]. Bound the
// connections themselves in the server, with its ReadHeaderTimeout and a listener
// that limits their number.
//
// # Events
//
// A stream begins with an event "snapshot", the same data as api/task, and continues
// with an event "transition" for every transition of the task, in order; the ID of
// each is the task's position after it. With the header Last-Event-ID, or the
// parameter last_event_id, the stream continues after that position, without gap or
// duplicate; 0 is the position before the first transition. If the position is too
// old or unknown, or the task was deleted and created again, the stream begins again
// with a snapshot. An event "gone" says that the task was deleted and ends the
// stream. Comments in between keep the connection alive. A client that does not read
// is cut after [Options.WriteTimeout]; other clients are not affected.
package httpapi
