package server

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/pam/worker"
)

// peer is the process at the other end of a connection.
type peer struct {
	pid   int
	pidfd int // -1 before Linux 5.3
}

func (p *peer) close() {
	if p.pidfd >= 0 {
		unix.Close(p.pidfd)
	}
}

func (p *peer) hasEnded() bool { return worker.HasEnded(p.pidfd) }

// identify asks the kernel who connected. Only who runs with the server's own user ID,
// root's, is answered: a socket in a directory of root's is not all that keeps others out.
func identify(conn *net.UnixConn) (*peer, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	p, err2 := &peer{}, error(nil)
	err = raw.Control(func(fd uintptr) { err2 = p.fill(int(fd)) })
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *peer) fill(fd int) error {
	credentials, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	switch {
	case err != nil:
		return err
	case int(credentials.Uid) != unix.Geteuid():
		return fmt.Errorf("user ID %d is not answered", credentials.Uid)
	case credentials.Pid <= 0:
		return errors.New("a process of another PID namespace is not answered") // unix(7)
	}
	p.pid = int(credentials.Pid)
	p.pidfd, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEERPIDFD) // Linux 6.5
	if err != nil {
		if p.pidfd, err = unix.PidfdOpen(p.pid, 0); err != nil {
			p.pidfd = -1
		}
	}
	return nil
}

// namespaces are those which say what a process means by a PID and by the path of a
// cgroup, by the inodes of proc_pid_ns(5).
type namespaces struct{ pid, cgroup, mount uint64 }

// namespacesOf returns the namespaces of a process, a PID or "self".
func namespacesOf(process string) (n namespaces, err error) {
	for name, inode := range map[string]*uint64{"pid": &n.pid, "cgroup": &n.cgroup, "mnt": &n.mount} {
		path := "/proc/" + process + "/ns/" + name
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			return n, fmt.Errorf("stat %s: %w", path, err)
		}
		*inode = st.Ino
	}
	return n, nil
}

// house is where the server lives, and whom it can answer.
type house struct {
	own   namespaces
	first uint64 // the mount namespace of PID 1; 0 if it is not to be seen
}

func newHouse() (h house, err error) {
	if h.own, err = namespacesOf("self"); err != nil {
		return h, err
	}
	if first, err := namespacesOf("1"); err == nil {
		h.first = first.mount
	}
	return h, nil
}

// admit returns an error about a process that lives elsewhere: in a container with
// the machine's /run, say. A service with a mount namespace of its own is the server
// itself, as systemd runs it; what it sees is what PID 1 sees.
func (h house) admit(pid int) error {
	theirs, err := namespacesOf(strconv.Itoa(pid))
	switch {
	case err != nil:
		return err
	case theirs.pid != h.own.pid, theirs.cgroup != h.own.cgroup:
		return fmt.Errorf("process %d is in another PID or cgroup namespace", pid)
	case theirs.mount != h.own.mount && theirs.mount != h.first:
		return fmt.Errorf("process %d is in another mount namespace", pid)
	}
	return nil
}
