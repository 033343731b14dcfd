package statusctl

import (
	"context"
	"errors"
	"flag"

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

  create                         biz, task, id, name
  declare                        node, parent, kind, name, retryable, skippable,
                                 max_loops, new_version
  start suspend resume           node, version, loop
  finish                         node, tolerate, version, loop
  fail                           node, error, ignore, abandon, retry_at, version,
                                 loop
  revoke                         node, error (the reason), version, loop
  retry skip loop reset          node, new_version, version
  reopen                         biz, task, loop
  all of these                   at, actor, idempotent
  batch                          ops: on one task, all or none
  status                         biz, task (or a node's ID), failed_first
  history                        node

kind is one of subprocess, start_event, end_event, service_activity,
exclusive_gateway, parallel_gateway, conditional_parallel_gateway and
converge_gateway. at is Unix seconds or RFC 3339; without it, now. The root has
no version: loop is the loop count of its attempt.

Each line is answered by one line, in order, once it is durable:

  {"ok":true,"seq":17,"node":"a","version":"914d35fe7d143c2186e6d3532870b37d"}
  {"ok":false,"code":"invalid_transition","error":"…"}

with one of the codes not_found exists invalid_transition invalid_argument
version_mismatch not_retryable not_skippable loop_limit conflict locked full
failed corrupt closed, for a batch also with the index of the operation that was
refused; status and history with what they ask for. The next line need not wait
for the answer; at most 64 are in flight. After "failed" and "corrupt" the exit
code is 1. Refusals do not change it.

-db :memory: records nothing beyond this call.`,
	bind: func(*flag.FlagSet) func(context.Context, *tool, []string) error { return apply },
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
	// Whoever reads the answers expects the sequences to go by the lines.
	e, err := engine.Open(ctx, s, &engine.Options{InOrder: true})
	if err != nil {
		return t.notOpened(err)
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	r := &recorder{engine: e, reader: newReader(e, t.zone)}
	return r.apply(ctx, in, t.stdout)
}

// notOpened answers that the store does not open, whatever the lines are.
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
