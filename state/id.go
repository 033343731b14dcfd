package state

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Limits of the texts of an operation.
const (
	// MaxIDBytes is the length limit of business, task and node IDs: 1 to 128
	// bytes of UTF-8 without control characters.
	MaxIDBytes = 128
	// MaxActorBytes is the length limit of actors: 1 to 255 bytes.
	MaxActorBytes = 255
	// MaxKeyBytes is the length limit of node keys: 1 to 255 bytes.
	MaxKeyBytes = 255
	// MaxAfter is the most nodes that can lead to another one.
	MaxAfter = 1000
	// MaxNameBytes is the length to which a node's name is cut, the mark
	// included. See [CutName].
	MaxNameBytes = 1024
	// MaxErrorBytes is the length to which an error text is cut, the mark
	// included. See [CutError].
	MaxErrorBytes = 16 << 10
)

// cutMark marks a cut.
const cutMark = "… [cut]"

// Key names a task: business ID and task ID, unique together in a store.
type Key struct{ Business, Task string }

// String is the key as error messages show it: business/task, quoted.
func (k Key) String() string { return brief(k.Business) + "/" + brief(k.Task) }

// Validate reports, as an error that matches [ErrInvalidArgument], what is
// wrong with the key's IDs.
func (k Key) Validate() error {
	if err := CheckID("business ID", k.Business); err != nil {
		return err
	}
	return CheckID("task ID", k.Task)
}

// CheckID returns an error that matches [ErrInvalidArgument] unless an ID is 1 to 128
// bytes of UTF-8 without control characters. In its message the ID has the name what,
// such as "node ID".
func CheckID(what, id string) error { return checkText(what, id, MaxIDBytes) }

// CheckNodeKey is [CheckID] for the key of a node, which may have 255 bytes.
func CheckNodeKey(key string) error { return checkText("node key", key, MaxKeyBytes) }

// CheckActor is [CheckID] for an actor, which may have 255 bytes, or be "" for
// an unknown one.
func CheckActor(actor string) error {
	if actor == "" {
		return nil
	}
	return checkText("actor", actor, MaxActorBytes)
}

func checkText(what, text string, most int) error {
	switch {
	case plain(text, most):
		return nil
	case text == "":
		return fmt.Errorf("%w: %s is empty", ErrInvalidArgument, what)
	case len(text) > most:
		return fmt.Errorf("%w: %s of %d bytes, at most %d", ErrInvalidArgument, what, len(text), most)
	case !utf8.ValidString(text):
		return fmt.Errorf("%w: %s %q is not UTF-8", ErrInvalidArgument, what, text)
	}
	for _, r := range text {
		if r < 0x20 || r >= 0x7f && r <= 0x9f {
			return fmt.Errorf("%w: %s %q has a control character", ErrInvalidArgument, what, text)
		}
	}
	return nil
}

// plain reports whether text is a usual ID: eight bytes or more of ASCII without
// control characters. It looks at eight at a time, the last ones twice.
func plain(text string, most int) bool {
	const each = 0x0101010101010101
	if len(text) < 8 || len(text) > most {
		return false
	}
	var odd uint64
	for i := 0; i < len(text); i += 8 {
		b := text[min(i, len(text)-8):]
		x := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		odd |= x | (x + each) | (x - ' '*each) // the top bit of a byte: not ASCII, DEL, or less than a space
	}
	return odd&(0x80*each) == 0
}

// brief is a text as messages quote it: cut, so that an ID that is too long does not
// make the message long.
func brief(text string) string {
	if len(text) <= MaxActorBytes {
		return strconv.Quote(text)
	}
	return strconv.Quote(text[:runeStart(text, 64)] + "…")
}

// CutName is the stored form of a name: invalid UTF-8 is replaced by U+FFFD, and a
// name longer than [MaxNameBytes] is cut at a rune boundary and ends with
// "… [cut]". A node is never refused because of its name.
func CutName(name string) string {
	if len(name) <= MaxNameBytes && utf8.ValidString(name) {
		return name
	}
	// Replacing bytes only makes a text longer, so bytes beyond the limit cannot
	// survive the cut.
	text := validUTF8(name[:min(len(name), MaxNameBytes+1)])
	if len(text) <= MaxNameBytes {
		return text
	}
	return text[:runeStart(text, MaxNameBytes-len(cutMark))] + cutMark
}

// CutError is the stored form of an error text: invalid UTF-8 is replaced by U+FFFD,
// and a text longer than [MaxErrorBytes] is cut in the middle at rune boundaries and
// marked with "… [cut] …", because the cause in a traceback is in its last lines. A
// report of a failure is never refused because of its text.
func CutError(text string) string {
	if utf8.ValidString(text) && len(text) <= MaxErrorBytes {
		return text
	}
	if len(text) > 2*MaxErrorBytes {
		// The middle of a longer text cannot survive the cut either.
		text = validUTF8(text[:MaxErrorBytes]) + validUTF8(text[len(text)-MaxErrorBytes:])
	} else if text = validUTF8(text); len(text) <= MaxErrorBytes {
		return text
	}
	const mark = cutMark + " …"
	const keep = MaxErrorBytes - len(mark)
	begin, end := runeStart(text, keep/2), len(text)-(keep-keep/2)
	for !utf8.RuneStart(text[end]) {
		end++
	}
	return text[:begin] + mark + text[end:]
}

// validUTF8 is text with each invalid byte replaced by U+FFFD.
func validUTF8(text string) string {
	valid := make([]byte, 0, len(text)+16)
	for _, r := range text {
		valid = utf8.AppendRune(valid, r)
	}
	return string(valid)
}

// runeStart is the last place up to at where a rune of text begins. Text has a
// byte there.
func runeStart(text string, at int) int {
	for at > 0 && !utf8.RuneStart(text[at]) {
		at--
	}
	return at
}

// Version names an attempt: 32 lower-case hexadecimal digits, or "" (the zero
// Version), which only the root pipeline's attempt has. Versions can be
// compared with ==.
type Version struct {
	id  [16]byte
	set bool
}

// ParseVersion reads 32 lower-case hexadecimal digits, or "". Anything else
// is an error that matches [ErrInvalidArgument].
func ParseVersion(s string) (Version, error) {
	if s == "" {
		return Version{}, nil
	}
	id, ok := ParseHexID(s)
	if !ok {
		return Version{}, fmt.Errorf("%w: version %q is not 32 lower-case hex digits", ErrInvalidArgument, s)
	}
	return Version{id: id, set: true}, nil
}

// VersionOf is the version whose digits are those of id.
func VersionOf(id [16]byte) Version { return Version{id: id, set: true} }

// Below is the version that a reset with version v gives to the node at an index
// below the reset container: the first 16 bytes of the SHA-256 of v's 16 bytes and
// the index as 4 bytes, big-endian. A runner can therefore compute the versions of
// all attempts that a reset begins.
func (v Version) Below(index int) Version {
	var text [20]byte
	copy(text[:], v.id[:])
	binary.BigEndian.PutUint32(text[16:], uint32(index))
	sum := sha256.Sum256(text[:])
	return VersionOf([16]byte(sum[:16]))
}

// IsSet reports whether v is not "".
func (v Version) IsSet() bool { return v.set }

// Bytes is the version packed, zero if v is not set.
func (v Version) Bytes() [16]byte { return v.id }

// String is the version's 32 digits, or "".
func (v Version) String() string {
	if !v.set {
		return ""
	}
	return string(AppendHexID(make([]byte, 0, 32), v.id))
}

// AppendText appends the version's digits, or nothing, to dst. It returns no
// error; the signature is that of [encoding.TextAppender].
func (v Version) AppendText(dst []byte) ([]byte, error) {
	if !v.set {
		return dst, nil
	}
	return AppendHexID(dst, v.id), nil
}

// ParseHexID packs an ID of exactly 32 lower-case hexadecimal digits; ok is
// false for any other text.
func ParseHexID(s string) (id [16]byte, ok bool) {
	if len(s) != 32 {
		return id, false
	}
	for i := range id {
		hi, lo := unhex[s[2*i]], unhex[s[2*i+1]]
		if hi|lo > 15 {
			return [16]byte{}, false
		}
		id[i] = hi<<4 | lo
	}
	return id, true
}

// AppendHexID appends the 32 lower-case hexadecimal digits of an ID, which
// [ParseHexID] packs.
func AppendHexID(dst []byte, id [16]byte) []byte {
	// Eight digits at a time: encoding/hex took a sixth of the time to read a node from
	// a file and write its status.
	const each = 0x0101010101010101
	var digits [32]byte
	for i := 0; i < len(id); i += 4 {
		// Each byte moves to every other one, then its high half to before it.
		x := uint64(binary.LittleEndian.Uint32(id[i:]))
		x = (x | x<<16) & 0x0000ffff0000ffff
		x = (x | x<<8) & 0x00ff00ff00ff00ff
		x = x>>4&0x000f000f000f000f | x<<8&0x0f000f000f000f00
		letters := (x + 6*each) >> 4 & each // 1 where it is 10 or more
		x += '0'*each + letters*('a'-'0'-10)
		binary.LittleEndian.PutUint64(digits[2*i:], x)
	}
	return append(dst, digits[:]...)
}

// unhex maps lower-case hexadecimal digits to their value, all else to 255.
var unhex = func() (table [256]byte) {
	for i := range table {
		table[i] = 255
	}
	for i, c := range []byte("0123456789abcdef") {
		table[c] = byte(i)
	}
	return table
}()
