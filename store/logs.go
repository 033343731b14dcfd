package store

import "encoding/binary"

// A store keeps its transitions in one log, or in several, each with separate
// histories and sequences. The sequence of a transition is its number in its log,
// counted from 1, plus [LogSize] for each log before that. It is therefore unique in
// the store, the transitions of a write follow each other without gap, and a store
// with one log counts from 1. A task stays in one log. Sequences do not order the
// transitions of two logs.
const (
	// LogSize is the number of sequences of a log. With [MaxLogs] logs all
	// sequences are integers that JSON programs read exactly.
	LogSize = 100_000_000_000_000
	// MaxLogs is the most logs of a store.
	MaxLogs = 90
)

// LogOf returns the number, from 0, of the log that a sequence belongs to.
func LogOf(sequence uint64) int {
	if sequence >= MaxLogs*LogSize { // of no transition; in a position it is of the first
		return 0
	}
	return int(sequence / LogSize)
}

// logBytes are a history and a sequence in its log.
const logBytes = len(History{}) + 8

// Join returns the position that has these in its logs, in their order. Each is
// the position of a store with one log.
func Join(logs ...Position) Position {
	if len(logs) == 0 {
		return Position{}
	}
	p := Position{History: logs[0].History, Sequence: logs[0].Sequence}
	var further []byte
	end := 0
	for _, log := range logs[1:] {
		further = append(further, log.History[:]...)
		further = binary.BigEndian.AppendUint64(further, log.Sequence)
		if log != (Position{}) {
			end = len(further)
		}
	}
	p.further = string(further[:end])
	return p
}

// Logs returns the positions in the single logs, of which [Join] makes this position.
// Logs at the end of the list that are at their beginning may be missing, except the
// first one.
func (p Position) Logs() []Position {
	logs := make([]Position, 1, 1+len(p.further)/logBytes)
	logs[0] = Position{History: p.History, Sequence: p.Sequence}
	for rest := p.further; rest != ""; rest = rest[logBytes:] {
		logs = append(logs, further(rest))
	}
	return logs
}

// further is the first log of the encoded ones.
func further(encoded string) (log Position) {
	copy(log.History[:], encoded)
	log.Sequence = binary.BigEndian.Uint64([]byte(encoded[len(log.History):logBytes]))
	return log
}

// log is the position in one log.
func (p Position) log(i int) Position {
	switch {
	case i == 0:
		return Position{History: p.History, Sequence: p.Sequence}
	case i*logBytes > len(p.further):
		return Position{}
	}
	return further(p.further[(i-1)*logBytes:])
}

// HistoryOf is the position's history in the log that a sequence belongs to.
func (p Position) HistoryOf(sequence uint64) History { return p.log(LogOf(sequence)).History }

// In is the position's sequence in the log that another sequence belongs to.
func (p Position) In(sequence uint64) uint64 {
	i := LogOf(sequence)
	return p.log(i).Sequence + uint64(i)*LogSize
}

// Has reports whether the transition with a sequence is before the position. The
// transition must be of the position's history.
func (p Position) Has(sequence uint64) bool { return sequence <= p.In(sequence) }

// With is the position moved, in the log of a sequence only, to the place after the
// transition with this sequence in this history.
func (p Position) With(history History, sequence uint64) Position {
	i := LogOf(sequence)
	if i == 0 {
		p.History, p.Sequence = history, sequence
		return p
	}
	logs := p.Logs()
	for len(logs) <= i {
		logs = append(logs, Position{})
	}
	logs[i] = Position{History: history, Sequence: sequence - uint64(i)*LogSize}
	return Join(logs...)
}

// At is the position moved, in the log of a sequence only, to this sequence of the
// same history.
func (p Position) At(sequence uint64) Position { return p.With(p.HistoryOf(sequence), sequence) }

// Lag is the number of transitions, in all logs, after the position and up to another
// one.
func (p Position) Lag(other Position) (n uint64) {
	for i, log := range other.Logs() {
		if at := p.log(i).Sequence; at < log.Sequence {
			n += log.Sequence - at
		}
	}
	return n
}
