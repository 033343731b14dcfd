package runner

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pipestatus/pipestatus/examples/internal/runner/expression"
)

// activity reads the command and the policy of a service activity.
func (b *builder) activity(path string, n *node, e *element) {
	b.component(path, n, e)
	n.timeout = b.seconds(path, "timeout", e.Timeout)
	b.timeoutConfig(path, n, e)
	if e.AutoRetry.Enable {
		n.retries, n.retryDelay = e.AutoRetry.Times, b.seconds(path, "auto_retry.interval", e.AutoRetry.Interval)
	}
	n.autoSkip, n.ignoreError = e.AutoSkip, e.ErrorIgnorable
	n.noRetry = b.forbidden(path, "retryable", e.Retryable, "can_retry", e.CanRetry)
	n.noSkip = b.forbidden(path, "skippable", e.Skippable, "isSkipped", e.IsSkipped)
	b.loopConfig(path, n, e)
	switch {
	case n.retries < 0:
		b.problem(path, "auto_retry.times is negative")
	case n.retries > 0 && n.noRetry:
		b.problem(path, "auto_retry of an activity that is not retryable")
	}
	switch {
	case (n.autoSkip || n.skipLate) && n.noSkip:
		b.problem(path, "auto_skip of an activity that is not skippable")
	case n.autoSkip && n.ignoreError:
		b.problem(path, "auto_skip and error_ignorable together: which?")
	}
}

// component reads the command of an activity and its inputs.
func (b *builder) component(path string, n *node, e *element) {
	inputs, field := e.Component.Inputs, "component.inputs"
	if inputs == nil && e.Component.Data != nil {
		inputs, field = map[string]input{}, "component.data"
		for key, in := range e.Component.Data {
			in.Type = "splice" // as the web API means it
			inputs[key] = in
		}
	}
	if e.Component.Code != "shell" {
		b.problem(path, "component %q cannot be run here, only shell", e.Component.Code)
		return
	}
	use := "command"
	if _, ok := inputs["command_windows"]; ok && b.windows {
		use = "command_windows"
	}
	if text, _ := valueText(inputs[use].Value); strings.TrimSpace(text) == "" {
		b.problem(path, `needs a command: "component": {"code": "shell", "inputs": {"command": {"value": "…"}}}`)
	} else {
		n.command = b.template(join(path, field+"."+use), inputs[use], false)
	}
	n.inputs = map[string]*expression.Template{}
	for _, key := range slices.Sorted(maps.Keys(inputs)) {
		if key == "command" || key == "command_windows" {
			continue
		}
		place := join(path, field+"."+key)
		if !expression.IsName(key) {
			b.problem(place, "an input is named with letters, digits and _, as in an environment")
			continue
		}
		if t := b.template(place, inputs[key], true); t != nil {
			n.inputs[key] = t
		}
	}
}

func (b *builder) timeoutConfig(path string, n *node, e *element) {
	if !e.TimeoutConfig.Enable {
		return
	}
	if n.timeout > 0 {
		b.problem(path, "timeout and timeout_config together: which?")
	}
	n.timeout = b.seconds(path, "timeout_config.seconds", e.TimeoutConfig.Seconds)
	if n.timeout == 0 {
		b.problem(path, "timeout_config.seconds is missing")
	}
	switch e.TimeoutConfig.Action {
	case "forced_fail":
	case "forced_fail_and_skip":
		n.skipLate = true
	default:
		b.problem(path, "timeout_config.action %q is not known, only forced_fail and forced_fail_and_skip", e.TimeoutConfig.Action)
	}
}

func (b *builder) loopConfig(path string, n *node, e *element) {
	c := e.LoopConfig
	if !c.Enable {
		return
	}
	if c.Times < 1 || c.Times > n.maxLoops {
		b.problem(path, "loop_config.loop_times is not between 1 and the limit of %d passes", n.maxLoops)
		return
	}
	n.passes = c.Times
	n.autoSkip = n.autoSkip || c.FailSkip
	n.noRetry = n.noRetry || c.Retryable != nil && !*c.Retryable
	n.noSkip = n.noSkip || c.Skippable != nil && !*c.Skippable
}

// forbidden reports whether a flag that may have one of two names forbids
// something.
func (b *builder) forbidden(path, name string, flag *bool, oldName string, old *bool) bool {
	switch {
	case flag == nil:
		flag = old
	case old != nil && *old != *flag:
		b.problem(path, "%s and %s differ: which?", name, oldName)
	}
	return flag != nil && !*flag
}

// subprocess reads the inputs of a subprocess. Its pipeline is built later.
func (b *builder) subprocess(path string, n *node, e *element) {
	switch {
	case e.Pipeline == nil && e.TemplateID != nil:
		b.problem(path, "a SubProcess needs a pipeline: template_id %v names one, which cannot be looked up here", e.TemplateID)
	case e.Pipeline == nil:
		b.problem(path, "a SubProcess needs a pipeline")
	}
	if len(e.Constants) > 0 {
		b.problem(path, "constants of a SubProcess are not supported: params gives its variables their values")
	}
	if e.LoopConfig.Enable || e.TimeoutConfig.Enable {
		b.problem(path, "loop_config and timeout_config of a SubProcess are not supported")
	}
	n.inputs = map[string]*expression.Template{}
	for _, key := range slices.Sorted(maps.Keys(e.Params)) {
		name, place := variableName(key), join(path, "params."+key)
		if !expression.IsName(name) {
			b.problem(place, "a variable is named ${name}, with letters, digits and _")
		} else if t := b.template(place, e.Params[key], true); t != nil {
			n.inputs[name] = t
		}
	}
}

// maxSeconds keeps durations far from the limits of time.Duration.
const maxSeconds = 365 * 24 * 3600

func (b *builder) seconds(path, field string, s float64) time.Duration {
	if s < 0 || s > maxSeconds {
		b.problem(path, "%s is not between 0 and %d seconds", field, maxSeconds)
		return 0
	}
	return time.Duration(s * float64(time.Second))
}
