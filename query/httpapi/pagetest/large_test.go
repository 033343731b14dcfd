package pagetest

import (
	"fmt"
	"testing"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
)

// recordFleet records a task of racks, each with hosts, all of which are running.
// A rack leads to four others.
func (s *service) recordFleet(racks, hosts int) {
	s.Helper()
	ops := []engine.Op{engine.Create("2", "10", engine.ID("root"), engine.Name("Fleet")), engine.Start("root")}
	for i := range racks {
		rack := fmt.Sprintf("rack-%03d", i)
		var after []string
		if i > 0 {
			after = append(after, fmt.Sprintf("rack-%03d", (i-1)/4))
		}
		ops = append(ops, engine.Declare("root", state.Subprocess, engine.ID(rack), engine.Name(rack), engine.After(after...)), engine.Start(rack))
		for j := range hosts {
			host := fmt.Sprintf("host-%03d-%03d", i, j)
			ops = append(ops, engine.Declare(rack, state.ServiceActivity, engine.ID(host), engine.Name(host)), engine.Start(host))
		}
	}
	s.record(ops...)
}

func TestLargeTasksAreShownCompletely(t *testing.T) {
	t.Parallel()
	for _, size := range []struct{ nodes, racks, hosts int }{{2_000, 20, 99}, {10_000, 100, 99}, {50_000, 200, 249}} {
		t.Run(fmt.Sprint(size.nodes), func(t *testing.T) {
			t.Parallel()
			s := newService(t, nil)
			s.recordFleet(size.racks, size.hosts)
			rack, last := fmt.Sprintf("rack-%03d", size.racks-1), fmt.Sprintf("host-%03d-%03d", size.racks-1, size.hosts-1)
			const few = "document.querySelectorAll('.row').length < 80"
			p := open(s, deployPath)
			p.until("$('t-where').textContent.includes('0 of %d steps finished so far') && %s", size.racks*size.hosts, row("host-000-000"))
			p.eval(fmt.Sprintf("$('rows').scrollTop = 28 * %d, 0", 1+(size.hosts+1)*size.racks/2), nil)
			p.until("%s && "+few, row(fmt.Sprintf("rack-%03d", size.racks/2)))
			p.eval("$('rows').scrollTop = 1e9, 0", nil)
			p.until("%s === 'RUNNING'", rowState(last))
			s.record(engine.Fail(last, "disk full"))
			p.until("%s === 'FAILED' && !$('next-failure').disabled", rowState(last))
			p.eval("$('rows').scrollTop = 0, 0", nil)
			p.until("%s", row("host-000-000"))
			p.click("#next-failure")
			p.until("%s && $('d-name').textContent === %s", row(last), quote(last))
			p.shot(fmt.Sprint("large-", size.nodes))
			p.eval("$('find').value = 'host-001-', $('find').dispatchEvent(new Event('input')), 0", nil)
			p.until("taskView.order.length === %d && %s", 2+size.hosts, row("host-001-000"))
			p.eval("finding.clear(), taskView.choose(null), 0", nil)
			p.click("#tab-timeline")
			p.until("document.querySelectorAll('.bar').length > 5 && " + few)

			// The graph is folded, and unfolds found nodes.
			p.click("#tab-graph")
			p.until("document.querySelectorAll('.gnode').length === %d && document.querySelectorAll('.arrow').length === %d", size.racks, size.racks-1)
			p.until("%s?.querySelector('.gstate').textContent.includes('0 of %d')", box("rack-000"), size.hosts)
			p.click("#next-failure")
			p.until("%s?.classList.contains('chosen') && document.querySelectorAll('.gnode').length === %d", box(last), size.racks+size.hosts)
			p.until("%s?.ariaExpanded === 'true'", box(rack))
			p.shot(fmt.Sprint("large-graph-", size.nodes))

			p.click("#tab-json")
			p.until("rows.count > %d && "+few, 10*size.nodes)
		})
	}
}
