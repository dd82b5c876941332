package worker

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// socketPair returns the worker's end of a channel and the application's.
func socketPair(t *testing.T) (worker, application int) {
	t.Helper()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(ends[0]); unix.Close(ends[1]) })
	return ends[0], ends[1]
}

func TestEnter(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer string // "-": it goes without one
		want   int
		err    string
	}{
		{"it entered two", "2\n", 2, ""},
		{"it entered none", "0\n", 0, ""},
		{"it goes", "-", 0, "the application does not read the reply"},
		{"it says nothing", "", 0, "i/o timeout"},
		{"half a line", "2", 0, `"2" is no number of entered cgroups`},
		{"fewer than none", "-1\n", 0, `"-1\n" is no number of entered cgroups`},
		{"something else", "yes\n", 0, `"yes\n" is no number of entered cgroups`},
	} {
		t.Run(test.name, func(t *testing.T) {
			worker, application := socketPair(t)
			tasks, err := os.Create(t.TempDir() + "/tasks")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tasks.Close() }()
			switch test.answer {
			case "-":
				if err := unix.Shutdown(application, unix.SHUT_WR); err != nil {
					t.Fatal(err)
				}
			case "":
			default:
				if _, err := unix.Write(application, []byte(test.answer)); err != nil {
					t.Fatal(err)
				}
			}
			got, err := descriptor(worker).enter([]int{int(tasks.Fd())})
			if got != test.want || (err == nil) != (test.err == "") || err != nil && err.Error() != test.err {
				t.Errorf("got %d, %v", got, err)
			}
			line, oob := make([]byte, 64), make([]byte, 64)
			n, oobn, _, _, err := unix.Recvmsg(application, line, oob, unix.MSG_CMSG_CLOEXEC)
			if err != nil || string(line[:n]) != EnterLine {
				t.Fatalf("said %q, %v", line[:n], err)
			}
			messages, err := unix.ParseSocketControlMessage(oob[:oobn])
			if err != nil || len(messages) != 1 {
				t.Fatalf("%d messages, %v", len(messages), err)
			}
			files, err := unix.ParseUnixRights(&messages[0])
			if err != nil || len(files) != 1 {
				t.Fatalf("files %v, %v", files, err)
			}
			unix.Close(files[0])
		})
	}
}

// An application that may have no socket has a pipe. One that is gone is an error.
func TestEnterWithoutSocket(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = r.Close(), w.Close() }()
	if entered, err := descriptor(w.Fd()).enter([]int{int(r.Fd())}); entered != 0 || err != nil {
		t.Errorf("pipe: %d, %v", entered, err)
	}
	worker, application := socketPair(t)
	if err := unix.Shutdown(application, unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	if _, err := descriptor(worker).enter([]int{int(r.Fd())}); !errors.Is(err, unix.EPIPE) {
		t.Errorf("nobody there: %v", err)
	}
}

// Of an application that may have entered, or may still, nothing is said but its ticket:
// it is undone when the application has given up. One that is late is moved.
func TestUnheardEntering(t *testing.T) {
	const ticket = "ticket begin\nticket session 0 alice\nticket former freezer:/\nticket made freezer:"
	for _, test := range []struct {
		name    string
		err     error
		isMoved bool // it can be
		status  int
		log     string // after the ticket
	}{
		// the files tasks keep the sessions, here
		{"it has gone", errUnheard, true, 1, "rmdir /f/user/alice/0: directory not empty; this session has no cgroups of its own\n"},
		{"it is late", os.ErrDeadlineExceeded, true, 0, "session 0\nresult success\n"},
		{"it is late, and cannot be moved", os.ErrDeadlineExceeded, false, 1, "; this session has no cgroups of its own\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, dir := aMachine(t, nil)
			asked := 0
			s.enter = func(tasks []int) (int, error) {
				asked += len(tasks)
				return 0, test.err
			}
			l := &withTasks{session: dir + "/f/user/alice/0", isMoved: test.isMoved}
			args := arguments("open", "7", fmt.Sprint(os.Getuid()), fmt.Sprint(os.Getgid()), "alice", "", "min_uid=0")
			if status := run(args, l, s); status != test.status || asked != 1 {
				t.Errorf("status %d, asked with %d files", status, asked)
			}
			heard := l.heard.String()
			if isGone := strings.Contains(heard, "log error user \"alice\": the application does not read the reply"); isGone != errors.Is(test.err, errUnheard) {
				t.Errorf("said\n%s", heard)
			}
			if !strings.HasPrefix(heard, ticket) || !strings.HasSuffix(heard, test.log) || strings.Contains(heard, "result failure") {
				t.Errorf("said\n%s", heard)
			}
		})
	}
}

// withTasks hears a reply, and gives the session the file that the kernel gives a cgroup.
type withTasks struct {
	session string
	isMoved bool // also that by which it is moved
	heard   strings.Builder
}

func (l *withTasks) Write(data []byte) (int, error) {
	if strings.HasPrefix(string(data), "ticket ") {
		if err := os.WriteFile(l.session+"/tasks", nil, 0o644); err != nil {
			return 0, err
		}
		if l.isMoved {
			if err := os.WriteFile(l.session+"/cgroup.procs", nil, 0o644); err != nil {
				return 0, err
			}
		}
	}
	return l.heard.Write(data)
}
