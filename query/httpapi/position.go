package httpapi

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"

	"github.com/pipestatus/pipestatus/state"
)

// positions hide sequences. A sequence counts what happens in all businesses,
// and a cursor of a store tells one; a caller who may see a single business
// must learn neither. What goes out is the sequence enciphered, with a code
// that ties it to its task: it says which position of a task it is, and
// nothing of how many there are between two.
type positions struct {
	block  cipher.Block // one block holds a sequence and its code
	code   []byte       // key of the codes
	cursor cipher.AEAD
}

// first is the position before a task's first transition.
const first = "0"

func newPositions(key []byte) *positions {
	if len(key) == 0 {
		key = make([]byte, sha256.Size)
		rand.Read(key) // never fails
	}
	derive := func(purpose string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte("pipestatus " + purpose))
		return h.Sum(nil)
	}
	// Keys of 32 bytes and AES blocks are what these take without error.
	block, _ := aes.NewCipher(derive("position"))
	cursors, _ := aes.NewCipher(derive("cursor"))
	aead, _ := cipher.NewGCM(cursors)
	return &positions{block: block, code: derive("code"), cursor: aead}
}

// seal is the position of a task's transition. The same one is always the same
// text.
func (p *positions) seal(key state.Key, sequence uint64) string {
	block := p.plain(key, sequence)
	p.block.Encrypt(block, block)
	return base64.RawURLEncoding.EncodeToString(block)
}

// open is the sequence of a position of a task; ok is false for one that this
// handler, or one with the same key, never gave.
func (p *positions) open(key state.Key, text string) (sequence uint64, ok bool) {
	if text == first {
		return 0, true
	}
	block, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(block) != aes.BlockSize {
		return 0, false
	}
	p.block.Decrypt(block, block)
	sequence = binary.BigEndian.Uint64(block)
	return sequence, hmac.Equal(block, p.plain(key, sequence))
}

// plain is a sequence, and half a block of code over it and its task.
func (p *positions) plain(key state.Key, sequence uint64) []byte {
	block := binary.BigEndian.AppendUint64(make([]byte, 0, aes.BlockSize), sequence)
	h := hmac.New(sha256.New, p.code)
	h.Write(block)
	for _, id := range []string{key.Business, key.Task} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(id))))
		h.Write([]byte(id))
	}
	return append(block, h.Sum(nil)[:aes.BlockSize-len(block)]...)
}

// cursorStep is what the length of a cursor is rounded up to, so that it tells
// nothing either.
const cursorStep = 64

// sealCursor hides a store's cursor. "" stays what it is: there is no more.
func (p *positions) sealCursor(cursor string) string {
	if cursor == "" {
		return ""
	}
	plain := binary.AppendUvarint(nil, uint64(len(cursor)))
	plain = append(plain, cursor...)
	plain = append(plain, make([]byte, (cursorStep-len(plain)%cursorStep)%cursorStep)...)
	nonce := make([]byte, p.cursor.NonceSize())
	rand.Read(nonce) // never fails
	return base64.RawURLEncoding.EncodeToString(p.cursor.Seal(nonce, nonce, plain, nil))
}

// openCursor is the store's cursor; ok is false for a text that is none of
// sealCursor's.
func (p *positions) openCursor(text string) (cursor string, ok bool) {
	if text == "" {
		return "", true
	}
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(sealed) < p.cursor.NonceSize() {
		return "", false
	}
	nonce, sealed := slices.Clone(sealed[:p.cursor.NonceSize()]), sealed[p.cursor.NonceSize():]
	plain, err := p.cursor.Open(nil, nonce, sealed, nil)
	if err != nil {
		return "", false
	}
	length, n := binary.Uvarint(plain)
	if n <= 0 || length > uint64(len(plain)-n) {
		return "", false
	}
	return string(plain[n : n+int(length)]), true
}
