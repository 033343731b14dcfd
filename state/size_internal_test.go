package state

import (
	"testing"
	"unsafe"
)

// Memory is allocated in size classes: one more byte costs 16 or 32 in every
// live node. Put new values into unused bits or into the struct of rare values.
func TestNodesFillTheirSizeClasses(t *testing.T) {
	if size := unsafe.Sizeof(node{}); size > 128 {
		t.Errorf("a node takes %d bytes, at most 128", size)
	}
	if size := unsafe.Sizeof(node{}) + unsafe.Sizeof(family{}); size > 240 {
		t.Errorf("a container takes %d bytes, at most 240", size)
	}
}
