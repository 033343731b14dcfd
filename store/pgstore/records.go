package pgstore

import (
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
)

// Flags for optional parts of an attempt.
const (
	attemptVersion = 1 << iota
	attemptSkipped
	attemptIgnored
	attemptCounts // loop, retries and skips are not 1, 0 and 0
	attemptError
	attemptRetryAt
	attemptBegan    // what began it follows, and whether it was taken along
	attemptCameFrom // the index of the node that led to it follows; the last flag that fits
)

// Flags in the byte with the operation that began an attempt.
const (
	wasPaused = 1 << 5
	wentAlong = 1 << 6
)

func flagIf(cond bool, flag byte) byte {
	if cond {
		return flag
	}
	return 0
}

func appendAttempt(dst []byte, a *state.Attempt, base state.Instant) []byte {
	flags := flagIf(a.Version.IsSet(), attemptVersion) | flagIf(a.Skipped, attemptSkipped) |
		flagIf(a.ErrorIgnored, attemptIgnored) | flagIf(a.Loop != 1 || a.Retries != 0 || a.Skips != 0, attemptCounts) |
		flagIf(a.Error != "", attemptError) | flagIf(a.RetryAt.IsSet(), attemptRetryAt) |
		flagIf(a.Began != 0 || a.Paused, attemptBegan) | flagIf(a.CameFrom != 0, attemptCameFrom)
	dst = append(dst, flags, byte(a.State))
	dst = appendTime(appendTime(dst, a.Started, base), a.Finished, base)
	if flags&attemptVersion != 0 {
		dst = appendVersion(dst, a.Version)
	}
	if flags&attemptCounts != 0 {
		dst = appendCount(appendCount(appendCount(dst, a.Loop), a.Retries), a.Skips)
	}
	if flags&attemptError != 0 {
		dst = appendText(dst, a.Error)
	}
	if flags&attemptRetryAt != 0 {
		dst = appendTime(dst, a.RetryAt, base)
	}
	if flags&attemptBegan != 0 {
		dst = append(dst, beganByte(a))
	}
	if flags&attemptCameFrom != 0 {
		dst = appendCount(dst, a.CameFrom)
	}
	return dst
}

func (d *decoder) attempt(a *state.Attempt, base state.Instant) {
	flags := d.byte()
	a.State = known[state.State](d, d.byte())
	a.Started, a.Finished = d.time(base), d.time(base)
	a.Skipped, a.ErrorIgnored = flags&attemptSkipped != 0, flags&attemptIgnored != 0
	a.Loop = 1
	if flags&attemptVersion != 0 {
		a.Version = d.version()
	}
	if flags&attemptCounts != 0 {
		a.Loop, a.Retries, a.Skips = d.count(), d.count(), d.count()
	}
	if flags&attemptError != 0 {
		a.Error = d.errorText()
	}
	if flags&attemptRetryAt != 0 {
		a.RetryAt = d.time(base)
	}
	if flags&attemptBegan != 0 {
		d.began(a, d.byte())
	}
	if flags&attemptCameFrom != 0 {
		a.CameFrom = d.count()
	}
}

func beganByte(a *state.Attempt) byte {
	return byte(a.Began) | flagIf(a.Along, wentAlong) | flagIf(a.Paused, wasPaused)
}

// began reads the byte that says what began an attempt.
func (d *decoder) began(a *state.Attempt, b byte) {
	a.Began, a.Along, a.Paused = state.OpKind(b&^(wentAlong|wasPaused)), b&wentAlong != 0, b&wasPaused != 0
	switch {
	case a.Began != 0 && !a.Began.Valid():
		d.later()
	case a.Along && a.Began != state.Reset:
		d.fail()
	}
}

// Set in the byte of a progress that says what began it. Operations have the lower
// four bits, see [state.Label].
const (
	hasNote    = 1 << 4 // what the node waits for follows
	supersedes = 1 << 7
)

func appendProgress(dst []byte, p *state.Progress, base state.Instant) []byte {
	dst = append(dst, beganByte(&p.Attempt)|flagIf(p.Supersedes.IsSet(), supersedes)|flagIf(p.Note != "", hasNote))
	dst = appendTime(dst, p.Updated, base)
	if p.Supersedes.IsSet() {
		dst = appendVersion(dst, p.Supersedes)
	}
	if p.Note != "" {
		dst = appendText(dst, p.Note)
	}
	a := p.Attempt
	a.Began, a.Along, a.Paused = 0, false, false // written above
	return appendAttempt(dst, &a, p.Updated)
}

func (d *decoder) progress(p *state.Progress, base state.Instant) {
	began := d.byte()
	p.Updated = d.time(base)
	if began&supersedes != 0 {
		p.Supersedes = d.version()
	}
	if began&hasNote != 0 {
		p.Note = d.errorText()
	}
	d.attempt(&p.Attempt, p.Updated)
	d.began(&p.Attempt, began&^(supersedes|hasNote))
}

// Flags of a declaration.
const (
	declaredNoRetry = 1 << iota
	declaredNoSkip
	declaredPlace // a key and edges follow
)

func appendDeclaration(dst []byte, decl *state.Declaration) []byte {
	placed := decl.Key != "" || decl.After != (state.Edges{})
	dst = append(dst, flagIf(decl.NoRetry, declaredNoRetry)|flagIf(decl.NoSkip, declaredNoSkip)|flagIf(placed, declaredPlace))
	dst = appendText(appendCount(appendCount(dst, decl.ParentIndex+1), decl.MaxLoops), decl.Name)
	if !placed {
		return dst
	}
	dst = appendCount(appendText(dst, decl.Key), decl.After.Len())
	for i := range decl.After.All() {
		dst = appendCount(dst, i)
	}
	return dst
}

func (d *decoder) declaration(decl *state.Declaration) {
	flags := d.byte()
	if flags&^(declaredNoRetry|declaredNoSkip|declaredPlace) != 0 {
		d.later()
	}
	decl.NoRetry, decl.NoSkip = flags&declaredNoRetry != 0, flags&declaredNoSkip != 0
	decl.ParentIndex, decl.MaxLoops = d.count()-1, d.count()
	decl.Name = d.name()
	if flags&declaredPlace == 0 {
		return
	}
	if decl.Key = d.plain(); decl.Key != "" && state.CheckNodeKey(decl.Key) != nil {
		d.fail()
	}
	after := make([]int, d.uvarint(state.MaxAfter))
	for i := range after {
		if after[i] = d.count(); i > 0 && after[i] <= after[i-1] {
			d.fail()
			return
		}
	}
	decl.After = state.EdgesOf(after...)
}

func appendLabels(dst []byte, labels state.Labels) []byte {
	dst = appendCount(dst, labels.Len())
	for key, value := range labels.All() {
		dst = appendText(appendText(dst, key), value)
	}
	return dst
}

func (d *decoder) labels() state.Labels {
	labels := make(map[string]string)
	last := ""
	for range d.uvarint(state.MaxLabels) {
		key, value := d.plain(), d.plain()
		if key <= last || state.CheckLabel(key, value) != nil {
			d.fail()
			return state.Labels{}
		}
		labels[key], last = value, key
	}
	return state.LabelsOf(labels)
}

// encodeDeclaration is the column of that name: the kind and what it was
// declared with, without the parent's ID, which is in the parent's row.
func encodeDeclaration(kind state.Kind, decl *state.Declaration) []byte {
	return appendDeclaration([]byte{recordVersion, byte(kind)}, decl)
}

// decodeNodeKey reads the key in a declaration.
func decodeNodeKey(declaration []byte) (string, error) {
	d := record(declaration)
	known[state.Kind](&d, d.byte())
	var decl state.Declaration
	d.declaration(&decl)
	return decl.Key, d.end("declaration")
}

func encodeProgress(p *state.Progress) []byte {
	return appendProgress([]byte{recordVersion}, p, state.Instant{})
}

// decodeNode reads a row of nodes into n, all but its index and parent's ID.
func decodeNode(id, declaration, progress []byte, n *state.Node) error {
	d := decoder{b: id}
	n.ID = d.id()
	if err := d.end("node ID"); err != nil {
		return err
	}
	d = record(declaration)
	n.Kind = known[state.Kind](&d, d.byte())
	d.declaration(&n.Declaration)
	if err := d.end("declaration"); err != nil {
		return err
	}
	d = record(progress)
	d.progress(&n.Progress, state.Instant{})
	return d.end("progress")
}

func encodeAttempt(a *state.Attempt) []byte {
	return appendAttempt([]byte{recordVersion}, a, state.Instant{})
}

func decodeAttempt(b []byte) (a state.Attempt, err error) {
	d := record(b)
	d.attempt(&a, state.Instant{})
	return a, d.end("attempt")
}

// Set in the first byte of a header and of a transition if something follows at
// the end: the number of pending automatic retries, then the task's labels, then
// the size and the digest of a transition's data.
const (
	hasData    = 1 << 5
	hasLabels  = 1 << 6
	hasPending = 1 << 7
)

// encodeHeader encodes the values that have no column in a task's row.
func encodeHeader(t *store.Task) []byte {
	b := appendText(appendID([]byte{recordVersion, byte(t.State) | flagIf(t.Pending > 0, hasPending) | flagIf(t.Labels != (state.Labels{}), hasLabels)}, t.Root), t.Name)
	b = appendCount(b, t.Nodes)
	for s := state.Created; s <= state.Finished; s++ {
		b = appendCount(b, t.Counts[s])
	}
	b = appendTime(b, t.Updated, state.Instant{})
	b = appendTime(appendTime(b, t.Started, t.Updated), t.Finished, t.Updated)
	if t.Pending > 0 {
		b = appendCount(b, t.Pending)
	}
	if t.Labels != (state.Labels{}) {
		b = appendLabels(b, t.Labels)
	}
	return b
}

// decodeHeader completes a task that has its columns.
func decodeHeader(b []byte, t *store.Task) error {
	d := record(b)
	first := d.byte()
	t.State = known[state.State](&d, first&^(hasPending|hasLabels))
	t.Root, t.Name, t.Nodes = d.id(), d.name(), d.count()
	for s := state.Created; s <= state.Finished; s++ {
		t.Counts[s] = d.count()
	}
	t.Updated = d.time(state.Instant{})
	t.Started, t.Finished = d.time(t.Updated), d.time(t.Updated)
	if first&hasPending != 0 {
		t.Pending = d.count()
	}
	if first&hasLabels != 0 {
		t.Labels = d.labels()
	}
	return d.end("header")
}

// encodeTransition leaves out sequence and task, which are columns.
func encodeTransition(tr *state.Transition) []byte {
	b := make([]byte, 0, 96)
	b = append(b, recordVersion, byte(tr.Op)|flagIf(tr.Pending > 0, hasPending)|flagIf(tr.Labels != (state.Labels{}), hasLabels)|flagIf(tr.Data != nil, hasData), byte(tr.Shown))
	b = appendTime(b, tr.At, state.Instant{})
	b = appendTime(b, tr.Recorded, tr.At)
	b = appendText(b, tr.Actor)
	b = appendCount(b, len(tr.Changes))
	for i := range tr.Changes {
		b = appendChange(b, &tr.Changes[i], tr.At)
	}
	if tr.Pending > 0 {
		b = appendCount(b, tr.Pending)
	}
	if tr.Labels != (state.Labels{}) {
		b = appendLabels(b, tr.Labels)
	}
	if tr.Data != nil {
		digest := tr.Data.Digest()
		b = append(appendCount(b, tr.Data.Size()), digest[:]...)
	}
	return b
}

// Flags in the byte with the kind of a changed node.
const (
	changeDeclared   = 1 << 6
	changeSuperseded = 1 << 7
)

func appendChange(dst []byte, c *state.Change, at state.Instant) []byte {
	dst = append(dst,
		byte(c.Kind)|flagIf(c.Declared != nil, changeDeclared)|flagIf(c.Superseded != nil, changeSuperseded), byte(c.From))
	dst = appendID(appendCount(dst, c.Index), c.ID)
	dst = appendProgress(dst, &c.Progress, at)
	if c.Declared != nil {
		dst = appendDeclaration(dst, c.Declared)
		if c.Declared.ParentIndex >= 0 {
			dst = appendID(dst, c.Declared.Parent)
		}
	}
	if c.Superseded != nil {
		dst = appendAttempt(dst, c.Superseded, at)
	}
	return dst
}

func decodeTransition(b []byte, seq uint64, key state.Key) (*state.Transition, error) {
	d := record(b)
	first := d.byte()
	tr := &state.Transition{Sequence: seq, Task: key, Op: known[state.OpKind](&d, first&^(hasPending|hasLabels|hasData))}
	if tr.Shown = state.State(d.byte()); tr.Shown != 0 && !tr.Shown.Valid() {
		d.later()
	}
	tr.At = d.time(state.Instant{})
	tr.Recorded = d.time(tr.At)
	tr.Actor = d.actor()
	n := int(d.uvarint(uint64(len(d.b)))) // a change takes more than a byte
	if n > 0 {
		tr.Changes = make([]state.Change, n)
	}
	for i := range tr.Changes {
		d.change(&tr.Changes[i], tr.At)
	}
	if first&hasPending != 0 {
		tr.Pending = d.count()
	}
	if first&hasLabels != 0 {
		tr.Labels = d.labels()
	}
	if first&hasData != 0 {
		size := int(d.uvarint(state.MaxDataBytes))
		if digest := d.bytes(16); !d.bad {
			tr.Data, _ = namedData(size, digest) // which can be
		}
	}
	return tr, d.end("transition")
}

func (d *decoder) change(c *state.Change, at state.Instant) {
	b := d.byte()
	c.Kind = known[state.Kind](d, b&^(changeDeclared|changeSuperseded))
	if c.From = state.State(d.byte()); c.From != 0 && !c.From.Valid() {
		d.later()
	}
	c.Index, c.ID = d.count(), d.id()
	d.progress(&c.Progress, at)
	if b&changeDeclared != 0 {
		c.Declared = new(state.Declaration)
		if d.declaration(c.Declared); c.Declared.ParentIndex >= 0 {
			c.Declared.Parent = d.id()
		}
	}
	if b&changeSuperseded != 0 {
		c.Superseded = new(state.Attempt)
		d.attempt(c.Superseded, at)
	}
}
