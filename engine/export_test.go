package engine

import "github.com/pipestatus/pipestatus/state"

// RawOp is an operation with these fields, also one that no options make.
func RawOp(op state.Op) Op { return Op{op: op} }
