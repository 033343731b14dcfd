//go:build unix

package pgstore_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Values of default_query_exec_mode that need no state in a session.
const (
	cacheDescribe = "cache_describe"
	execMode      = "exec"
)

// startPooler starts pgbouncer in transaction mode before a server, with so few
// sessions that every client uses all of them. It returns the pooler's port on
// loopback.
func startPooler(t testing.TB, serverPort int) (port int) {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil {
			t.Skip("this needs pgbouncer. On Debian or Ubuntu: apt-get install -y pgbouncer. Elsewhere: put it into PATH")
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	config := filepath.Join(t.TempDir(), "pgbouncer.ini")
	// A buffer for a whole commit makes faults affect a whole commit.
	text := fmt.Sprintf(`
[databases]
postgres = host=127.0.0.1 port=%d user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
server_login_retry = 0
pkt_buf = 65536
`, serverPort, port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// The pooler ends with its input, and so with this process.
	args := []string{"-c", `"$@" & child=$!; cat >/dev/null; kill -KILL $child`, "sh", program, config}
	if os.Getuid() == 0 {
		args = append(args, "-u", "nobody") // it refuses root
	}
	var log bytes.Buffer
	cmd := exec.Command("/bin/sh", args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	leash, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		leash.Close()
		_ = cmd.Wait() // the log has its error
		if t.Failed() {
			t.Logf("pgbouncer:\n%s", log.String())
		}
	})
	await(t, "pgbouncer to answer", func() bool {
		conn, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return port
}

// loopback is the connection string for a port of this machine.
func loopback(port int, more string) string {
	return fmt.Sprintf("host=127.0.0.1 port=%d user=postgres dbname=postgres sslmode=disable %s", port, more)
}

// newPoolerPool returns connections to the tests' server through a pooler.
func newPoolerPool(t testing.TB, mode string) *pgxpool.Pool {
	t.Helper()
	port := startPooler(t, server.Port)
	pool, err := pgxpool.New(context.Background(), loopback(port, "pool_max_conns=8 default_query_exec_mode="+mode))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}
