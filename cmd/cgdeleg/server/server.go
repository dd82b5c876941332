// Package server is `cgdeleg serve`: it answers the module on a socket, in place of a
// worker that each login and logout would have to start. The module never depends on it
// (pam/server.h).
//
// It knows who asks, and how often at once; what is done for them is package worker's,
// which runs warm here. It must not know anything of cgroups.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/lock"
	"github.com/cgdeleg/pam_cgdeleg/pam/worker"
)

// Socket is where the module asks (SERVER_SOCKET of pam/server.h).
const Socket = "/run/cgdeleg/serve.sock"

// The protocol of pam/server.h.
const (
	protocol   = "cgdeleg-3"
	requestMax = 64 << 10
)

// ErrRunning says that another server has the socket.
var ErrRunning = errors.New("another cgdeleg serve is running")

// errLate says that an application did not wait until its request was accepted.
var errLate = errors.New("applications were not answered within 50 ms, and started workers")

const (
	// requestPatience is how long to wait for the request of who has connected.
	requestPatience = time.Second
	// endPatience is how long requests may take that are being answered at the end.
	endPatience = 10 * time.Second
	// descriptorsEach is more than a request needs: three for each hierarchy, and some for
	// what is made in one.
	descriptorsEach = 96
	requestsMax     = 256
)

// Server answers requests.
type Server struct {
	listener  *net.UnixListener
	path      string     // to remove at the end; "" if the socket is not the server's own
	held      *lock.Held // keeps others from the path
	house     house
	answering atomic.Int64 // how many requests are being answered
	fewFiles  sync.Once    // that it may open too few is said once
	// Complain is told what the server could not do, and why it left somebody to a
	// worker. It is called by several goroutines at once.
	Complain func(error)
}

// Listen returns a server on a socket of its own, which nobody but root can reach. Errors
// are ErrRunning, *lock.Error about the directory, and those of the kernel.
func Listen(path string) (*Server, error) {
	held, err := lock.Locks{Dir: filepath.Dir(path)}.AcquireServer(filepath.Base(path))
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, ErrRunning
	}
	if err != nil {
		return nil, err
	}
	s, err := listen(path)
	if err != nil {
		held.Release()
		return nil, err
	}
	s.held = held
	return s, nil
}

// listen makes the socket beside its place, and moves it there when it can be used.
func listen(path string) (*Server, error) {
	temporary := path + ".new"
	_ = os.Remove(temporary)
	listener, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: temporary, Net: "unixpacket"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(temporary, 0o600), os.Rename(temporary, path)); err != nil {
		return nil, errors.Join(err, listener.Close(), os.Remove(temporary))
	}
	return newServer(listener, path)
}

// Inherit returns a server on the socket that systemd listens on for it, nil if it was
// started otherwise (sd_listen_fds(3)).
func Inherit() (*Server, error) {
	const first = 3
	if os.Getenv("LISTEN_PID") != fmt.Sprint(os.Getpid()) {
		return nil, nil //nolint:nilnil // there is none, and nothing is wrong
	}
	if count := os.Getenv("LISTEN_FDS"); count != "1" {
		return nil, fmt.Errorf("systemd passed %s sockets, not one", count)
	}
	file := os.NewFile(first, "LISTEN_FD")
	defer file.Close()
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, err
	}
	packets, ok := listener.(*net.UnixListener)
	if kind, err := unix.GetsockoptInt(first, unix.SOL_SOCKET, unix.SO_TYPE); !ok || err != nil || kind != unix.SOCK_SEQPACKET {
		_ = listener.Close()
		return nil, errors.New("the socket that systemd passed is none with ListenSequentialPacket=")
	}
	return newServer(packets, "")
}

func newServer(listener *net.UnixListener, path string) (*Server, error) {
	house, err := newHouse()
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return &Server{listener: listener, path: path, house: house, Complain: func(error) {}}, nil
}

// requestsAtOnce returns how many requests can be answered at once: what each opens must
// not be missing for another. The limit may be another one each time (prlimit(2)).
func requestsAtOnce() (int64, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, os.NewSyscallError("getrlimit", err)
	}
	if limit.Cur < descriptorsEach {
		return 0, fmt.Errorf("RLIMIT_NOFILE is %d, and a request needs %d", limit.Cur, descriptorsEach)
	}
	return int64(min(requestsMax, limit.Cur/descriptorsEach)), nil
}

// Serve answers until the context ends, and finishes then what it has begun. Its error is
// one of the socket's.
func (s *Server) Serve(ctx context.Context) error {
	stop := sync.OnceFunc(s.stop)
	defer stop()
	defer context.AfterFunc(ctx, stop)()
	var busy sync.WaitGroup
	for {
		conn, err := s.listener.AcceptUnix()
		switch {
		case err == nil:
			s.take(conn, &busy)
		case ctx.Err() != nil:
			await(&busy, endPatience)
			return nil
		case errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.ENOBUFS):
			s.Complain(err)
			time.Sleep(100 * time.Millisecond) // who waits runs a worker meanwhile
		case errors.Is(err, unix.ECONNABORTED):
		default:
			return err
		}
	}
}

// stop ends the listening. The socket's file goes first: who comes later runs a worker at
// once.
func (s *Server) stop() {
	if s.path != "" {
		_ = os.Remove(s.path)
	}
	_ = s.listener.Close()
	s.held.Release()
}

func await(busy *sync.WaitGroup, patience time.Duration) {
	done := make(chan struct{})
	go func() {
		busy.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(patience):
	}
}

// take answers in the background, or not at all where too many are answered already.
func (s *Server) take(conn *net.UnixConn, busy *sync.WaitGroup) {
	most, err := requestsAtOnce()
	if err != nil {
		s.fewFiles.Do(func() { s.Complain(err) })
	}
	if s.answering.Add(1) > most {
		s.answering.Add(-1)
		_ = conn.Close()
		return
	}
	busy.Add(1)
	go func() {
		defer busy.Done()
		defer s.answering.Add(-1)
		defer func() { _ = conn.Close() }()
		if err := s.answer(conn); err != nil {
			s.Complain(err)
		}
	}()
}

// answer answers one request. Where it returns an error the application runs a worker.
func (s *Server) answer(conn *net.UnixConn) error {
	who, err := identify(conn)
	if err != nil {
		return err
	}
	defer who.close()
	if err := s.house.admit(who.pid); errors.Is(err, unix.ENOENT) {
		return nil // it has ended
	} else if err != nil {
		return err
	}
	args, err := readRequest(conn)
	if errors.Is(err, io.EOF) {
		return nil // somebody looked whether the server is there
	}
	if err != nil {
		return fmt.Errorf("process %d: %w", who.pid, err)
	}
	err = worker.Answer(args, worker.Client{
		PID: who.pid, HasEnded: who.hasEnded, Reply: conn,
		Enter: func(tasks []int) (int, error) { return enter(conn, tasks) },
	})
	switch {
	case errors.Is(err, unix.EPIPE):
		return errLate // without its PID: under load there are many, and they are said once
	case err != nil:
		return fmt.Errorf("process %d is left to a worker: %w", who.pid, err)
	}
	return nil
}

// readRequest reads the arguments that a worker would get.
func readRequest(conn *net.UnixConn) ([]string, error) {
	packet := make([]byte, requestMax+1)
	if err := conn.SetReadDeadline(time.Now().Add(requestPatience)); err != nil {
		return nil, err
	}
	n, err := conn.Read(packet)
	if err != nil {
		return nil, err
	}
	return parseRequest(packet[:n])
}

// parseRequest takes a packet apart.
func parseRequest(packet []byte) ([]string, error) {
	n := len(packet)
	if n == 0 || n > requestMax || packet[n-1] != 0 {
		return nil, fmt.Errorf("not a request: %d bytes", n)
	}
	args := strings.Split(string(packet[:n-1]), "\x00")
	if args[0] != protocol {
		return nil, fmt.Errorf("protocol %q is not known", args[0])
	}
	return args, nil
}

// enter asks the application to enter the cgroups of these files (pam/enter.h).
func enter(conn *net.UnixConn, tasks []int) (entered int, err error) {
	if _, _, err := conn.WriteMsgUnix([]byte(worker.EnterLine), unix.UnixRights(tasks...), nil); err != nil {
		return 0, worker.SendError(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(worker.EnterPatience)); err != nil {
		return 0, err
	}
	answer := make([]byte, 24)
	n, err := conn.Read(answer)
	if err != nil {
		return 0, err
	}
	return worker.ParseEntered(answer[:n])
}
