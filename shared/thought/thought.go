// Package thought is the one door through which a model's thought goes into the
// encrypted_content of a reasoning item and out of it again. Clients that keep
// nothing else of a thought (Codex; the AI SDK with store false) send it back
// with the next request, to whichever gateway.
//
// A copy is coded, not encrypted: whoever has it can read it, as the client can
// read the thought anyway.
//
//	base64url( version 0 | checksum of the thought, big-endian | the thought in UTF-8 )
package thought

import "encoding/base64"

const (
	version = 0
	head    = 1 + 4
)

// AppendCopy appends the copy of a thought, in characters that need no escape in
// JSON.
func AppendCopy(dst, thought []byte) []byte {
	b := make([]byte, 0, head+len(thought))
	sum := checksum(thought)
	b = append(b, version, byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)) //nolint:gosec // byte by byte
	return base64.RawURLEncoding.AppendEncode(dst, append(b, thought...))
}

// Open returns the thought of a copy. It is false for what AppendCopy has not
// made, or what was changed since.
func Open(encoded []byte) (thought []byte, ok bool) {
	var first [3]byte
	// Line breaks are no part of it: four bytes may have nothing to say.
	if n, err := base64.RawURLEncoding.Decode(first[:], encoded[:min(4, len(encoded))]); err == nil && n > 0 && first[0] != version {
		return nil, false
	}
	b, err := base64.RawURLEncoding.AppendDecode(nil, encoded)
	if err != nil || len(b) < head || b[0] != version {
		return nil, false
	}
	sum := uint32(b[1])<<24 | uint32(b[2])<<16 | uint32(b[3])<<8 | uint32(b[4])
	return b[head:], sum == checksum(b[head:])
}

// checksum is the 32-bit FNV-1a hash.
func checksum(b []byte) uint32 {
	h := uint32(2166136261)
	for ; len(b) >= 8; b = b[8:] { // a jump backwards takes as long as four bytes
		h = (h ^ uint32(b[0])) * 16777619
		h = (h ^ uint32(b[1])) * 16777619
		h = (h ^ uint32(b[2])) * 16777619
		h = (h ^ uint32(b[3])) * 16777619
		h = (h ^ uint32(b[4])) * 16777619
		h = (h ^ uint32(b[5])) * 16777619
		h = (h ^ uint32(b[6])) * 16777619
		h = (h ^ uint32(b[7])) * 16777619
	}
	for _, c := range b {
		h = (h ^ uint32(c)) * 16777619
	}
	return h
}
