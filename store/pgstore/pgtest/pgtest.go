//go:build unix

// Package pgtest runs PostgreSQL servers for tests on Unix. Each has a separate
// directory and accepts connections only by a Unix socket or on loopback, without a
// password. The package needs the server programs of version 13 or later on this
// machine, and runs them under another account if the process is root, because they
// refuse to run as root. A server ends with the process that started it, even if that
// is killed.
//
//	server, err := pgtest.New("fsync=off")
//	if err != nil {
//		return err // ErrNoServer says what to install
//	}
//	defer server.Remove()
//	s, err := pgstore.Open(ctx, server.ConnString(), nil)
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrNoServer says that this machine has no server programs, and how to get them.
var ErrNoServer = errors.New(`these tests need the PostgreSQL server programs (initdb, postgres) of version 13 or later.
On Debian or Ubuntu: apt-get install -y postgresql. Elsewhere: put their directory into PATH`)

// Server is a PostgreSQL server that this process started. Its superuser and
// its database are both called postgres. Methods that start or end it are for
// one goroutine at a time.
type Server struct {
	Dir      string // its files, including the socket; Remove deletes it
	Port     int    // on 127.0.0.1, and in the socket's name
	Version  string // as the server reports it, such as "15.4"
	programs string
	settings []string
	cmd      *exec.Cmd
	leash    io.WriteCloser
	ended    chan struct{}
	log      string
}

// New makes a server in a new temporary directory, starts it and waits until it
// answers. Settings are like "fsync=off". The caller calls Remove. The error
// matches [ErrNoServer] if there are no server programs.
func New(settings ...string) (*Server, error) {
	s, err := prepare(settings)
	if err != nil {
		return nil, err
	}
	err = output(s.command(s.Program("initdb"), "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"))
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		s.Remove()
		return nil, err
	}
	return s, nil
}

// Standby makes a streaming standby of a server, under a name that the
// server's setting synchronous_standby_names can have, and starts it. It copies
// the files of the server and restarts it, which needs no program for backups.
func (s *Server) Standby(name string, settings ...string) (*Server, error) {
	primary := fmt.Sprintf("primary_conninfo=host=%s port=%d user=postgres application_name=%s", s.Dir, s.Port, name)
	standby, err := prepare(append(settings, primary))
	if err != nil {
		return nil, err
	}
	err = s.Kill()
	if err == nil {
		err = output(standby.command("/bin/sh", "-c", `cp -Rp "$0" data && touch data/standby.signal`, s.data()))
	}
	if err == nil {
		err = s.Start()
	}
	if err == nil {
		err = standby.Start()
	}
	if err != nil {
		standby.Remove()
		return nil, err
	}
	return standby, nil
}

func prepare(settings []string) (*Server, error) {
	programs, err := findPrograms()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		return nil, err
	}
	s := &Server{Dir: dir, programs: programs, settings: settings, log: filepath.Join(dir, "log")}
	if uid, gid, other := account(); other {
		if err := os.Chown(dir, int(uid), int(gid)); err != nil {
			return nil, err
		}
	}
	s.Port, err = freePort()
	return s, err
}

// findPrograms returns the directory of the newest server programs.
func findPrograms() (string, error) {
	var found []string
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin"} {
		dirs, _ := filepath.Glob(pattern) // the pattern is well-formed
		for _, dir := range dirs {
			if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil {
				found = append(found, dir)
			}
		}
	}
	if len(found) == 0 {
		return "", ErrNoServer
	}
	slices.Sort(found)
	return found[len(found)-1], nil
}

// account is the account for the server if this process is root.
func account() (uid, gid uint32, other bool) {
	if os.Getuid() != 0 {
		return 0, 0, false
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		id, err1 := strconv.ParseUint(u.Uid, 10, 32)
		group, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return uint32(id), uint32(group), true
		}
	}
	return 65534, 65534, true
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (s *Server) data() string { return filepath.Join(s.Dir, "data") }

// Program is the path of one of the server's programs, such as pgbench.
func (s *Server) Program(name string) string { return filepath.Join(s.programs, name) }

// command is a program run as the server's account in its directory.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = s.Dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "HOME="+s.Dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if uid, gid, other := account(); other {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	}
	return cmd
}

// output runs a command. Its error has the command's output.
func output(cmd *exec.Cmd) error {
	text, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd.Path, err, text)
	}
	return nil
}

// onLeash runs its arguments until its input ends, which is when this process
// ends for any reason. The server gets an empty input. Otherwise, when the
// server is killed, a process of it that waits for a standby would read its
// next command from any file that it has open as input.
const onLeash = `exec 3<&0; "$@" </dev/null 3<&- & child=$!; (cat <&3; kill -QUIT $child) >/dev/null & wait $child`

// Start starts a server that was killed, and waits until it answers.
func (s *Server) Start() error {
	args := []string{"-c", onLeash, "postgres", s.Program("postgres"), "-D", s.data(), "-p", strconv.Itoa(s.Port), "-k", s.Dir}
	settings := []string{
		"listen_addresses=127.0.0.1", "shared_buffers=32MB", "max_connections=100",
		"dynamic_shared_memory_type=mmap", // in its directory, so that a killed server leaves nothing elsewhere
	}
	for _, setting := range append(settings, s.settings...) {
		args = append(args, "-c", setting)
	}
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = s.command("/bin/sh", args...)
	// Start prints nothing there, but the server has the pipe open as well, so
	// Wait waits for all processes of the server.
	s.cmd.Stdout, s.cmd.Stderr = io.Discard, log
	if s.leash, err = s.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait() // the log has its error
		close(ended)
	}(s.cmd, s.ended)
	return s.await()
}

// await waits until the server answers.
func (s *Server) await() error {
	deadline := time.Now().Add(time.Minute)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		conn, err := pgx.Connect(ctx, s.ConnString())
		if err == nil {
			s.Version = conn.PgConn().ParameterStatus("server_version")
			_ = conn.Close(ctx) // it has answered
			cancel()
			return nil
		}
		cancel()
		select {
		case <-s.ended:
			return fmt.Errorf("the server ended: %s", s.Log())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the server does not answer: %w\n%s", err, s.Log())
		}
	}
}

// ConnString names the database by the server's Unix socket.
func (s *Server) ConnString() string {
	return fmt.Sprintf("host=%s port=%d user=postgres dbname=postgres", s.Dir, s.Port)
}

// URL names the database by the server's address on loopback.
func (s *Server) URL() string { return "postgres://postgres@" + s.Addr() + "/postgres" }

// Addr is the server's address on loopback.
func (s *Server) Addr() string { return "127.0.0.1:" + strconv.Itoa(s.Port) }

// pid is the process ID of the server, which it keeps in its directory.
func (s *Server) pid() (int, error) {
	text, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strconv.Atoi(line)
}

// Kill ends the server at once, like a power cut, and waits until all its
// processes have ended, so that it can be started again.
func (s *Server) Kill() error {
	pid, err := s.pid()
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	// The server's processes notice its end and end as well, and then all
	// processes started by onLeash.
	err = errors.Join(err, syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL))
	select {
	case <-s.ended:
	case <-time.After(time.Minute):
		return errors.Join(err, errors.New("pgtest: some processes of a killed server still run"))
	}
	// Until the process is collected, the next start would consider it alive.
	return errors.Join(err, os.Remove(filepath.Join(s.data(), "postmaster.pid")),
		os.Remove(filepath.Join(s.Dir, fmt.Sprintf(".s.PGSQL.%d.lock", s.Port))))
}

// Promote makes a standby a primary server.
func (s *Server) Promote() error {
	return output(s.command(s.Program("pg_ctl"), "promote", "-D", s.data(), "-w", "-t", "60"))
}

// Remove stops the server, if it runs, and deletes its directory.
func (s *Server) Remove() {
	if s.ended != nil {
		_ = s.leash.Close() // the server ends either way
		select {
		case <-s.ended:
		case <-time.After(20 * time.Second):
			_ = s.Kill()
		}
	}
	_ = os.RemoveAll(s.Dir)
}

// Log is the end of the server's log.
func (s *Server) Log() string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4_000):])
}
