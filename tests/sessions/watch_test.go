package sessions

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/lock"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// patience is far longer than anything here takes, and shorter than the Wait
// that is to be ended.
const patience = 30 * time.Second

func newWatch(t *testing.T) *delegate.Watch {
	t.Helper()
	w, err := delegate.NewWatch(machine.Machine{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func refresh(t *testing.T, w *delegate.Watch) (mustPoll bool) {
	t.Helper()
	mustPoll, err := w.Refresh()
	if err != nil {
		t.Fatal(err)
	}
	return mustPoll
}

// wantWoken fails the test unless doing this ends the Wait. What other tests do
// on the machine may end it too; so it is begun again until it was quiet before.
func wantWoken(t *testing.T, w *delegate.Watch, do func()) {
	t.Helper()
	for quiet := time.Duration(0); quiet < 300*time.Millisecond; {
		refresh(t, w)
		from := time.Now()
		if err := w.Wait(300 * time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if quiet = time.Since(from); quiet > 500*time.Millisecond { // woken
			quiet = 0
		}
	}
	woken := make(chan error)
	go func() { woken <- w.Wait(time.Hour) }()
	do()
	select {
	case err := <-woken:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		w.Close()
		t.Fatal("not woken: ", <-woken)
	}
}

// What the kernel tells of: the end of a v2 session's last process, new sessions
// of known and unknown users, in v1 and v2.
func TestWatchWakes(t *testing.T) {
	testbed.Need(t)
	for _, name := range []string{"freezer", hierarchy.Unified} {
		t.Run(name, func(t *testing.T) {
			u := testbed.AddUser(t, "cgseswatch", 23020)
			w := newWatch(t)
			r := request(u, 0)
			r.Controllers = hierarchy.ControllerList{Names: []string{name}}
			var ends []func()
			for _, which := range []string{"first", "second"} {
				t.Run(which+" session of a user", func(t *testing.T) {
					wantWoken(t, w, func() {
						pid, end := start(t, exec.Command("sleep", "600"))
						r.PID = pid
						ends = append(ends, end)
						open(t, r)
					})
				})
			}
			if mustPoll := refresh(t, w); name == "freezer" && !mustPoll {
				t.Error("a v1 session needs no polling")
			}
			for _, end := range ends {
				if name == hierarchy.Unified {
					wantWoken(t, w, end)
				} else {
					end()
				}
			}
			if _, err := delegate.Cleanup(delegate.CleanupRequest{User: u.Name, Locks: lock.Default}); err != nil {
				t.Error(err)
			}
		})
	}
}

// However often a user has something happen, a watch comes to look at most twice a second. (On
// a loaded machine that takes longer, and never less.)
func TestWatchIsNotHurried(t *testing.T) {
	testbed.Need(t)
	u := testbed.AddUser(t, "cgseshurry", 23021)
	pid, end := start(t, exec.Command("sleep", "600"))
	r := request(u, pid)
	r.Controllers = hierarchy.ControllerList{Names: []string{hierarchy.Unified}}
	open(t, r)
	w := newWatch(t)
	refresh(t, w)
	freeze := filepath.Join(testbed.HierarchyNamed(t, hierarchy.Unified).Point, "user", u.Name, "0/cgroup.freeze")
	enough, ended := make(chan struct{}), make(chan int)
	go func() {
		times := 0
		for {
			select {
			case <-enough:
				ended <- times
				return
			default:
			}
			times++
			if err := os.WriteFile(freeze, []byte(fmt.Sprint(times%2)), 0); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Millisecond)
		}
	}()
	const looks = 4
	from := time.Now()
	for range looks {
		if err := w.Wait(patience); err != nil {
			t.Fatal(err)
		}
		refresh(t, w)
	}
	took := time.Since(from)
	close(enough)
	if times := <-ended; took < looks*500*time.Millisecond || times < 10*looks {
		t.Errorf("%d looks in %v, while the user did %d things", looks, took, times)
	}
	if err := os.WriteFile(freeze, []byte("0"), 0); err != nil {
		t.Error(err)
	}
	end()
	if _, err := delegate.Cleanup(delegate.CleanupRequest{User: u.Name, Locks: lock.Default}); err != nil {
		t.Error(err)
	}
}

// The kernel keeps the mark of a cgroup that is gone: a watch that did not give
// them up would have none left one day.
func TestWatchForgets(t *testing.T) {
	testbed.Need(t)
	testbed.HierarchyNamed(t, hierarchy.Unified)
	u := testbed.AddUser(t, "cgsesforget", 23021)
	w := newWatch(t)
	r := request(u, process(t))
	r.Controllers = hierarchy.ControllerList{Names: []string{hierarchy.Unified}}
	var before []string
	for round := range 3 { // in the second there is another session with the first one's path
		opened := open(t, r)
		dir := sessionDir(t, hierarchy.Unified, u, opened.Ticket.Session.Number)
		now := []string{inode(t, dir+"/cgroup.events"), inode(t, filepath.Dir(dir))}
		refresh(t, w)
		all := marks(t)
		for _, i := range now {
			if !strings.Contains(all, i) {
				t.Fatalf("no mark on %s:\n%s", i, all)
			}
		}
		wantNone(t, before)
		before = now
		closeSession(t, r, opened)
		if round == 1 {
			refresh(t, w)
			wantNone(t, before)
		}
	}
}

func wantNone(t *testing.T, inodes []string) {
	t.Helper()
	all := marks(t)
	for _, i := range inodes {
		if strings.Contains(all, i) {
			t.Errorf("still a mark on %s:\n%s", i, all)
		}
	}
}

func inode(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(" ino:%x ", info.Sys().(*syscall.Stat_t).Ino)
}

// marks are this process's, of all its inotify instances (proc_pid_fdinfo(5)).
func marks(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	files, _ := filepath.Glob("/proc/self/fdinfo/*")
	for _, file := range files {
		data, _ := os.ReadFile(file)
		for line := range strings.Lines(string(data)) {
			if strings.HasPrefix(line, "inotify ") {
				all.WriteString(line)
			}
		}
	}
	return all.String()
}

func TestWatchClose(t *testing.T) {
	testbed.Need(t)
	w := newWatch(t)
	refresh(t, w)
	ended := make(chan error)
	go func() {
		for {
			if err := w.Wait(time.Hour); err != nil {
				ended <- err
				return
			}
		}
	}()
	w.Close()
	select {
	case err := <-ended:
		t.Log("it ended with ", err)
	case <-time.After(patience):
		t.Fatal("Wait goes on")
	}
	if _, err := w.Refresh(); err == nil {
		t.Error("Refresh of what is closed gives no error")
	}
}

// What an ordinary user owns of systemd's tree is a session; that it looks like
// one is not enough.
func TestAdoptedScopeByOwner(t *testing.T) {
	testbed.Need(t)
	point := testbed.HierarchyNamed(t, "freezer").Point
	slice := filepath.Join(point, "user.slice")
	for id, uid := range map[string]int{"c23022": 23022, "c23023": 0} { // as elogind has it
		path := filepath.Join(point, id)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Rmdir(path) })
		if err := os.Chown(path, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(slice); err == nil {
		t.Skip("this machine has a user.slice of its own")
	}
	scopes := map[string]int{ // and who owns it
		"user-23022.slice/session-1.scope": 23022, "user-23022.slice/session-2.scope": 0,
		"user-23022.slice/session-3.scope": 23023, "user-0.slice/session-4.scope": 0,
		"user-23022.slice/user@23022.service": 23022,
	}
	for scope, uid := range scopes {
		path := filepath.Join(slice, scope)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = syscall.Rmdir(path)
			_ = syscall.Rmdir(filepath.Dir(path))
			_ = syscall.Rmdir(slice)
		})
		if err := os.Chown(path, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	sessions, _, err := delegate.Sessions(machine.Machine{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range sessions {
		if s.Scope != "" {
			got = append(got, fmt.Sprintf("%d %d %s", s.UID, s.Number, s.Scope))
		}
	}
	want := []string{"23022 -1 /c23022", "23022 -1 /user.slice/user-23022.slice/session-1.scope"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
