module github.com/pipestatus/pipestatus/examples/fsm

go 1.25.0

require (
	github.com/looplab/fsm v1.0.3
	github.com/pipestatus/pipestatus v0.0.0
)

replace github.com/pipestatus/pipestatus => ../..
