package state

import "fmt"

// Op is one requested operation. Kind decides which other fields apply; a field
// that does not apply to the kind must be zero. Ops are plain values: Apply does not
// keep or change them.
type Op struct {
	Kind OpKind

	// Node is the ID of the operation's node. For [Create] it is the ID of the
	// new root, for [Declare] that of the new node; the caller of Apply
	// generates it if the user gave none. Operations on existing nodes can name
	// the node by Task and NodeKey instead; [Reopen] and [Label] name only the
	// task.
	Node string
	// Task is the key of the operation's task, where no ID determines it: in
	// Create, Reopen and Label, and with NodeKey and ParentKey.
	Task Key
	// NodeKey is the key of the operation's node, if Node is "" and Task is
	// given; "" is then the root. Not for Declare and Begin, whose node may be
	// new: see Key.
	NodeKey string
	// Parent is the ID of the container that gets the node; if it is "", the
	// container is the one with the key ParentKey in Task, or the root if that
	// is "" too. Declare and Begin only; a Begin of the root has none.
	Parent, ParentKey string
	// NodeKind is the kind of the new node. Declare and Begin only; a pipeline
	// cannot be declared, but its root can be begun.
	NodeKind Kind
	// Name is the display name of the new node, cut by [CutName]; "" stands for
	// the kind's [Kind.Class]. Create, Declare and Begin only.
	Name string
	// NoRetry and NoSkip forbid retry and skip of the new node, once it has
	// failed. Declare and Begin only.
	NoRetry, NoSkip bool
	// MaxLoops limits how often the new node may run: loop and reset are
	// refused when the node's loop count has reached it. 0 is no limit.
	// Declare and Begin only.
	MaxLoops int
	// Key is the runner's name for the new node, unique in the task, "" for no
	// key. A Begin without a given Node finds its node by Key. Declare and Begin
	// only.
	Key string
	// After names the nodes of the same container that lead to the new one, by
	// ID or else by key. Declare and Begin only.
	After []string
	// From names the node of the same container that led to the attempt which
	// begins, by ID or else by key. Start, Loop and Begin only.
	From string
	// Labels are those of a new task, or those to set, and Unlabel the keys of
	// those to remove. Create and Label, and Label only.
	Labels  Labels
	Unlabel []string

	// Input is the input of the attempt that begins, or of the task: Create, Start
	// (not of the root), Loop and Begin. Output is the output of the attempt that
	// ends: Finish, Fail, Skip, and Report of FINISHED or FAILED. A repeat, and a
	// Report with nothing to do, leave existing data unchanged.
	Input, Output *Data

	// Note says what the node waits for, cut by [CutError] and kept while the node
	// is SUSPENDED. Suspend only.
	Note string

	// State is the reported state of the node. Report only.
	State State

	// Error is the text of the failure or the reason of the revoke, cut by
	// [CutError]. Fail, Revoke, and Report of FAILED or REVOKED only.
	Error string
	// Ignore makes the failure an ignored one: the node ends FINISHED with
	// error_ignored. Fail only, not together with RetryAt or Abandon.
	Ignore bool
	// RetryAt announces an automatic retry of a leaf: until the next operation
	// on it the failure counts as running for the containers above. Nothing
	// happens by itself at that time. If the leaf cannot be retried, because it
	// is not retryable or something above has ended, the failure is recorded
	// without it. Fail only.
	RetryAt Instant
	// Abandon lets a container fail in any state of its children, which change as
	// by a revoke. Fail of a container only.
	Abandon bool
	// Tolerate lets a container finish although children FAILED: each of those
	// becomes FINISHED with error_ignored. Finish of a container only.
	Tolerate bool

	// Version, if set, is the attempt the operation is based on; the
	// operation is refused when another attempt is current. Not for Create,
	// Declare, Begin and Reopen. A Report of a superseded attempt records nothing.
	Version Version
	// Loop, if not 0, is the loop count of the root's attempt that the
	// operation is based on: the root has no version. Operations on the root
	// only.
	Loop int
	// NewVersion is the version of the attempt that begins. Declare, Retry,
	// Skip, Loop, Reset, Begin and Report need it; others must not have it. A
	// node has each version once.
	NewVersion Version
	// VersionGiven says that the user chose NewVersion, which may then be an old
	// version of the node, see VersionTaken. A Begin of a node that has or had an
	// attempt of that version records nothing, and one of a CREATED node gives
	// its attempt that version. Retry, Skip, Loop, Reset and Begin only.
	VersionGiven bool
	// VersionTaken says that an attempt of the node that the tree no longer holds
	// had NewVersion. The caller looks that up in the history if
	// [Tree.WantsVersions] says so.
	VersionTaken bool

	// Idempotent makes a repeat succeed without a transition; RULES.md defines
	// repeats. Retry, Skip, Loop, Reset and Reopen need Version or Loop to
	// recognize a repeat. Create and Declare are repeats if the same task or node
	// exists with the same parent, kind, name and key.
	Idempotent bool
	// Past is the history's entry for the attempt that Version or Loop names, if
	// it is not current. A tree holds only current attempts, so Apply refuses an
	// idempotent operation or a Report about an earlier one with
	// [ErrVersionMismatch]; the caller then reads the history and repeats the call
	// with Past. See [Op.Recall].
	Past *Past
	// Actor is the person or program behind the operation, kept in the transition;
	// "" if unknown.
	Actor string

	// At is the time given for the operation; unset stands for Now. RULES.md
	// says when a later one is used.
	At Instant
	// Now is the recording clock's time. It must be set.
	Now Instant

	// Taken says that Node, the ID of a node to be created, or Task, the key
	// of a task to be created, is in use elsewhere in the store. Create and
	// Declare are then refused with [ErrExists] in the order the rules give.
	Taken bool
	// NodeGiven says that the user chose Node. An idempotent Create without a
	// given ID matches an existing task with any root, and only a given ID can
	// be taken. Create, Declare and Begin only.
	NodeGiven bool
}

// Validate checks the shape of the operation. The error matches
// [ErrInvalidArgument] and names a missing or misplaced field, or a malformed ID or
// time. It is the first check of [Tree.Apply].
func (op *Op) Validate() error {
	if op.Kind == 0 {
		return fmt.Errorf("%w: an operation without a kind", ErrInvalidArgument)
	}
	if !op.Kind.Valid() && !op.Kind.Compound() || op.Kind == Delete {
		return fmt.Errorf("%w: %s cannot be applied to a tree", ErrInvalidArgument, op.Kind)
	}
	if err := op.validateTarget(); err != nil {
		return err
	}
	if err := CheckActor(op.Actor); err != nil {
		return err
	}
	if err := CheckTime("current time", op.Now); err != nil {
		return err
	}
	if !op.At.Valid() {
		return outside("time", op.At)
	}
	if err := op.validateNew(); err != nil {
		return err
	}
	if err := op.validateRecord(); err != nil {
		return err
	}
	if err := op.validateOutcome(); err != nil {
		return err
	}
	if err := op.validateData(); err != nil {
		return err
	}
	return op.validateAttempts()
}

// ofTask reports whether the operation names its task by key and no node.
func (k OpKind) ofTask() bool { return k == Reopen || k == Label }

// ByTask reports whether the operation names its task by key, and not by the ID of a
// node or of a container.
func (op *Op) ByTask() bool {
	switch op.Kind {
	case Create, Reopen, Label:
		return true
	case Declare, Begin:
		return op.Parent == "" && !(op.beginsRoot() && op.NodeGiven)
	}
	return op.Node == ""
}

// Place is the ID of the node by which the task of the operation is found, unless
// [Op.ByTask] holds: the container of a Declare or Begin, otherwise the node.
func (op *Op) Place() string {
	if (op.Kind == Declare || op.Kind == Begin) && !op.beginsRoot() {
		return op.Parent
	}
	return op.Node
}

// validateTarget checks the fields that name the node of the operation.
func (op *Op) validateTarget() error {
	makes := op.Kind == Create || op.Kind == Declare || op.Kind == Begin
	byTask := op.ByTask()
	switch {
	case op.Kind.ofTask() && op.Node != "":
		return misplaced(op.Kind, "node")
	case op.NodeKey != "" && (makes || op.Kind.ofTask()):
		return misplaced(op.Kind, "key of a node that exists")
	case op.NodeKey != "" && !byTask:
		return fmt.Errorf("%w: a node by ID and by key", ErrInvalidArgument)
	case op.NodeKey != "":
		if err := CheckNodeKey(op.NodeKey); err != nil {
			return err
		}
	}
	if !byTask {
		if op.Task != (Key{}) {
			return misplaced(op.Kind, "task with the ID of a node")
		}
		return CheckID("node ID", op.Node)
	}
	if !makes && op.Task == (Key{}) && op.NodeKey == "" && !op.Kind.ofTask() {
		return CheckID("node ID", op.Node) // neither an ID nor a key
	}
	if err := op.Task.Validate(); err != nil {
		return err
	}
	if makes && !op.beginsRoot() {
		return CheckID("node ID", op.Node)
	}
	return nil
}

// validateRecord checks the descriptive fields of a node, an attempt or a task.
func (op *Op) validateRecord() error {
	switch k := op.Kind; {
	case k != Start && k != Loop && k != Begin && op.From != "":
		return misplaced(k, "from")
	case k != Suspend && op.Note != "":
		return misplaced(k, "note")
	case k != Create && k != Label && op.Labels != (Labels{}), k != Label && op.Unlabel != nil:
		return misplaced(k, "labels")
	case k == Label && op.Labels == (Labels{}) && len(op.Unlabel) == 0:
		return fmt.Errorf("%w: label sets and removes nothing", ErrInvalidArgument)
	case len(op.Unlabel) > MaxLabels:
		return fmt.Errorf("%w: %d labels to remove, a task has at most %d", ErrInvalidArgument, len(op.Unlabel), MaxLabels)
	}
	for _, key := range op.Unlabel {
		if err := CheckLabel(key, ""); err != nil {
			return err
		}
		if _, set := op.Labels.Get(key); set {
			return fmt.Errorf("%w: label %q set and removed", ErrInvalidArgument, key)
		}
	}
	return op.Labels.Validate()
}

// validateOutcome checks the fields about the end of an attempt.
func (op *Op) validateOutcome() error {
	isFail := op.Kind == Fail
	switch {
	case !isFail && (op.Ignore || op.Abandon || op.RetryAt.IsSet()):
		return misplaced(op.Kind, "ignore, abandon or retry-at")
	case !isFail && op.Kind != Revoke && op.Error != "" && op.State != Failed && op.State != Revoked:
		return misplaced(op.Kind, "error")
	case op.Kind != Report && op.State != 0:
		return misplaced(op.Kind, "state")
	case op.Kind == Report && !op.State.Valid():
		return fmt.Errorf("%w: report of %s", ErrInvalidArgument, op.State)
	case op.Kind.Compound() && op.Idempotent:
		return misplaced(op.Kind, "idempotent")
	case op.Kind != Finish && op.Tolerate:
		return misplaced(op.Kind, "tolerate")
	case !op.RetryAt.Valid():
		return outside("retry-at", op.RetryAt)
	}
	return nil
}

// validateAttempts checks the fields that name attempts.
func (op *Op) validateAttempts() error {
	isNew := op.Kind == Create || op.Kind == Declare || op.Kind == Begin
	switch {
	case op.VersionGiven && !(op.Kind == Begin && !op.beginsRoot() || op.Kind.NewAttempt() && op.Kind != Reopen):
		return misplaced(op.Kind, "given version")
	case (isNew || op.Kind.ofTask()) && op.Version.IsSet():
		return misplaced(op.Kind, "version")
	case (isNew || op.Kind == Label) && op.Loop != 0:
		return misplaced(op.Kind, "loop")
	case op.Loop < 0 || op.Loop > maxCount:
		return fmt.Errorf("%w: loop %d is not within 1 to %d", ErrInvalidArgument, op.Loop, maxCount)
	}
	switch needs := op.Kind.NamesAttempt(); {
	case needs && !op.NewVersion.IsSet():
		return fmt.Errorf("%w: %s without a new version", ErrInvalidArgument, op.Kind)
	case !needs && op.NewVersion.IsSet():
		return misplaced(op.Kind, "new version")
	}
	return nil
}

// validateNew checks the fields that describe a node to be created.
func (op *Op) validateNew() error {
	declares := op.Kind == Declare || op.Kind == Begin
	switch {
	case op.beginsRoot():
		return op.validateRoot()
	case op.Kind == Begin && op.Key == "" && !op.NodeGiven:
		return fmt.Errorf("%w: a begin names its node by ID or by key", ErrInvalidArgument)
	case declares:
		return op.validateDeclaration()
	case op.Parent != "" || op.NodeKind != 0 || op.NoRetry || op.NoSkip || op.MaxLoops != 0 ||
		op.ParentKey != "" || op.Key != "" || op.After != nil:
		return misplaced(op.Kind, "parent, kind, key, after, retry, skip or loop setting")
	case op.Kind != Create && op.Name != "":
		return misplaced(op.Kind, "name")
	}
	return nil
}

// validateDeclaration checks the fields of a node to be declared.
func (op *Op) validateDeclaration() error {
	switch {
	case op.Parent != "" && op.ParentKey != "":
		return fmt.Errorf("%w: a parent by ID and by key", ErrInvalidArgument)
	case op.Parent != "":
		if err := CheckID("parent ID", op.Parent); err != nil {
			return err
		}
	case op.ParentKey != "":
		if err := CheckNodeKey(op.ParentKey); err != nil {
			return err
		}
	}
	if op.Key != "" {
		if err := CheckNodeKey(op.Key); err != nil {
			return err
		}
	}
	switch {
	case len(op.After) > MaxAfter:
		return fmt.Errorf("%w: %d nodes lead to the new one, at most %d", ErrInvalidArgument, len(op.After), MaxAfter)
	case !op.NodeKind.Valid() || op.NodeKind == Pipeline:
		return fmt.Errorf("%w: a %s cannot be declared", ErrInvalidArgument, op.NodeKind)
	case op.MaxLoops < 0 || op.MaxLoops > maxCount:
		return fmt.Errorf("%w: loop limit %d is not within 0 to %d", ErrInvalidArgument, op.MaxLoops, maxCount)
	}
	return nil
}

// maxCount bounds loop, retry and skip counts so that they fit 32 bits.
const maxCount = 1<<31 - 1

func misplaced(kind OpKind, what string) error {
	return fmt.Errorf("%w: %s takes no %s", ErrInvalidArgument, kind, what)
}
