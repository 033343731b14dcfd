//go:build unix

package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pipestatus/pipestatus/engine"
	"github.com/pipestatus/pipestatus/state"
	"github.com/pipestatus/pipestatus/store"
	"github.com/pipestatus/pipestatus/store/pgstore"
)

// broken is a handle whose only connection goes through a proxy, and a fault
// for the second message of the next commit: its writes and the commit.
type broken struct {
	proxy  *proxy
	store  *pgstore.Store
	engine *engine.Engine
	direct *pgxpool.Pool
	schema string
	fault  atomic.Pointer[func(client, server net.Conn, sent []byte)]
	alter  atomic.Pointer[func(answer []byte) []byte]
}

// nextAnswer sets the fault for the answer to the second message of the next
// commit.
func (b *broken) nextAnswer(alter func(answer []byte) []byte) { b.alter.Store(&alter) }

func newBroken(t *testing.T) *broken {
	t.Helper()
	p := newProxy(t, server.Addr())
	return brokenBehind(t, p, loopback(p.port(), "pool_max_conns=1"), pgstore.Options{}, false)
}

// newBrokenInTwoSteps is newBroken with a handle that makes all commits in two
// steps.
func newBrokenInTwoSteps(t *testing.T) *broken {
	t.Helper()
	p := newProxy(t, server.Addr())
	return brokenBehind(t, p, loopback(p.port(), "pool_max_conns=1"), pgstore.Options{}, true)
}

func brokenBehind(t *testing.T, p *proxy, connString string, o pgstore.Options, inTwoSteps bool) *broken {
	t.Helper()
	b := &broken{proxy: p, direct: newPool(t), schema: newSchema()}
	pool, err := pgxpool.New(t.Context(), connString)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	o.Schema, o.Recover, o.Lease = b.schema, time.Minute, hour
	b.store = open(t, pool, o)
	if inTwoSteps {
		b.store.InTwoSteps()
	}
	b.store.BeforeWrite(func() {
		if fault := b.fault.Swap(nil); fault != nil {
			b.proxy.arm(*fault)
		}
		if alter := b.alter.Swap(nil); alter != nil {
			b.proxy.armAnswer(*alter)
		}
	})
	b.engine = newEngine(t, b.store)
	begin(t, b.engine, "a")
	// Prepares the statements, because the fault must meet the commit and not a
	// preparation.
	for _, op := range []engine.Op{engine.Suspend("a"), engine.Resume("a")} {
		if _, err := b.engine.Record(t.Context(), op); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// The ways in which a connection breaks while a commit is under way.
var faults = map[string]func(client, server net.Conn, sent []byte){
	"nothing arrives": func(client, server net.Conn, _ []byte) {
		client.Close()
		server.Close()
	},
	"half of it arrives": func(client, server net.Conn, sent []byte) {
		server.Write(sent[:len(sent)/2])
		client.Close()
		server.Close()
	},
	"all but the commit arrives": func(client, server net.Conn, sent []byte) {
		server.Write(sent[:len(sent)-60])
		client.Close()
		server.Close()
	},
	"it arrives and both ends close at once": func(client, server net.Conn, sent []byte) {
		server.Write(sent)
		client.Close()
		server.Close()
	},
	"it is answered and the answer is lost": func(client, server net.Conn, sent []byte) {
		client.Close()
		deliver(server, sent)
	},
	"it is answered and a pooler says that the answer is lost": func(client, server net.Conn, sent []byte) {
		client.Write([]byte("E\x00\x00\x00\x1eSERROR\x00C08006\x00Mwho knows\x00\x00"))
		client.(*net.TCPConn).CloseWrite() // the server gets no more messages
		deliver(server, sent)
		client.Close()
	},
}

// deliver sends the client's bytes so far and no more, and waits until the
// server has processed them.
func deliver(server net.Conn, sent []byte) {
	server.Write(sent)
	server.(*net.TCPConn).CloseWrite()
	io.Copy(io.Discard, server)
	server.Close()
}

func TestACommitIsMadeOnceHoweverItsConnectionBreaks(t *testing.T) {
	t.Parallel()
	commitsAreMadeOnce(t, newBroken)
}

func TestACommitOfALoneHandleIsMadeOnceHoweverItsConnectionBreaks(t *testing.T) {
	t.Parallel()
	commitsAreMadeOnce(t, newLone)
}

// newLone is newBroken with a handle that assumes to be alone.
func newLone(t *testing.T) *broken {
	t.Helper()
	b := newBroken(t)
	b.store.AloneAfter(0)
	for _, op := range []engine.Op{engine.Suspend("a"), engine.Resume("a")} { // prepares its statements
		if _, err := b.engine.Record(t.Context(), op); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func TestACommitInTwoStepsIsMadeOnceHoweverItsConnectionBreaks(t *testing.T) {
	t.Parallel()
	commitsAreMadeOnce(t, newBrokenInTwoSteps)
}

func TestACommitIsMadeOnceHoweverItsPoolersConnectionBreaks(t *testing.T) {
	t.Parallel()
	commitsAreMadeOnce(t, func(t *testing.T) *broken {
		p := newProxy(t, server.Addr())
		return brokenBehind(t, p, loopback(startPooler(t, p.port()), "pool_max_conns=1 default_query_exec_mode="+execMode), pgstore.Options{NoNotify: true}, false)
	})
}

func commitsAreMadeOnce(t *testing.T, open func(t *testing.T) *broken) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			before := len(feed(t, b.store, 0))
			for i := range 3 {
				b.fault.Store(&fault)
				task := fmt.Sprint("t", i)
				for _, ops := range [][]engine.Op{
					{engine.Suspend("a")},
					{engine.Resume("a")},
					{engine.Create("2", task, engine.ID(task)), engine.Start(task)},
				} {
					results, err := b.engine.Record(t.Context(), ops...)
					if err != nil {
						t.Fatalf("%s after its connection broke: %v", name, err)
					}
					last := results[len(results)-1]
					all := feed(t, b.store, 0)
					if tr := all[len(all)-1]; tr.Sequence != last.Sequence || tr.Node() != last.Node {
						t.Fatalf("the feed ends with %d of node %q, the answer was %+v", tr.Sequence, tr.Node(), last)
					}
				}
			}
			if got, want := len(feed(t, b.store, 0)), before+3*4; got != want {
				t.Errorf("%d transitions in the feed, want %d: something was lost or made twice", got, want)
			}
			check(t, b.store)
		})
	}
}

// A commit that was found not to have happened must not happen later, when its
// delayed message arrives.
func TestACommitThatArrivesTooLateIsVoid(t *testing.T) {
	t.Parallel()
	b := newBrokenInTwoSteps(t)
	delivered := make(chan struct{})
	fault := func(client, server net.Conn, sent []byte) {
		client.Close()
		late := append([]byte(nil), sent...)
		go func() {
			defer close(delivered)
			// The next try waits for the tasks that the first has locked.
			await(t, "the next try to wait", func() bool {
				waiting := 0
				err := b.direct.QueryRow(context.Background(), `
SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE NOT l.granted AND a.query LIKE '%"`+b.schema+`"%FOR UPDATE%'`).Scan(&waiting)
				return err == nil && waiting > 0
			})
			deliver(server, late)
		}()
	}
	b.fault.Store(&fault)
	results, err := b.engine.Record(t.Context(), engine.Suspend("a"))
	<-delivered
	if err != nil || results[0].Sequence != 5 {
		t.Errorf("the commit: %+v, %v, want sequence 5", results, err)
	}
	if all := feed(t, b.store, 0); len(all) != 5 {
		t.Errorf("%d transitions in the feed, want 5", len(all))
	}
	check(t, b.store)
}

// An ordinary commit has no locks until it arrives, so the next try has been
// answered by then.
func TestAnOrdinaryCommitThatArrivesTooLateIsVoid(t *testing.T) {
	t.Parallel()
	b := newBroken(t)
	late := make(chan func(), 1)
	fault := func(client, server net.Conn, sent []byte) {
		client.Close()
		message := append([]byte(nil), sent...)
		late <- func() { deliver(server, message) }
	}
	b.fault.Store(&fault)
	results, err := b.engine.Record(t.Context(), engine.Suspend("a"))
	if err != nil || results[0].Sequence != 5 {
		t.Errorf("the commit: %+v, %v, want sequence 5", results, err)
	}
	(<-late)()
	if all := feed(t, b.store, 0); len(all) != 5 {
		t.Errorf("%d transitions in the feed, want 5", len(all))
	}
	if _, err := b.engine.Record(t.Context(), engine.Resume("a")); err != nil {
		t.Error(err)
	}
	check(t, b.store)
}

func TestAHandleFailsIfAnOutcomeStaysUnknown(t *testing.T) {
	t.Parallel()
	b := newBroken(t)
	b.store.Recover(50 * time.Millisecond)
	fault := func(client, server net.Conn, sent []byte) {
		b.proxy.mu.Lock()
		b.proxy.down = true
		b.proxy.mu.Unlock()
		faults["it is answered and the answer is lost"](client, server, sent)
	}
	b.fault.Store(&fault)
	for range 2 {
		if _, err := b.engine.Record(t.Context(), engine.Suspend("a")); !errors.Is(err, store.ErrFailed) {
			t.Errorf("a commit nobody can be asked about: %v, want %v", err, store.ErrFailed)
		}
	}
	if _, err := b.store.Load(t.Context(), store.ByKey("2", "a")); !errors.Is(err, store.ErrFailed) {
		t.Errorf("load after that: %v, want %v", err, store.ErrFailed)
	}
	reopened := open(t, b.direct, pgstore.Options{Schema: b.schema})
	if all := feed(t, reopened, 0); len(all) != 5 || all[4].Op != state.Suspend {
		t.Errorf("%d transitions after reopening, want the one that was committed with the 4 before", len(all))
	}
}

func TestReadersContinueAfterBrokenConnections(t *testing.T) {
	t.Parallel()
	b := newBroken(t)
	for range 3 {
		b.proxy.setDown(false) // cuts the open connections
		if _, err := b.store.Load(t.Context(), store.ByKey("2", "a")); err != nil {
			t.Error(err)
		}
		b.proxy.setDown(false)
		if page, err := b.store.List(t.Context(), store.ListQuery{}); err != nil || len(page.Tasks) != 1 {
			t.Errorf("%d tasks listed: %v", len(page.Tasks), err)
		}
	}
}
