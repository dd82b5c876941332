package apply

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine/machinetest"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
	"github.com/cgdeleg/pam_cgdeleg/delegate/ticket"
)

// A number is free only if it is so everywhere, also where this session is not
// wanted: numbers of different hierarchies must mean the same session.
func TestPickNumber(t *testing.T) {
	for _, test := range []struct {
		machine, user string
		want          int
	}{
		{"debian12-v1-hybrid", "alice", 1}, // between 0 and 2
		{"debian12-v1-hybrid", "_tasks", 0},
		{"debian12-v1-hybrid", "nobody", 0},
		{"openrc-v2", "alice", 2},
	} {
		dir := machinetest.Copy(t, "../testdata/"+test.machine)
		if err := os.WriteFile(filepath.Join(dir, machine.StatFile), nil, 0o644); err != nil { // what is not there was absent
			t.Fatal(err)
		}
		set, err := hierarchy.Find(machine.Recorded(dir))
		if err != nil {
			t.Fatal(err)
		}
		defer set.Close()
		a := &application{Request: Request{Set: set, User: test.user}}
		if err := a.pickNumber(); err != nil || a.id.Number != test.want {
			t.Errorf("%s on %s: %d, %v; want %d", test.user, test.machine, a.id.Number, err, test.want)
		}
		if !slices.Equal(a.taken, layout.Numbers(set, test.user)) {
			t.Errorf("%s on %s: taken are %v", test.user, test.machine, a.taken)
		}
	}
}

// withoutInodes looks that a ticket tells of each session which directory it is, and
// returns the rest of it.
func withoutInodes(t *testing.T, dir, ticket string) (rest string) {
	t.Helper()
	made := map[string]string{"made freezer:": "f", "made pids:": "p"}
	for line := range strings.Lines(ticket) {
		word, number, _ := strings.Cut(strings.TrimSpace(line), ":")
		h, is := made[word+":"]
		if !is {
			rest += line
			continue
		}
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(dir, h, "user/alice/0"), &st); err != nil || fmt.Sprint(st.Ino) != number {
			t.Errorf("%q of inode %d, %v", line, st.Ino, err)
		}
		delete(made, word+":")
	}
	if len(made) > 0 {
		t.Errorf("ticket %q", ticket)
	}
	return rest
}

// aPlan is one for alice on a machine with the ordinary directories /f and /p in
// place of the hierarchies freezer and pids, where the process 7 is in /job.
func aPlan(t *testing.T) (r Request, dir string) {
	t.Helper()
	dir = files(t, map[string]string{
		"proc/self/mountinfo": "1 1 0:1 / /f rw - cgroup c rw,freezer\n2 1 0:2 / /p rw - cgroup c rw,pids\n",
		"proc/1/cgroup":       "1:freezer:/\n2:pids:/\n", "proc/7/cgroup": "1:freezer:/job\n2:pids:/job\n",
		"f/cgroup.procs": "", "p/cgroup.procs": "", "f/job/cgroup.procs": "", "p/job/cgroup.procs": "", machine.StatFile: "",
	})
	m := machine.Recorded(dir)
	set, err := hierarchy.Find(m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	members, err := hierarchy.Memberships(m, 7)
	if err != nil {
		t.Fatal(err)
	}
	p := plan.New(m, set, plan.Request{User: "alice", Members: members, Controllers: hierarchy.Everything})
	return Request{
		Machine: m, Set: set, Plan: p, PID: 7, UID: os.Getuid(), GID: os.Getgid(), User: "alice", Controllers: hierarchy.Everything,
	}, dir
}

// makeEnterable gives the sessions the file that the kernel gives a cgroup.
func makeEnterable(t *testing.T, dir string) {
	t.Helper()
	for _, h := range []string{"f", "p"} {
		if err := os.WriteFile(filepath.Join(dir, h, "user/alice/0/cgroup.procs"), nil, 0o644); err != nil {
			t.Error(err) // it is announced what is there
		}
	}
}

func requireContent(t *testing.T, path, want string) {
	t.Helper()
	if data, err := os.ReadFile(path); err != nil || string(data) != want {
		t.Errorf("%s has %q, %v; want %q", path, data, err, want)
	}
}

func TestRun(t *testing.T) {
	r, dir := aPlan(t)
	var announced []string
	r.Announce = func(to *ticket.Ticket) error {
		text, err := to.MarshalText()
		announced = append(announced, withoutInodes(t, dir, string(text)))
		makeEnterable(t, dir)
		return err
	}
	result, err := Run(r)
	if err != nil {
		t.Fatal(err)
	}
	text, err := result.Ticket.MarshalText()
	const want = "session 0 alice\nformer freezer:/job\nformer pids:/job\n"
	if err != nil || withoutInodes(t, dir, string(text)) != want || !slices.Equal(announced, []string{want}) {
		t.Errorf("ticket %q, announced %q", text, announced)
	}
	if result.Warnings != nil || result.Notes != nil || result.Taken != nil {
		t.Errorf("got %+v", result)
	}
	for _, h := range []string{"f", "p"} {
		requireContent(t, filepath.Join(dir, h, "user/alice/0/cgroup.procs"), "7")
		requireContent(t, filepath.Join(dir, h, "job/cgroup.procs"), "")
		for _, made := range []string{"user", "user/alice", "user/alice/0"} {
			if st, err := os.Stat(filepath.Join(dir, h, made)); err != nil || st.Mode().Perm() != 0o755 {
				t.Errorf("%s: %v, %v", made, st, err)
			}
		}
	}
}

// What cannot be announced must not happen: nobody could take it back.
func TestAnnounceFails(t *testing.T) {
	refused := errors.New("nobody hears it")
	for _, enterable := range []bool{false, true} {
		r, dir := aPlan(t)
		r.Announce = func(*ticket.Ticket) error {
			if enterable {
				makeEnterable(t, dir)
			}
			return refused
		}
		if result, err := Run(r); !errors.Is(err, refused) || result != nil {
			t.Errorf("got %+v, %v", result, err)
		}
		for _, h := range []string{"f", "p"} {
			requireContent(t, filepath.Join(dir, h, "job/cgroup.procs"), "")
			requireContent(t, filepath.Join(dir, h, "cgroup.procs"), "")
			if enterable { // an ordinary directory with a file in it stays
				requireContent(t, filepath.Join(dir, h, "user/alice/0/cgroup.procs"), "")
			} else if _, err := os.Stat(filepath.Join(dir, h, "user/alice")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("left in %s: %v", h, err)
			}
		}
	}
}

// One hierarchy that lets no process in costs all of them: the process is moved back
// to where it was.
func TestRunTakesBack(t *testing.T) {
	r, dir := aPlan(t)
	r.Announce = func(*ticket.Ticket) error {
		return errors.Join(
			os.WriteFile(filepath.Join(dir, "f/user/alice/0/cgroup.procs"), nil, 0o644),
			os.Mkdir(filepath.Join(dir, "p/user/alice/0/cgroup.procs"), 0o755), // which no process can enter
		)
	}
	_, err := Run(r)
	var in *HierarchyError
	if !errors.As(err, &in) || in.Hierarchy != "pids" || !errors.Is(err, unix.EISDIR) {
		t.Errorf("got %v", err)
	}
	requireContent(t, filepath.Join(dir, "f/job/cgroup.procs"), "7")
	requireContent(t, filepath.Join(dir, "p/job/cgroup.procs"), "") // it never left
	if _, err := os.Stat(filepath.Join(dir, "p/user/alice")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left in pids: %v", err)
	}
}

// requireKept wants to be told of these hierarchies that something is left in them.
func requireKept(t *testing.T, kept *RollbackError, hierarchies ...string) {
	t.Helper()
	text := fmt.Sprint(kept.Left)
	for _, h := range hierarchies {
		if !strings.Contains(text, "hierarchy "+h+": ") || !strings.Contains(kept.Error(), "hierarchy "+h+": ") {
			t.Errorf("%s is not told as left: %v", h, kept)
		}
	}
}

// What cannot be taken back is told, and what of it is no fault is not.
func TestRunCannotTakeBack(t *testing.T) {
	r, dir := aPlan(t)
	r.Announce = func(*ticket.Ticket) error {
		return errors.Join(
			os.WriteFile(filepath.Join(dir, "f/user/alice/0/cgroup.procs"), nil, 0o644), // which is not removed
			os.Mkdir(filepath.Join(dir, "p/user/alice/0/cgroup.procs"), 0o755),
			os.RemoveAll(filepath.Join(dir, "f/job")), // the process goes to the base
		)
	}
	_, err := Run(r)
	var kept *RollbackError
	if !errors.As(err, &kept) || !errors.Is(err, unix.EISDIR) {
		t.Fatalf("got %v", err)
	}
	requireKept(t, kept, "freezer")
	if strings.Contains(kept.Error(), "pids: rmdir") || kept.Strayed != nil { // where it was is gone
		t.Errorf("got %v", kept)
	}
}

// A hierarchy is named once, whatever an error has been through.
func TestInHierarchy(t *testing.T) {
	h := &hierarchy.Hierarchy{Name: "memory"}
	for _, test := range []struct {
		err  error
		want string
	}{
		{unix.EIO, "hierarchy memory: input/output error"},
		{InHierarchy(h, unix.EIO), "hierarchy memory: input/output error"},
		{&plan.DeniedError{Hierarchy: "memory", Err: unix.EROFS}, "hierarchy memory: read-only file system"},
	} {
		if got := InHierarchy(h, test.err).Error(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
	if InHierarchy(h, nil) != nil {
		t.Error("of nothing it makes an error")
	}
}
