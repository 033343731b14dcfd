// Package sharded makes one store of several, for fleets with more commits than one
// database can process. Each business is on one of the members, with all of its
// tasks. A member is any store: a PostgreSQL database or schema, or a file.
//
//	fleet, err := sharded.Open(ctx, []sharded.Member{
//		{Name: "pg1", Open: func(ctx context.Context) (store.Store, error) { return pgstore.Open(ctx, first, nil) }},
//		{Name: "pg2", Open: func(ctx context.Context) (store.Store, error) { return pgstore.Open(ctx, second, nil) }},
//	}, nil)
//
// Engines, queries, servers and followers of the feed use it like any other store.
//
// # Where a business is
//
// A business stays on its member. The first member in the list keeps a record of
// which one that is, made before the first task of the business. Two processes that
// begin the same business at once agree by this record, even if their lists of members
// differ: one creates the record, and the other one reads it. A new business goes to
// the member that [Options.Place] names.
//
// A record is a finished task in the reserved business [Directory]. The sharded store
// does not show these tasks; a program that opens a member by itself sees them, and
// must neither remove them nor create tasks there.
//
// A member may have been a separate store before, with businesses that have no
// record: each is recorded on the member where it is. A business without a
// record that has tasks on two members is refused with [ErrSplit].
//
// A process reads the record of a business once. A new business costs in addition a
// list of one task from each member and a commit on the first member. A read of a
// business without a record asks all members.
//
// # Members
//
// The number of a member is its index in the list. Add a new member at the end:
// existing businesses stay where they are, positions and revisions stay valid, and
// new businesses can go to the new member. An existing store can become the first
// member without a change of its sequences. Each member keeps a record of its name
// and number, written when the first business is placed on it. A member that
// contradicts its record is refused: members in another order, or one database as two
// members. A position that names a removed member is [store.ErrHistory].
//
// # When a member is lost
//
// A member is lost if it cannot be opened, or if it answers with [store.ErrFailed] or
// with an error that package store does not define. The sharded store tries to reach
// it again, each [Options.Retry], and uses it from then on. Neither Open nor the engine
// on the store needs all members, as long as one is there.
//
// Every call that needs a lost member fails at once, with a [*MemberError] that
// names it and matches [store.ErrUnavailable]. Everything else works:
//
//   - Writes of its businesses fail individually; the other writes of the commit are
//     made. A write with an unknown outcome also matches [store.ErrFailed]; repeat
//     its operation with engine.Idempotent.
//   - Reads of its businesses fail. A node with a generated ID is found on another
//     member, but a missing node is not reported as missing.
//   - A list of all businesses has the tasks of the other members, and names the lost
//     one in [store.ListPage].Missing. Iterations, such as [store.Tasks] and the
//     engine's Interrupted and Purge, do the rest of their work before they return the
//     error.
//   - The feed continues with the transitions of other members. After the last of
//     these, it returns a [store.UnavailableError]. Positions stay at the lost
//     member's place. When the member is back, readers continue there without gap or
//     duplicate.
//   - A new business can begin on another member if the lost one cannot have tasks of
//     it: if it was empty when it became a member.
//
// A failed member is closed and opened again, which ends its leases: writes of
// tasks that it held are refused with [store.ErrFenced] until they are taken
// over. If a member comes back as an older copy, readers of the feed get a
// [*store.GapError]. Its Resume position repeats no transitions of the other
// members.
//
// The call that detects the loss of a member waits for the member's own
// retries, and an engine makes one commit at a time. Open waits for all members
// in the same way. To keep these waits short, set pgstore's Options.Recover to
// a few seconds, and set the connect_timeout of its connection string.
//
// # When the first member is lost
//
// Without the records of the first member, no business can begin. The
// businesses of the other members need the records less: a process finds such a
// business by its tasks. It may create new tasks in the business, unless all
// its tasks are older than the record that the member has of itself.
//
// If the first member is lost for good, replace it by an empty store, or by a
// backup. The businesses of the other members need no repair: before the next
// task of a business is created, the business is recorded again on the member
// that has its tasks. Only the first member's own tasks are lost. Until all
// businesses are recorded, all members should be reachable: a business without
// a record whose member is lost could begin a second time, on the member that
// Options.Place names. From then on it would be refused with [ErrSplit].
//
// # Limits of the promises
//
// The contract of package store holds for each task, and among the tasks of one
// business. Between businesses on different members there are fewer guarantees than
// in a store with one log:
//
//   - Sequences are dense in each member only. They do not order the transitions of
//     two members.
//   - The feed has the transitions of a member in their order. It merges members by
//     the times of recording within each page.
//   - A commit is one transaction for each member. One member can fail while another
//     commits; each write has its own result.
//   - The ID of a node is unique on its member. Generated IDs are unique everywhere.
//     If nodes on two members were given the same ID, a reference by this ID alone is
//     refused with [ErrAmbiguous]. A search by node ID asks all members at once.
//   - Lists of all businesses are merged by the times of recording. Each page of
//     such a list, and of the feed, reads a page from each member.
//   - The position of a snapshot may be earlier than the last in the logs of other
//     members.
package sharded
