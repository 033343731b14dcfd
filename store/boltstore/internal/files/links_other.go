//go:build !unix

package files

import "io/fs"

// links is 1 where the system does not report the number of names.
func links(fs.FileInfo) uint64 { return 1 }
