package statusctl

import (
	"context"
	"errors"

	"github.com/pipestatus/pipestatus/engine"
)

var applyCommand = command{
	name: "apply", args: "[FILE]", summary: "record operations, one JSON object a line, from FILE or standard input",
	most: 1,
	detail: `
Each line is one operation:

  {"op":"create","biz":"2","task":"10","id":"p","name":"","at":1524730114}
  {"op":"start","node":"p"}
  {"op":"declare","node":"a","parent":"p","kind":"service_activity","name":"build"}
  {"op":"fail","node":"a","error":"text","retry_at":"2018-04-26T16:10:00+08:00"}
  {"op":"batch","ops":[{"op":"finish","node":"a"},{"op":"start","node":"b"}]}
  {"op":"status","biz":"2","task":"10"}
  {"op":"history","node":"a"}

Its fields are these, and no others:

  create      biz task id name labels input
  declare     node parent kind name key after retryable skippable max_loops
              new_version
  start       node input version loop
  finish      node output tolerate version loop
  fail        node error output ignore abandon retry_at version loop
  suspend     node note version loop
  resume      node version loop
  revoke      node error version loop
  retry       node new_version version
  skip        node output new_version version
  loop        node input from new_version version
  reset       node new_version version
  reopen      biz task loop
  label       biz task set remove
  begin       node parent kind name key after from input new_version
  report      node state error output version loop
  batch       ops
  status      biz task failed_first
  history     node

All but batch, status and history also take at and actor, and all of those but
begin and report take idempotent. biz, task and key name a node instead of node,
and without key the root; parent_key then does the same for parent. The task of
status may be a node's ID. ops are operations on one task, recorded all or not at
all. after and remove are lists of texts, labels and set objects of texts, input
and output any JSON. The error of a revoke is its reason.

kind is one of subprocess, start_event, end_event, service_activity,
exclusive_gateway, parallel_gateway, conditional_parallel_gateway and
converge_gateway. at is Unix seconds or RFC 3339; without it, now. The root has
no version: loop is the loop count of its attempt.

Each line is answered by one line, in order, once it is durable:

  {"ok":true,"seq":17,"node":"a","version":"914d35fe7d143c2186e6d3532870b37d"}
  {"ok":true,"seq":19,"node":"a","version":"…","did":["retry","start"]}
  {"ok":false,"code":"invalid_transition","error":"…"}

did is what a begin or a report recorded. A refusal has one of the codes
not_found exists invalid_transition invalid_argument version_mismatch
not_retryable not_skippable loop_limit conflict locked full failed unavailable corrupt
closed, for a batch also with the index of the operation that was refused. The
answers to status and history are what they ask for. The next line need not wait
for the answer; at most 64 are in flight. After "failed" and "corrupt" the exit
code is 1. Refusals do not change it.

-db :memory: records nothing beyond this call.`,
	run: apply,
}

func apply(ctx context.Context, t *tool, args []string) (err error) {
	in, err := t.input(args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	s, err := t.create(ctx, nil)
	if err != nil {
		return t.notOpened(err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	// Readers of the answers expect the sequences in the order of the lines.
	e, err := engine.Open(ctx, s, &engine.Options{InOrder: true})
	if err != nil {
		return t.notOpened(err)
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	r := &recorder{engine: e, reader: newReader(e, t.zone)}
	return r.apply(ctx, in, t.stdout)
}

// notOpened answers that the store does not open, without reading lines.
func (t *tool) notOpened(err error) error {
	var usage *usageError
	if errors.As(err, &usage) {
		return err
	}
	if err := writeLine(t.stdout, refusal(err, false)); err != nil {
		return err
	}
	return errAnswered
}
