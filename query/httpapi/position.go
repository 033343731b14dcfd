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
	"github.com/pipestatus/pipestatus/store"
)

// positions hide sequences. A sequence counts the transitions of all businesses, and
// a cursor of a store contains one; a caller who may see a single business must learn
// neither. Answers contain the encrypted position of the store, with a code that ties
// it to its task: positions of a task can be compared for equality, but not their
// distance.
type positions struct {
	block  cipher.Block
	code   []byte // key of the codes
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

// positionBytes are a sequence and its history.
const positionBytes = 8 + len(store.History{})

// seal is a position of a task: the one after the transition with a sequence. Equal
// positions have equal texts: the code is the nonce of the encryption.
func (p *positions) seal(key state.Key, history store.History, sequence uint64) string {
	plain := append(binary.BigEndian.AppendUint64(nil, sequence), history[:]...)
	sealed := append(p.codeOf(key, plain), plain...)
	p.crypt(sealed)
	return base64.RawURLEncoding.EncodeToString(sealed)
}

// open is the inverse of [positions.seal]; ok is false if neither this handler nor one
// with the same key made the text.
func (p *positions) open(key state.Key, text string) (history store.History, sequence uint64, ok bool) {
	if text == first {
		return history, 0, true
	}
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(sealed) != aes.BlockSize+positionBytes {
		return history, 0, false
	}
	p.crypt(sealed)
	code, plain := sealed[:aes.BlockSize], sealed[aes.BlockSize:]
	sequence = binary.BigEndian.Uint64(plain)
	copy(history[:], plain[8:])
	return history, sequence, hmac.Equal(code, p.codeOf(key, plain))
}

// crypt enciphers or deciphers the bytes after the code.
func (p *positions) crypt(sealed []byte) {
	code, text := sealed[:aes.BlockSize], sealed[aes.BlockSize:]
	cipher.NewCTR(p.block, code).XORKeyStream(text, text)
}

// codeOf is the code over a position and its task.
func (p *positions) codeOf(key state.Key, plain []byte) []byte {
	h := hmac.New(sha256.New, p.code)
	h.Write(plain)
	for _, id := range []string{key.Business, key.Task} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(id))))
		h.Write([]byte(id))
	}
	return h.Sum(nil)[:aes.BlockSize]
}

// cursorStep is the multiple to which the length of a cursor is rounded up, so that
// the length reveals nothing.
const cursorStep = 64

// sealCursor hides a store's cursor. "", the end of a list, stays unchanged.
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

// openCursor returns the store's cursor; ok is false if sealCursor did not make
// the text.
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
