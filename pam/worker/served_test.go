package worker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// listener is an application that listens to a server for so many packets.
type listener struct {
	packets []string
	patient int
}

func (l *listener) Write(packet []byte) (int, error) {
	if len(l.packets) == l.patient {
		return 0, unix.EPIPE
	}
	l.packets = append(l.packets, string(packet))
	return len(packet), nil
}

// What a server says to whom, and what it has done if it could not be said.
func TestAnswer(t *testing.T) {
	uid, gid := fmt.Sprint(os.Getuid()), fmt.Sprint(os.Getgid())
	const (
		accepted = "accepted\n"
		success  = "result success\n"
		ticket   = "session 0 alice\nformer freezer:/\n"
		said     = "ticket begin\nticket session 0 alice\nticket former freezer:/\n"
	)
	open := arguments("open", "7", uid, gid, "alice", "", "min_uid=0")
	nothing := arguments("open", "7", "1", "1", "alice", "", "nosuch", "debug")
	for _, test := range []struct {
		name    string
		args    []string
		patient int
		packets []string // a ticket that is said again counts once
		err     string   // what it begins with; "": none
		moved   string   // what the root's file says
		left    bool     // the session is there
		members string   // what the application's cgroup file says; "": it is in the root
	}{
		{"of another process", arguments("open", "8", uid, gid, "alice", ""), 9, nil, "process 7 asks for process 8", "", true, ""},
		{"too short", []string{"cgdeleg-3", "open"}, 9, nil, "bad request: 2 arguments", "", true, ""},
		{"undo is a worker's", arguments("undo", "7", "", "", "alice", ticket), 9, nil, `bad request: verb "undo"`, "", true, ""},

		{"open, nothing to do", nothing, 9, []string{accepted, "ticket begin\n",
			"log warning unknown option \"nosuch\" ignored; known are -c LIST, close=wait, confined=move, debug, limits, limits=required, min_uid=N, oom=quiet, timeout=N\n" +
				"log debug user \"alice\": user ID 1 is a system account's: below UID_MIN, which is 1000 by default, nothing done\n" + success}, "", "", true, ""},
		{"open, who has given up", open, 0, nil, "broken pipe", "", true, ""},
		{"open, who gives up before the ticket", open, 1, []string{accepted}, "the application has given up: broken pipe", "", false, ""},
		{"open that fails", open, 1000, []string{accepted, said}, `no session was opened: user "alice": hierarchy freezer: open /f/user/alice/0/cgroup.procs: no such file or directory`, "", false, ""},
		{"open of nobody", arguments("open", "7", "", "", "ghost", ""), 9, []string{accepted}, `no session was opened: user "ghost" is not known to the system`, "", true, ""},

		{"close", arguments("close", "7", "", "", "alice", ticket), 9, []string{accepted, success}, "", "", false, ""},
		{"close, who has given up", arguments("close", "7", "", "", "alice", ticket), 0, nil, "broken pipe", "", true, ""},
		{"close that fails", arguments("close", "7", "", "", "alice", ticket), 9, []string{accepted}, "no session was closed: ", "", true, "nonsense"},
		{"close that nobody waits for", arguments("detached-close", "7", "", "", "alice", ticket), 9, []string{accepted + success}, "", "", false, ""},
		{"close that nobody waits for, who has given up", arguments("detached-close", "7", "", "", "alice", ticket), 0, nil, "broken pipe", "", true, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := map[string]string{}
			if test.left || strings.HasPrefix(test.name, "close") {
				files["f/user/alice/0/"] = ""
			}
			if test.members != "" {
				files["proc/7/cgroup"] = test.members
			}
			s, dir := aMachine(t, files)
			l := &listener{patient: test.patient}
			err := answer(test.args, Client{PID: 7, Reply: l}, s)
			for i := range l.packets {
				l.packets[i] = withoutInodes(l.packets[i])
			}
			if got := slices.Compact(l.packets); !slices.Equal(got, test.packets) {
				t.Errorf("said %q, want %q", got, test.packets)
			}
			if text := fmt.Sprint(err); (err == nil) != (test.err == "") || err != nil && !strings.HasPrefix(text, test.err) {
				t.Errorf("error %q, want %q", text, test.err)
			}
			if procs, err := os.ReadFile(filepath.Join(dir, "f/cgroup.procs")); err != nil || string(procs) != test.moved {
				t.Errorf("moved: %q, %v", procs, err)
			}
			if _, err := os.Stat(filepath.Join(dir, "f/user/alice/0")); (err == nil) != test.left {
				t.Errorf("the session: %v, want that it is there: %v", err, test.left)
			}
			if _, err := os.Stat(filepath.Join(s.locks.Dir, "applications/7")); err == nil {
				t.Error("the application's lock is left")
			}
		})
	}
}

// What is warned of while nobody is told anything comes into the server's own log.
func TestWarningsOfServed(t *testing.T) {
	w := &packets{w: failing{}}
	r := &replier{w: w}
	r.reportStrayed(request{user: "alice", pid: 7}, errors.New("hierarchy freezer: not back"))
	r.log("error", "user %q: failed", "alice")
	const want = `; user "alice": process 7 left its session, and its limits: hierarchy freezer: not back`
	if got := w.warnings(); got != want || w.failure != `user "alice": failed` {
		t.Errorf("got %q and %q", got, w.failure)
	}
}

// failing is who cannot be told anything, in a way that nobody thought of.
type failing struct{}

func (failing) Write([]byte) (int, error) { panic("oh") }

func TestAnswerPanics(t *testing.T) {
	s, _ := aMachine(t, nil)
	err := answer(arguments("close", "7", "", "", "alice", ""), Client{PID: 7, Reply: failing{}}, s)
	if err == nil || err.Error() != "internal error: oh" {
		t.Errorf("got %v", err)
	}
}

// The C side asks in the same words.
func TestServerIsTheSameInC(t *testing.T) {
	header, err := os.ReadFile("../server.h")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("../server.c")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(source), fmt.Sprintf("accepted[] = %q;", Accepted)) || !strings.Contains(string(header), " *\t"+Accepted[:len(Accepted)-1]+"\t") {
		t.Error("the first line is another one")
	}
}
