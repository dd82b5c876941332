package served

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// A login with a server that cannot be asked is as one without.
func TestServerIsOfNoUse(t *testing.T) {
	for i, test := range []struct {
		name    string
		under   []string // what starts the server
		prepare func(t *testing.T, s *testbed.Server)
		asks    func(t *testing.T, script string) testbed.Answers
	}{
		{"it was killed", nil, func(_ *testing.T, s *testbed.Server) {
			_ = s.Cmd.Process.Kill()
			_, _ = s.Cmd.Process.Wait()
		}, testbed.RunApplication},
		{"it is stopped", nil, func(_ *testing.T, s *testbed.Server) { _ = s.Cmd.Process.Signal(unix.SIGSTOP) }, testbed.RunApplication},
		{"it has ended", nil, func(_ *testing.T, s *testbed.Server) { s.End(unix.SIGTERM) }, testbed.RunApplication},
		{"it may open few files", nil, limit(unix.RLIMIT_NOFILE, 12), testbed.RunApplication},
		{"it may open no more files", nil, limit(unix.RLIMIT_NOFILE, 3), testbed.RunApplication},
		{"it is in another PID namespace", []string{"unshare", "--pid", "--fork", "--kill-child", "--mount-proc"}, nil, testbed.RunApplication},
		{"it is in another cgroup namespace", []string{"unshare", "--cgroup"}, nil, testbed.RunApplication},
		{"the application is in another PID namespace", nil, nil, runUnder("unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", `"$@"; exit $?`, "sh")},
		{"the application is in another mount namespace", nil, nil, runUnder("unshare", "--mount")},
		{"the application is in another cgroup namespace", nil, nil, runUnder("unshare", "--cgroup")},
	} {
		t.Run(test.name, func(t *testing.T) {
			u := login(t, fmt.Sprintf("cgnouse%d", i), 21920+i, "")
			s := testbed.Serve(t, test.under...)
			if test.prepare != nil {
				test.prepare(t, s)
			}
			log := testbed.LogFromNow(t)
			a := test.asks(t, session(u))
			if !strings.Contains(test.name, "PID namespace") { // which PAM's paths would say otherwise
				wantSession(t, u, a)
			}
			wantServed(t, a, false)
			if !strings.Contains(test.name, "the application is in another") { // where a worker has something to say
				log.WantSilence()
			}
			s.End(unix.SIGCONT, unix.SIGTERM)
			leaveNothing(t, u)
		})
	}
}

// leaveNothing waits until the detached workers are done, and the sessions removed that
// the closes could not remove.
func leaveNothing(t *testing.T, u testbed.User) {
	t.Helper()
	testbed.AwaitDetachedWorkers(t)
	if out, err := exec.Command(testbed.Built(t, "cgdeleg"), "cleanup", "-u", u.Name).CombinedOutput(); err != nil {
		t.Errorf("cleanup: %v\n%s", err, out)
	}
	testbed.WantNothingLeft(t, u.Name)
}

func limit(resource int, value uint64) func(*testing.T, *testbed.Server) {
	return func(t *testing.T, s *testbed.Server) {
		t.Helper()
		if err := unix.Prlimit(s.Cmd.Process.Pid, resource, &unix.Rlimit{Cur: value, Max: value}, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func runUnder(under ...string) func(*testing.T, string) testbed.Answers {
	return func(t *testing.T, script string) testbed.Answers {
		t.Helper()
		return testbed.LaunchUnder(t, under, strings.Fields(script)...).Finish()
	}
}

// stranger answers on the server's socket.
type stranger func(conn *net.UnixConn)

// listen has somebody answer on the socket.
func (s stranger) listen(t *testing.T) {
	t.Helper()
	if err := os.Mkdir("/run/cgdeleg", 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	listener, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: testbed.ServeSocket, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.AcceptUnix()
			if err != nil {
				return
			}
			go func() {
				_, _ = conn.Read(make([]byte, 1<<16))
				s(conn)
				_ = conn.Close()
			}()
		}
	}()
}

// says answers with packets, and hangs up.
func says(packets ...string) stranger {
	return func(conn *net.UnixConn) {
		for _, packet := range packets {
			_, _ = conn.Write([]byte(packet))
		}
	}
}

// sticks answers with packets, and does nothing more until the application hangs up.
func sticks(packets ...string) stranger {
	return func(conn *net.UnixConn) {
		says(packets...)(conn)
		_, _ = conn.Read(make([]byte, 1))
	}
}

// What is no answer, and an answer that comes to no end, is taken for none; what may
// have been done is taken back before a worker is run.
func TestOddAnswers(t *testing.T) {
	for i, test := range []struct {
		name   string
		answer stranger
		log    string // "": nothing is said
	}{
		{"hangs up at once", says(), ""},
		{"nothing, without end", sticks(), ""},
		{"nonsense", says("nonsense\n"), ""},
		{"nonsense, without end", sticks("nonsense\n"), ""},
		{"an empty packet", says(""), ""},
		{"no end of the line", says("accepted"), ""},
		{"a result without that it was accepted", says("result success\n"), ""},
		{"accepted, no more", says("accepted\n"), ""},
		{"accepted, and dies with a ticket", says("accepted\n", "ticket begin\nticket session 7 nobody\nticket former freezer:/\n"), ""},
		{"accepted, and dies within a line", says("accepted\n", "ticket begin\nticket ses"), ""},
		{"64 kB", says("accepted\n", strings.Repeat("x", 65000)+"\n"), ""},
		{"half a result", sticks("accepted\nresult suc"), ""},
		{"a ticket, and then nothing", sticks("accepted\n", "ticket begin\nticket session 7 nobody\nticket former freezer:/\n"), "^cgdeleg serve did not open the session; this session has no cgroups of its own$"},
	} {
		t.Run(test.name, func(t *testing.T) {
			u := login(t, fmt.Sprintf("cgodd%d", i), 21950+i, " timeout=1")
			test.answer.listen(t)
			log := testbed.LogFromNow(t)
			a := testbed.RunApplication(t, session(u))
			wantServed(t, a, false)
			if strings.HasPrefix(test.log, "^cgdeleg serve") {
				a.Want(t, "open", "0") // the line is optional
			} else {
				wantSession(t, u, a)
			}
			if test.log == "" {
				log.WantSilence()
			} else {
				log.Want(test.log)
			}
			leaveNothing(t, u)
		})
	}
}

// The server may be killed at any time.
func TestServerDies(t *testing.T) {
	u := login(t, "cgdies", 21972, " close=wait")
	log := testbed.LogFromNow(t)
	for round := range 30 {
		s := testbed.Serve(t)
		app := testbed.LaunchApplication(t, "start=cgdies:cgdies pause open cgroups close cgroups end usage")
		app.Await("start")
		app.Resume()
		time.Sleep(time.Duration(round) * 300 * time.Microsecond)
		s.End(unix.SIGKILL)
		wantSession(t, u, app.Finish())
	}
	log.WantSilence()
	leaveNothing(t, u)
}

// However many have asked, it needs no more memory and no more descriptors.
func TestServerStaysSmall(t *testing.T) {
	u := login(t, "cgflat", 21973, " close=wait")
	s := testbed.Serve(t)
	logins := func(count int) {
		testbed.RunApplication(t, fmt.Sprintf("repeat=%d { start=%[2]s:%[2]s open close end }", count, u.Name))
	}
	use := func() (kilobytes, descriptors int) {
		proc := fmt.Sprintf("/proc/%d/", s.Cmd.Process.Pid)
		status, _ := os.ReadFile(proc + "status")
		_, rss, _ := strings.Cut(string(status), "VmRSS:")
		_, _ = fmt.Sscan(rss, &kilobytes)
		all, _ := os.ReadDir(proc + "fd")
		return kilobytes, len(all)
	}
	logins(1000)
	before, had := use()
	for range 9 {
		logins(1000)
	}
	after, has := use()
	t.Logf("%d kB and %d descriptors, then %d kB and %d", before, had, after, has)
	if after > before+4096 || has > had+4 || before == 0 {
		t.Error("it grows")
	}
}

// as runs something with the user's IDs in a thread of its own, which ends with it.
func as(u testbed.User, do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked
		_, _, _ = unix.RawSyscall(unix.SYS_SETRESGID, uintptr(u.GID), uintptr(u.GID), uintptr(u.GID))
		_, _, _ = unix.RawSyscall(unix.SYS_SETRESUID, uintptr(u.UID), uintptr(u.UID), uintptr(u.UID))
		do()
	}()
	<-done
}

// open lets everybody into the directory, for as long as something is done.
func open(t *testing.T, do func()) {
	t.Helper()
	if err := os.MkdirAll("/run/cgdeleg", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o777, 0o700} {
		if err := os.Chmod("/run/cgdeleg", mode); err != nil {
			t.Fatal(err)
		}
		if mode == 0o777 {
			do()
		}
	}
}

// Somebody who is not root is not believed.
func TestStrangersSocket(t *testing.T) {
	u := login(t, "cgstranger", 21970, "")
	open(t, func() { as(u, func() { says("accepted\n", "result success\n").listen(t) }) })
	log := testbed.LogFromNow(t)
	a := testbed.RunApplication(t, session(u))
	wantSession(t, u, a)
	wantServed(t, a, false)
	log.WantSilence()
	leaveNothing(t, u)
}

// Users cannot ask, and where the files' modes would let them they get no answer.
func TestUsersCannotAsk(t *testing.T) {
	u := login(t, "cgasks", 21971, "")
	s := testbed.Serve(t)
	ask := func() (answer string, err error) {
		conn, err := net.Dial("unixpacket", testbed.ServeSocket)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		_, _ = conn.Write([]byte("cgdeleg-3\x00open\x001\x000\x000\x00root\x00su\x00\x00"))
		buffer := make([]byte, 1000)
		n, err := conn.Read(buffer)
		return string(buffer[:n]), err
	}
	as(u, func() {
		if _, err := ask(); !errors.Is(err, unix.EACCES) {
			t.Errorf("a user asks: %v", err)
		}
	})
	open(t, func() {
		if err := os.Chmod(testbed.ServeSocket, 0o666); err != nil { //nolint:gosec // to see what the server does
			t.Fatal(err)
		}
		as(u, func() {
			if answer, err := ask(); answer != "" || err == nil {
				t.Errorf("a user gets %q, %v", answer, err)
			}
		})
	})
	testbed.Eventually(t, "the server says who asked", func() bool { return strings.Contains(s.Said(), "user ID 21971 is not answered") })
}

// A server that may have no more memory is killed by the kernel, or its system calls fail,
// at any time. Sessions are as without it.
func TestServerOutOfMemory(t *testing.T) {
	u := login(t, "cgnomemory", 21974, " close=wait")
	dir := filepath.Join(testbed.HierarchyNamed(t, "memory").Point, "cgserved-no-memory")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := testbed.Serve(t)
	t.Cleanup(func() {
		s.End(unix.SIGKILL)
		testbed.Eventually(t, dir+" is removed", func() bool { return os.Remove(dir) == nil })
	})
	for file, text := range map[string]string{"memory.limit_in_bytes": "8192", "cgroup.procs": fmt.Sprint(s.Cmd.Process.Pid)} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		wantSession(t, u, testbed.RunApplication(t, session(u)))
	}
	failures, _ := os.ReadFile(filepath.Join(dir, "memory.failcnt"))
	if strings.TrimSpace(string(failures)) == "0" {
		t.Error("it had memory enough")
	}
	leaveNothing(t, u)
}
