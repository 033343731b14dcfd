package boltstore

// NoSync lets commits return before they are on disk, for tests that crash
// neither the machine nor the disk: syncing is most of what they would wait for.
func (s *Store) NoSync() { s.db.NoSync, s.db.NoGrowSync = true, true }
