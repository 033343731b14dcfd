package boltstore

import "flag"

// Long asks for the tests' long forms.
var Long = flag.Bool("long", false, "run tests in their long forms: all configurations, hundreds of crashes, many more images")

// NoSync lets commits return before they are on disk, for tests without crashes
// of the machine or the disk: without it they mostly wait for syncs.
func (s *Store) NoSync() {
	s.db.NoSync, s.db.NoGrowSync, s.noSync = true, true, true
	if s.journal != nil {
		s.journal.NoSync = true
	}
}
