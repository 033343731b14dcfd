package boltstore

import (
	"encoding/binary"

	"github.com/pipestatus/pipestatus/state"
)

// The record of a node's progress begins with flags for the parts that follow,
// so that an ordinary start or finish takes a few bytes. Times are relative to
// a base, usually the time of the transition.
const (
	hasVersion     = 1 << iota // the version follows, unless sameVersion
	sameVersion                // the version is that of the node's previous change in the block
	isSkipped                  //
	isIgnored                  //
	hasStarted                 // the time follows, unless startedAtBase
	startedAtBase              //
	hasFinished                // the time follows, unless finishedAtBase
	finishedAtBase             //
	hasUpdated                 // the time of the last transition follows, because it is not the base
	hasError                   //
	hasRetryAt                 //
	hasSupersedes              //
	hasCounts                  // loop, retries and skips follow, because they are not 1, 0, 0
	isDeclared                 // changes only: the node is new
	hasSuperseded              // changes only: the superseded attempt follows
	hasMore                    // a byte with more flags follows

	ofChanges = isDeclared | hasSuperseded
)

// More flags, for properties that few attempts have.
const (
	isAlong = 1 << iota
	isPaused
	hasNote     // a text with what the node waits for follows
	hasCameFrom // the index of the node that led to the attempt follows

	knownMore = 1<<iota - 1
)

// appendProgress appends p with additional flags. last is the version of the
// node's previous change in the block, unset if there is none.
func appendProgress(dst []byte, p *state.Progress, base state.Instant, last state.Version, flags uint16) []byte {
	set := func(flag uint16, cond bool) bool {
		if cond {
			flags |= flag
		}
		return cond
	}
	at := len(dst)
	dst = append(dst, 0, 0, byte(p.State)|byte(p.Began)<<4)
	if set(hasVersion, p.Version.IsSet()) && !set(sameVersion, p.Version == last) {
		id := p.Version.Bytes()
		dst = append(dst, id[:]...)
	}
	set(isSkipped, p.Skipped)
	set(isIgnored, p.ErrorIgnored)
	if set(hasStarted, p.Started.IsSet()) && !set(startedAtBase, p.Started == base) {
		dst = appendInstant(dst, p.Started, base)
	}
	if set(hasFinished, p.Finished.IsSet()) && !set(finishedAtBase, p.Finished == base) {
		dst = appendInstant(dst, p.Finished, base)
	}
	if set(hasUpdated, p.Updated != base) {
		dst = appendMaybe(dst, p.Updated, base)
	}
	if set(hasError, p.Error != "") {
		dst = appendText(dst, p.Error)
	}
	if set(hasRetryAt, p.RetryAt.IsSet()) {
		dst = appendInstant(dst, p.RetryAt, base)
	}
	if set(hasSupersedes, p.Supersedes.IsSet()) {
		id := p.Supersedes.Bytes()
		dst = append(dst, id[:]...)
	}
	if set(hasCounts, p.Loop != 1 || p.Retries != 0 || p.Skips != 0) {
		dst = binary.AppendUvarint(dst, uint64(p.Loop))
		dst = binary.AppendUvarint(dst, uint64(p.Retries))
		dst = binary.AppendUvarint(dst, uint64(p.Skips))
	}
	if set(hasMore, p.Along || p.Paused || p.Note != "" || p.CameFrom != 0) {
		dst = appendMore(dst, p)
	}
	binary.LittleEndian.PutUint16(dst[at:], flags)
	return dst
}

func appendMore(dst []byte, p *state.Progress) []byte {
	var more byte
	if p.Along {
		more |= isAlong
	}
	if p.Paused {
		more |= isPaused
	}
	if p.Note != "" {
		more |= hasNote
	}
	if p.CameFrom != 0 {
		more |= hasCameFrom
	}
	dst = append(dst, more)
	if p.Note != "" {
		dst = appendText(dst, p.Note)
	}
	if p.CameFrom != 0 {
		dst = binary.AppendUvarint(dst, uint64(p.CameFrom))
	}
	return dst
}

func (d *decoder) more(p *state.Progress) {
	more := d.byte()
	if more&^knownMore != 0 {
		d.later()
	}
	p.Along, p.Paused = more&isAlong != 0, more&isPaused != 0
	if more&hasNote != 0 {
		p.Note = d.errorText()
	}
	if more&hasCameFrom != 0 {
		p.CameFrom = d.int(maxInt)
	}
}

// progress reads what appendProgress wrote and returns the flags.
func (d *decoder) progress(p *state.Progress, base state.Instant, last state.Version) uint16 {
	flags := d.uint16()
	has := func(flag uint16) bool { return flags&flag != 0 }
	b := d.byte()
	p.State, p.Began = state.State(b&15), state.OpKind(b>>4)
	d.state(p.State)
	if p.Began != 0 && !p.Began.Valid() {
		d.later()
	}
	switch {
	case has(sameVersion):
		p.Version = last
	case has(hasVersion):
		p.Version = d.version()
	}
	p.Skipped, p.ErrorIgnored = has(isSkipped), has(isIgnored)
	p.Started = d.progressTime(has(hasStarted), has(startedAtBase), base)
	p.Finished = d.progressTime(has(hasFinished), has(finishedAtBase), base)
	p.Updated = base
	if has(hasUpdated) {
		p.Updated = d.maybe(base)
	}
	if has(hasError) {
		p.Error = d.errorText()
	}
	if has(hasRetryAt) {
		p.RetryAt = d.instant(base)
	}
	if has(hasSupersedes) {
		p.Supersedes = d.version()
	}
	p.Loop = 1
	if has(hasCounts) {
		p.Loop, p.Retries, p.Skips = d.int(maxInt), d.int(maxInt), d.int(maxInt)
	}
	if has(hasMore) {
		d.more(p)
	}
	return flags
}

func (d *decoder) progressTime(has, atBase bool, base state.Instant) state.Instant {
	switch {
	case !has:
		return state.Instant{}
	case atBase:
		return base
	}
	return d.instant(base)
}

// state checks a state that was read from a record.
func (d *decoder) state(st state.State) {
	switch {
	case st == 0:
		d.fail()
	case !st.Valid():
		d.later()
	}
}

// appendAttempt appends a superseded attempt. Records of schema 1 lack the
// operation that began it.
func appendAttempt(dst []byte, a *state.Attempt, base state.Instant, last state.Version) []byte {
	return appendProgress(dst, &state.Progress{Attempt: *a, Updated: base}, base, last, 0)
}

func (d *decoder) attempt(base state.Instant, last state.Version) state.Attempt {
	var p state.Progress
	if d.progress(&p, base, last)&ofChanges != 0 {
		d.fail()
	}
	return p.Attempt
}
