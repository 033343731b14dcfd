package pgstore

// BeforeWrite has f called between the round trips of each commit, with the
// tasks locked. It must be set before the first use.
func (s *Store) BeforeWrite(f func()) { s.beforeWrite = f }

// ID is the handle's number.
func (s *Store) ID() int64 { return s.id }

// SchemaVersion is the version of the tables.
const SchemaVersion = schemaVersion
