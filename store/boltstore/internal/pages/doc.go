// Package pages reads the pages of bbolt files without bbolt: for examining what
// bbolt trusts, and for what can still be read of a damaged file.
//
// bbolt trusts its pages: a page that leads back to itself makes a reader loop until
// memory or its stack is exhausted, which ends the process; a page number beyond the end
// of the file causes a fault; and bbolt's own check runs on a separate goroutine, where
// neither can be handled, and must not run during writes. Pages are therefore examined
// before they are followed, by reading the file. [Walk] examines all of them.
//
// [Examine] examines the branches, about one page in a hundred: that each leads to
// pages that nothing else leads to and that are not free. That is enough for
// readers to come to an end, without a look at the leaves, which [Leaves] examines
// before they change. Whatever page a
// branch should not lead to, something else does, or it is free; and a leaf
// that says it is a branch leads beyond the end of the file, since what would
// be the upper half of a page number is the size of a value, which is never 0.
package pages

// Layout of bbolt's pages, all in the machine's byte order.
const (
	// HeaderBytes is the head of a page: id, flags, count of elements, overflow.
	HeaderBytes = 16
	// ElementBytes is the head of an element. Those of all elements come first.
	ElementBytes = 16
	// Branch and Leaf are the flags of pages that have elements.
	Branch = 1
	Leaf   = 2

	// BucketElement is the flag of a leaf's element that is a bucket.
	BucketElement = 1
	// BucketBytes is the head of its value: the root page, and a sequence. If the
	// root page is 0, an inline page follows.
	BucketBytes = 16

	// maxKey is the longest key that bbolt takes.
	maxKey = 1 << 15
	// maxHeight is more than a tree of pages can have.
	maxHeight = 64
)
