package machine

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// alice is a user that no machine has.
var alice = Credentials{UID: 61234, GID: 61235, Groups: []int{61236, 61237}}

// usersFiles lays out a home and what is around it, and returns its directory: to
// the running machine, with the owners, if the tests run as root.
func usersFiles(t *testing.T) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "asuser") // what t.TempDir makes only root may go through
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Chmod(dir, 0o755))
	type file struct {
		mode     fs.FileMode
		uid, gid int
		content  string
	}
	for name, f := range map[string]file{
		"own":       {0o600, alice.UID, 0, "own"},
		"secret":    {0o600, 0, 0, "secret"},
		"bobs":      {0o600, alice.UID + 9, 0, "bobs"},
		"by-group":  {0o640, 0, alice.GID, "by group"},
		"by-groups": {0o640, 0, alice.Groups[1], "by groups"},
		"roots":     {0o640, 0, 0, "by root's group"},
		"dir/a":     {0o644, 0, 0, "a"},
		"closed/a":  {0o644, 0, 0, "a"},
		"exact":     {0o644, 0, 0, strings.Repeat("x", 256<<10)},
		"large":     {0o644, 0, 0, strings.Repeat("x", 257<<10)},
	} {
		at := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(at), 0o755))
		must(t, os.Chmod(filepath.Dir(at), 0o755)) // whatever the umask
		must(t, os.WriteFile(at, []byte(f.content), 0o600))
		if os.Geteuid() == 0 {
			must(t, os.Chown(at, f.uid, f.gid))
		}
		must(t, os.Chmod(at, f.mode))
	}
	must(t, os.Chmod(filepath.Join(dir, "closed"), 0o700))
	for link, to := range map[string]string{"to-own": "own", "to-secret": "secret", "to-kmsg": "/proc/kmsg", "to-stdin": "/dev/stdin", "to-version": "/proc/version", "to-sys": "/sys"} {
		must(t, os.Symlink(to, filepath.Join(dir, link)))
	}
	must(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o666))
	must(t, os.Chmod(filepath.Join(dir, "fifo"), 0o666))
	return dir
}

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to read as another user")
	}
}

func TestReadAsUser(t *testing.T) {
	needsRoot(t)
	dir := usersFiles(t)
	if err := unix.Mknod(filepath.Join(dir, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
		t.Log("without a device: ", err)
	} else {
		must(t, os.Chmod(filepath.Join(dir, "null"), 0o666))
	}
	m := Machine{}.As(alice)
	for _, test := range []struct {
		name string
		err  error
	}{
		{"own", nil}, {"to-own", nil}, {"by-group", nil}, {"by-groups", nil}, {"dir/a", nil}, {"exact", nil},
		{"secret", fs.ErrPermission}, {"to-secret", fs.ErrPermission}, {"bobs", fs.ErrPermission}, {"roots", fs.ErrPermission},
		{"closed/a", fs.ErrPermission},
		{"large", unix.EFBIG}, {"fifo", ErrNotRegular}, {"null", ErrNotRegular}, {"dir", unix.EISDIR}, {"none", fs.ErrNotExist},
		{"to-kmsg", ErrKernelFile}, {"to-version", ErrKernelFile}, {"to-stdin", unix.ELOOP},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(dir, test.name)
			if _, err := os.Lstat(path); test.name == "null" && err != nil {
				t.Skip("no device could be made")
			}
			data, err := m.ReadFile(path)
			if !errors.Is(err, test.err) || (len(data) == 0) != (test.err != nil) {
				t.Errorf("got %.20q, %v; want %v", data, err, test.err)
			}
			if test.err != nil {
				requirePathError(t, err, path, test.err)
			}
		})
	}
	if _, err := m.ReadFile(filepath.Join(dir, "large")); !strings.HasSuffix(err.Error(), "larger than 256 KiB") {
		t.Errorf("the bound is not named: %v", err)
	}
	requireOwnThreads(t)
}

// requireOwnThreads fails if a thread has not root's credentials.
func requireOwnThreads(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/status")
	must(t, err)
	groups, err := os.Getgroups()
	must(t, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		status := parseStatusFile(string(data))
		if !bytes.Contains(data, []byte("\nUid:\t0\t0\t0\t0\n")) || !bytes.Contains(data, []byte("\nGid:\t0\t0\t0\t0\n")) || len(status.Groups) != len(groups) {
			t.Errorf("%s: %s", file, data)
		}
	}
}

func TestLookAsUser(t *testing.T) {
	needsRoot(t)
	dir := usersFiles(t)
	m := Machine{}.As(alice)
	for name, want := range map[string]Answer{"own": Found, "secret": Found, "none": Absent, "closed": Found, "closed/a": Unknown, "closed/none": Unknown, "to-kmsg": Found} {
		if got := m.Find(filepath.Join(dir, name)); got != want {
			t.Errorf("%s: it answers %d, want %d", name, got, want)
		}
	}
	if _, err := m.Stat(filepath.Join(dir, "closed/a")); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("stat in a directory of root's: %v", err)
	}
	if st, err := m.Stat(filepath.Join(dir, "own")); err != nil || st.UID != alice.UID {
		t.Errorf("stat: %+v, %v", st, err)
	}
	names, err := m.ReadDir(filepath.Join(dir, "dir"))
	if err != nil || !slices.Equal(names, []string{"a"}) {
		t.Errorf("names %q, %v", names, err)
	}
	for name, want := range map[string]error{"closed": fs.ErrPermission, "own": unix.ENOTDIR, "fifo": unix.ENOTDIR, "none": fs.ErrNotExist, "to-sys": ErrKernelFile} {
		if _, err := m.ReadDir(filepath.Join(dir, name)); !errors.Is(err, want) {
			t.Errorf("names in %s: %v, want %v", name, err, want)
		}
	}
}

// The kernel's files are not read wherever they are mounted, nor by root for itself.
func TestKernelFilesElsewhere(t *testing.T) {
	needsRoot(t)
	dir := usersFiles(t)
	point := filepath.Join(dir, "dir")
	if err := unix.Mount("/proc", point, "", unix.MS_BIND, ""); err != nil {
		t.Skip("needs to mount: ", err)
	}
	defer func() { must(t, unix.Unmount(point, unix.MNT_DETACH)) }()
	for name, m := range map[string]Machine{"alice": Machine{}.As(alice), "root": Machine{}.As(Credentials{})} {
		for _, file := range []string{"version", "self/status"} {
			if data, err := m.ReadFile(filepath.Join(point, file)); !errors.Is(err, ErrKernelFile) {
				t.Errorf("%s reads of %s %.20q, %v", name, file, data, err)
			}
		}
	}
}

// As for whoever is not root, and for root itself, only the kinds of files and the
// bound are looked at.
func TestAsWhoAsks(t *testing.T) {
	dir := usersFiles(t)
	for name, m := range map[string]Machine{
		"this machine": Machine{}.As(Credentials{UID: os.Geteuid(), GID: os.Getegid()}), "a recorded one": Recorded(dir).As(alice),
	} {
		path := func(file string) string {
			if m.IsRecorded() {
				return "/" + file
			}
			return filepath.Join(dir, file)
		}
		for file, want := range map[string]error{"own": nil, "to-own": nil, "exact": nil, "large": unix.EFBIG, "fifo": ErrNotRegular, "dir": unix.EISDIR} {
			if _, err := m.ReadFile(path(file)); !errors.Is(err, want) {
				t.Errorf("%s, %s: %v, want %v", name, file, err, want)
			}
		}
		if names, err := m.ReadDir(path("dir")); err != nil || !slices.Equal(names, []string{"a"}) {
			t.Errorf("%s: names %q, %v", name, names, err)
		}
	}
}

// A directory's names are bounded like a file.
func TestLargeDirectory(t *testing.T) {
	dir := t.TempDir()
	for i := range 1200 {
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%0240d", i)), nil, 0o600))
	}
	m := Machine{}.As(Credentials{UID: os.Geteuid()})
	var large *TooLargeError
	if _, err := m.ReadDir(dir); !errors.As(err, &large) || large.Most != 256<<10 {
		t.Errorf("got %v", err)
	}
	if names, err := (Machine{}).ReadDir(dir); err != nil || len(names) != 1200 {
		t.Errorf("%d names, %v", len(names), err)
	}
}

// A thread that cannot get its own credentials back is not used again.
func TestThreadIsGivenUp(t *testing.T) {
	needsRoot(t)
	var thread int
	err := Machine{}.As(alice).asUser(func() error {
		thread = unix.Gettid()
		// Without CAP_SETGID it can take no groups, and so not those that it had.
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var set [2]unix.CapUserData
		if err := unix.Capget(&header, &set[0]); err != nil {
			return err
		}
		set[0].Effective &^= 1 << unix.CAP_SETGID
		return unix.Capset(&header, &set[0])
	})
	must(t, err)
	gone := fmt.Sprintf("/proc/self/task/%d", thread)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(gone); errors.Is(err, fs.ErrNotExist) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("thread %d is still there", thread)
		}
	}
	requireOwnThreads(t)
}

// Others see nothing of it while somebody reads as a user.
func TestAsUserBeside(t *testing.T) {
	needsRoot(t)
	dir := usersFiles(t)
	m := Machine{}.As(alice)
	var all sync.WaitGroup
	for range 4 * runtime.GOMAXPROCS(0) {
		all.Add(1)
		go func() {
			defer all.Done()
			for range 100 {
				if _, err := m.ReadFile(filepath.Join(dir, "secret")); !errors.Is(err, fs.ErrPermission) {
					t.Errorf("as the user: %v", err)
				}
				if _, err := (Machine{}).ReadFile(filepath.Join(dir, "secret")); err != nil {
					t.Errorf("as root: %v", err)
				}
			}
		}()
	}
	all.Wait()
	requireOwnThreads(t)
}

// No message of the kernel's is lost to a link of a user's.
func TestKernelMessagesStay(t *testing.T) {
	needsRoot(t)
	dir := usersFiles(t)
	const sizeUnread = 9 // SYSLOG_ACTION_SIZE_UNREAD (syslog(2))
	before, err := unix.Klogctl(sizeUnread, nil)
	if err != nil || before == 0 {
		t.Skipf("no kernel messages that are unread: %d, %v", before, err)
	}
	for _, m := range []Machine{Machine{}.As(alice), Machine{}.As(Credentials{})} {
		if data, err := m.ReadFile(filepath.Join(dir, "to-kmsg")); !errors.Is(err, ErrKernelFile) {
			t.Errorf("got %.20q, %v", data, err)
		}
	}
	if after, err := unix.Klogctl(sizeUnread, nil); err != nil || after < before {
		t.Errorf("%d bytes are unread, %d before, %v", after, before, err)
	}
}

// What is asked as a user is noted, and that it was.
func TestNotesOfAUser(t *testing.T) {
	dir := usersFiles(t)
	var notes Notes
	m := Machine{}.Noting(&notes)
	own, none := filepath.Join(dir, "own"), filepath.Join(dir, "none")
	users := m.As(Credentials{UID: os.Geteuid(), GID: os.Getegid()})
	_, _ = users.ReadFile(own)
	_ = users.Find(none)
	_, _ = m.ReadFile(filepath.Join(dir, "dir/a"))
	if got := notes.Answer(Question{own, Content}); got != Found || !notes.IsUsers(own) {
		t.Errorf("of %s: %d, users %v", own, got, notes.IsUsers(own))
	}
	if got := notes.Answer(Question{none, Existence}); got != Absent {
		t.Errorf("of what is not there: %d", got)
	}
	if len(notes.Questions) != 3 || notes.IsUsers(filepath.Join(dir, "dir/a")) {
		t.Errorf("noted %v", notes.Questions)
	}
}
