package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/pipestatus/pipestatus/store"
)

// checks are queries for inconsistencies, by name. They return a text for each case.
var checks = []struct{ what, sql string }{
	{"task without its key", `
SELECT t.id::text FROM pipestatus.tasks t
WHERE NOT t.gone AND NOT EXISTS (SELECT 1 FROM pipestatus.task_keys k WHERE k.business = t.business AND k.task = t.task AND k.id = t.id)`},
	{"key without its task", `
SELECT k.business || '/' || k.task FROM pipestatus.task_keys k
WHERE NOT EXISTS (SELECT 1 FROM pipestatus.tasks t WHERE t.id = k.id AND NOT t.gone)`},
	{"node without its ID", `
SELECT n.task || '/' || n.idx FROM pipestatus.nodes n
WHERE NOT EXISTS (SELECT 1 FROM pipestatus.node_ids i WHERE i.id = n.id AND i.task = n.task AND i.idx = n.idx)`},
	{"ID without its node", `
SELECT encode(i.id, 'hex') FROM pipestatus.node_ids i
WHERE NOT EXISTS (SELECT 1 FROM pipestatus.nodes n WHERE n.task = i.task AND n.idx = i.idx AND n.id = i.id)`},
	{"node without its task", `
SELECT n.task || '/' || n.idx FROM pipestatus.nodes n
WHERE NOT EXISTS (SELECT 1 FROM pipestatus.tasks t WHERE t.id = n.task AND NOT t.gone)`},
	{"attempt without its node", `
SELECT a.task || '/' || a.idx FROM pipestatus.attempts a
WHERE NOT EXISTS (SELECT 1 FROM pipestatus.nodes n WHERE n.task = a.task AND n.idx = a.idx)`},
	{"data without its node", `
SELECT d.task || '/' || d.idx FROM pipestatus.data d
WHERE NOT EXISTS (SELECT 1 FROM pipestatus.nodes n WHERE n.task = d.task AND n.idx = d.idx)`},
	{"label without its task", `
SELECT l.number::text FROM pipestatus.labels l
WHERE NOT EXISTS (SELECT 1 FROM pipestatus.tasks t WHERE t.id = l.task AND t.number = l.number AND NOT t.gone)`},
	{"transition beyond the feed", `
SELECT r.seq::text FROM pipestatus.transitions r, pipestatus.feed f WHERE r.seq > f.last`},
}

// Check implements [store.Checker]: it checks the references between tables, then
// everything that [store.Check] examines in any store. It reads everything.
func (s *Store) Check(ctx context.Context, report func(problem string)) error {
	err := s.read(ctx, func(ctx context.Context) error {
		return s.snapshot(ctx, func(b *pgx.Batch) {
			for _, c := range checks {
				b.Queue(s.sql.in(c.sql)).Query(func(rows pgx.Rows) error {
					return each(rows, func(name string) error { report(c.what + ": " + name); return nil })
				})
			}
		})
	})
	if err != nil {
		return err
	}
	return store.Check(ctx, s, report)
}
