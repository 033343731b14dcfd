// Package journal keeps the newest commits of a store in a separate file, next to the
// bbolt file that they are later written to.
//
// A bbolt commit syncs twice and writes several pages. Overwriting a file that
// was once filled with zeros and syncing it takes half as long, because no
// metadata of the file changes. The file is therefore filled with zeros once
// and written in laps, and a frame only overwrites frames that are no longer
// needed.
//
// # Format
//
// Numbers are little-endian, offsets are in bytes from the beginning of the
// file. The file consists of blocks of 4096 bytes. Block 0 is the header, which
// is written only once:
//
//	 0  8  "pstjrnl" and the version of the format, 1
//	 8 16  ID of the journal, random
//	24 16  ID of the instance of the bbolt file that the journal belongs to
//	40  8  size: end of the room for frames when the journal was made
//	48 80  mark: the newest bbolt transaction when the journal was made
//	128 4  CRC-32C of the bytes before
//
// Frames follow, each at the beginning of a block, so that no sector of an
// acknowledged frame is written again while the frame is needed. The rest of a
// frame's last block is zero. A frame holds one commit, or none if it only
// names a transaction:
//
//	  0  8  "pstfram" and the version of the format, 1
//	  8  8  lap, from 1
//	 16  8  sum of the frame before: its two checksums, or that of the header
//	 24  8  sequence of the first transition, or of the next one if the count is 0
//	 32  4  count of transitions
//	 36  4  length of the payload
//	 40  8  size: end of the room for frames when the frame was written
//	 48 80  mark: the newest bbolt transaction that was known to be durable
//	128  4  CRC-32C of the payload
//	132  4  CRC-32C of the 132 bytes before
//	136     payload
//
// A mark is the number of a bbolt transaction, its checkpoint (8 bytes each),
// and the 64 bytes of its meta page. Both checksums of a frame begin with the
// journal's ID, the lap, the offset and the sum of the frame before. Leftovers
// of an earlier lap, frames of another journal, and images of frames in a
// caller's data are therefore not mistaken for frames.
//
// A frame never crosses the end of the room. If it does not fit there, it is
// the first one of the next lap. The room may grow: zeros are appended and
// synced, and a frame that names the new size is synced before the first frame
// beyond the old size. After the room there may be more zeros, the ballast:
// they reserve room on the disk, which is given back when the disk is full.
//
// # Damage
//
// Read searches every block for frames, whatever lies between them. The newest
// frame is the end of the journal, and later bytes were never acknowledged.
// Every frame from the checkpoint to the newest one must exist, so damage to
// any frame but the last is detected. Damage to the very last frame looks like
// a write that a power cut interrupted.
package journal
