// Package pages reads the pages of bbolt files without bbolt: to examine pages
// before bbolt uses them, and to read damaged files.
//
// bbolt trusts its pages: a page that leads back to itself makes a reader loop
// until memory or its stack is exhausted, which ends the process; a page number
// beyond the end of the file causes a fault. bbolt's own check runs on a
// separate goroutine, where neither can be handled, and must not run during
// writes. Pages are therefore examined before bbolt follows them, by reading
// the file. [Walk] examines all of them.
//
// [Examine] examines only the branches, about one page in a hundred: each must
// lead to pages that no other page leads to and that are not free. Then all
// readers terminate. Two kinds of errors could escape it, and do not: a wrong
// page number in a branch names a page that is free or in use elsewhere. And a
// leaf that is marked as a branch seems to lead to pages beyond the end of the
// file, because the size of a value, which is never 0, is in the upper half of
// a page number. [Leaves] examines leaves before they change.
package pages

// Layout of bbolt's pages, all in the machine's byte order.
const (
	// HeaderBytes is the head of a page: id, flags, count of elements, overflow.
	HeaderBytes = 16
	// ElementBytes is the head of an element. The heads of all elements come first.
	ElementBytes = 16
	// Branch and Leaf are the flags of pages that have elements.
	Branch = 1
	Leaf   = 2

	// BucketElement is the flag of an element in a leaf that is a bucket.
	BucketElement = 1
	// BucketBytes is the head of the value of such an element: the root page,
	// and a sequence. If the root page is 0, an inline page follows.
	BucketBytes = 16

	// maxKey is the longest key that bbolt accepts.
	maxKey = 1 << 15
	// maxHeight is more than the height of any tree of pages.
	maxHeight = 64
)
