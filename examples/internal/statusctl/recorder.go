package statusctl

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"

	"github.com/pipestatus/pipestatus/engine"
)

// maxInFlight bounds the lines in progress, which have no answer yet. A long line
// counts as several, one of the longest as all: its operations may need a lot of
// memory.
const maxInFlight = 64

// slotsOf is the number of lines that a line of this length counts as.
func slotsOf(length int) int { return min(1+length/(maxLine/maxInFlight), maxInFlight) }

// errAnswered ends a command whose failure has been written as its answer.
var errAnswered = errors.New("answered")

// recorder carries out lines.
type recorder struct {
	engine *engine.Engine
	reader *reader
}

// line is one line of input: a request, or the reason why it is invalid.
type line struct {
	request
	err   error
	slots int // see maxInFlight
}

// flight is a line in progress.
type flight struct {
	// ready is closed once answer does not wait; nil if it always may.
	ready <-chan struct{}
	// answer waits for the answer, in a form that writeLine takes.
	answer func(context.Context) any
	// answered is closed once the answer is written; nil if nothing waits for it.
	answered chan struct{}
	slots    int // to release then
}

// atOnce is a closed channel: ready for flights that need not wait.
var atOnce = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// apply carries out the lines of in and writes their answers to out, in order and as
// soon as possible. It returns nil when in was read to its end and every line is
// answered. When ctx ends, it stops reading, answers the lines in progress and
// returns the context's error.
func (r *recorder) apply(ctx context.Context, in io.Reader, out io.Writer) error {
	reading, stop := context.WithCancel(ctx)
	lines := make(chan line)
	var readErr error
	go func() {
		// apply does not wait for this goroutine, as a Read cannot be interrupted.
		defer close(lines)
		readErr = readLines(reading, in, lines)
	}()
	flights := make(chan flight, maxInFlight)
	slots := make(chan struct{}, maxInFlight)
	go r.launchAll(reading, lines, slots, flights)
	defer func() {
		stop()
		for range flights { // until launchAll has ended
		}
	}()
	if err := writeAnswers(context.WithoutCancel(ctx), flights, slots, out); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return readErr
}

// writeAnswers writes answers until there are no more flights. It writes available
// answers in one Write. A line releases its slots when its answer is written.
func writeAnswers(ctx context.Context, flights <-chan flight, slots <-chan struct{}, out io.Writer) error {
	w := bufio.NewWriter(out)
	held := 0
	flush := func() error {
		err := w.Flush()
		for ; held > 0; held-- {
			<-slots
		}
		return err
	}
	for {
		f, more := flight{}, true
		select {
		case f, more = <-flights:
		default:
			if err := flush(); err != nil {
				return err
			}
			f, more = <-flights
		}
		if !more {
			return flush()
		}
		select {
		case <-f.ready:
		default:
			if err := flush(); err != nil {
				return err
			}
		}
		answer := f.answer(ctx)
		if err := writeLine(w, answer); err != nil {
			return err
		}
		if no, ok := answer.(refused); ok && fatal(no.Code) {
			return cmp.Or(flush(), errAnswered)
		}
		held += f.slots
		if f.answered != nil {
			close(f.answered)
		}
	}
}

// readLines sends the lines of in until its end.
func readLines(ctx context.Context, in io.Reader, lines chan<- line) error {
	r := newLineReader(in, maxLine)
	for {
		l := line{slots: 1}
		switch raw, err := r.next(); {
		case err == nil:
			l.slots = slotsOf(len(raw))
			l.request, l.err = parseRequest(raw)
		case errors.Is(err, errLineTooLong):
			l.err = invalid("%w", err)
		case errors.Is(err, io.EOF):
			return nil
		default:
			return err
		}
		select {
		case lines <- l:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// launchAll begins lines in order, each as soon as there are slots for it,
// until there are no more or ctx ends.
func (r *recorder) launchAll(ctx context.Context, lines <-chan line, slots chan<- struct{}, flights chan<- flight) {
	defer close(flights)
	for {
		var l line
		var more bool
		select {
		case l, more = <-lines:
		case <-ctx.Done():
		}
		if !more {
			return
		}
		for range l.slots {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
		f := r.launch(l)
		f.slots = l.slots
		flights <- f
		if f.answered == nil {
			continue
		}
		select {
		case <-f.answered:
		case <-ctx.Done():
			return
		}
	}
}

// launch begins one line. Operations are queued here, so that they are applied
// in the order of the lines. Questions are asked when their turn to be
// answered has come, and no later line begins before: they see everything
// above them and nothing below.
func (r *recorder) launch(l line) flight {
	switch {
	case l.err != nil:
		return flight{ready: atOnce, answer: func(context.Context) any { return refusal(l.err, l.batch) }}
	case l.ops != nil:
		pending := r.engine.Submit(l.ops...)
		return flight{ready: pending.Done(), answer: func(ctx context.Context) any {
			results, err := pending.Wait(ctx)
			if err != nil {
				return refusal(err, l.batch)
			}
			return acceptance(results)
		}}
	}
	return flight{answered: make(chan struct{}), answer: func(ctx context.Context) any {
		answer, err := r.ask(ctx, &l.request)
		if err != nil {
			return refusal(err, false)
		}
		return answer
	}}
}

func (r *recorder) ask(ctx context.Context, q *request) (any, error) {
	if q.status != nil {
		return r.reader.status(ctx, q.status)
	}
	return r.reader.history(ctx, *q.history)
}
