package state

// WantsVersions reports whether an operation with a given version needs
// VersionTaken, which says whether an earlier attempt of its node had that
// version. The tree itself only knows the versions of the current attempt and
// of the one before it.
func (t *Tree) WantsVersions(op *Op) bool {
	if !op.VersionGiven || op.VersionTaken {
		return false
	}
	i, ok := t.Target(op)
	if !ok {
		return false
	}
	p := t.nodes.get(i).progress()
	// The one before may no longer be that when operations of the same batch
	// have begun others.
	return p.Number() > 2 && p.Version != op.NewVersion || p.Supersedes == op.NewVersion
}

// hadVersion reports whether a superseded attempt of the node has the operation's
// new version. p are the node's values, and before the outcomes of the operations
// before this one.
func (t *Tree) hadVersion(node string, op *Op, p *Progress, before []Outcome) bool {
	if op.VersionTaken || p.Supersedes == op.NewVersion {
		return true
	}
	if !op.VersionGiven {
		return false
	}
	named := Op{Version: op.NewVersion}
	for i := range before {
		if named.Recall(node, before[i].transitions()) != nil {
			return true
		}
	}
	return false
}
