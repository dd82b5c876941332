package nss

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// record makes a machine of files.
func record(t *testing.T, files map[string]string) machine.Machine {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return machine.Recorded(dir)
}

func TestGroupsOfARecordedMachine(t *testing.T) {
	const passwd = "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\nbob:x:1001:77::/:/bin/sh\nnot a line\n"
	const group = "root:x:0:\nalice:x:1000:\nstudents:x:2000:bob,alice\ndomain users:x:2001:alice\ntwin:x:2000:\nalicetoo:x:9:alice2,xalice\n+:::\n"
	m := record(t, map[string]string{"etc/passwd": passwd, "etc/group": group})
	for _, test := range []struct {
		user        string
		names, gids []string
	}{
		{"root", []string{"root"}, []string{"0"}},
		{"alice", []string{"alice", "students", "domain users"}, []string{"1000", "2000", "2001"}},
		{"bob", []string{"students"}, []string{"77", "2000"}},
	} {
		names, gids, err := Groups(m, test.user, time.Time{})
		if err != nil || !slices.Equal(names, test.names) || !slices.Equal(gids, test.gids) {
			t.Errorf("%s: got %q, %q, %v", test.user, names, gids, err)
		}
	}
	for _, user := range []string{"", "carol", "ali"} {
		requireError(t, m, user, ErrUnknownUser)
	}
	requireError(t, record(t, map[string]string{"etc/passwd": passwd}), "alice", machine.ErrNotRecorded)
	requireError(t, record(t, nil), "alice", machine.ErrNotRecorded)
}

func requireError(t *testing.T, m machine.Machine, user string, want error) {
	t.Helper()
	names, gids, err := Groups(m, user, time.Now().Add(time.Minute))
	var failed *Error
	if names != nil || gids != nil || !errors.As(err, &failed) || failed.User != user || !errors.Is(err, want) {
		t.Errorf("%q: got %q, %q, %v; want %v", user, names, gids, err, want)
	}
}

// The running machine's id(1) says of root what it says to a shell.
func TestGroupsOfThisMachine(t *testing.T) {
	out, err := exec.Command("id", "-G", "--", "root").Output()
	if err != nil {
		t.Skip("needs id(1): ", err)
	}
	names, gids, err := Groups(machine.Machine{}, "root", time.Now().Add(time.Minute))
	if err != nil || !slices.Equal(gids, strings.Fields(string(out))) || !slices.Contains(names, "root") {
		t.Errorf("got %q, %q, %v; want %s", names, gids, err, out)
	}
	for _, user := range []string{"nobody-is-called-this", "-u", "--help", ""} {
		requireError(t, machine.Machine{}, user, ErrUnknownUser)
	}
}

// Busybox has no -z.
func TestGroupsByBusybox(t *testing.T) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("needs busybox: ", err)
	}
	p := program{places: []string{filepath.Join(t.TempDir(), "id")}}
	if err := os.Symlink(busybox, p.places[0]); err != nil {
		t.Fatal(err)
	}
	names, gids, err := p.groups("root", time.Now().Add(time.Minute))
	if err != nil || !slices.Contains(names, "root") || !slices.Contains(gids, "0") {
		t.Errorf("got %q, %q, %v", names, gids, err)
	}
	if _, _, err := p.groups("nobody-is-called-this", time.Now().Add(time.Minute)); !errors.Is(err, ErrUnknownUser) {
		t.Errorf("got %v", err)
	}
}

// fake makes an id(1) of a shell script, which has $option (G, Gn or Gnz) and $user, and
// returns it with its directory.
func fake(t *testing.T, script string) (p program, dir string) {
	t.Helper()
	dir = t.TempDir()
	script = "#!/bin/sh\noption=${1#-} user=$3\n[ \"$2\" = -- ] || exit 9\ncd " + dir + "\n" + script + "\n"
	p.places = []string{filepath.Join(dir, "none"), filepath.Join(dir, "id")}
	if err := os.WriteFile(p.places[1], []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return p, dir
}

func TestGroups(t *testing.T) {
	many, manyNames := make([]string, 200), make([]string, 200)
	for i := range many {
		many[i], manyNames[i] = strconv.Itoa(70000+i), fmt.Sprintf("department of %d and so on", i)
	}
	for _, test := range []struct {
		name, script string
		names, gids  []string
		err          error
	}{
		{"two", `case $option in G) echo 5 6;; Gnz) printf 'a\0b\0';; esac`, []string{"a", "b"}, []string{"5", "6"}, nil},
		{"without -z", `case $option in G) echo 5 6;; Gnz) echo usage >&2; exit 1;; Gn) echo a b;; esac`, []string{"a", "b"}, []string{"5", "6"}, nil},
		{"blanks", `case $option in G) echo 5 6;; Gnz) printf 'domain users\0b\0';; esac`, []string{"domain users", "b"}, []string{"5", "6"}, nil},
		{"blanks without -z", `case $option in G) echo 5 6;; Gnz) exit 1;; Gn) echo domain users b;; esac`, nil, nil, ErrMalformed},
		{"a group without a name", `case $option in G) echo 5 6; exit 1;; Gnz) printf '5\0b\0'; echo cannot find name >&2; exit 1;; esac`, []string{"b"}, []string{"5", "6"}, nil},
		{"a name that was not found for a moment", `case $option in G) echo 5 6;; Gnz) if mkdir first; then printf '5\0b\0'; else printf 'a\0b\0'; fi;; esac`, []string{"a", "b"}, []string{"5", "6"}, nil},
		{"a group without a name, and no answer again", `case $option in G) echo 5 6;; Gnz) mkdir first && printf '5\0b\0';; esac`, []string{"b"}, []string{"5", "6"}, nil},
		{"200", fmt.Sprintf("case $option in G) echo '%s';; Gnz) printf '%s\\0';; esac", strings.Join(many, " "), strings.Join(manyNames, `\0`)), manyNames, many, nil},
		{"nobody", `echo "no such user" >&2; exit 1`, nil, nil, ErrUnknownUser},
		{"garbage for numbers", `echo all of them`, nil, nil, ErrMalformed},
		{"a number that is none", `case $option in G) echo 5 4294967296;; Gnz) printf 'a\0b\0';; esac`, nil, nil, ErrMalformed},
		{"fewer names", `case $option in G) echo 5 6;; Gnz) printf 'a\0';; esac`, nil, nil, ErrMalformed},
		{"no names", `case $option in G) echo 5 6;; esac`, nil, nil, ErrMalformed},
		{"what it may not see", `[ "$(env | grep -vc '^\(PATH\|LC_ALL\|PWD\|OLDPWD\|SHLVL\|_\)=')" = 0 ] && [ $LC_ALL = C ] || exit 7
			case $option in G) echo 5;; Gnz) printf 'a\0';; esac`, []string{"a"}, []string{"5"}, nil},
		{"killed", `kill -9 $$`, nil, nil, ErrUnknownUser},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, _ := fake(t, test.script)
			names, gids, err := p.groups("alice", time.Now().Add(time.Minute))
			if !errors.Is(err, test.err) || !slices.Equal(names, test.names) || !slices.Equal(gids, test.gids) {
				t.Errorf("got %q, %q, %v", names, gids, err)
			}
			var failed *Error
			if err != nil && (!errors.As(err, &failed) || failed.User != "alice" || failed.Program != p.places[1]) {
				t.Errorf("got %#v", err)
			}
		})
	}
}

// A program that does not come to an end is ended itself, and its answer does not count.
func TestGroupsEndAtTheDeadline(t *testing.T) {
	for _, test := range []struct {
		name, script string
		want         error
	}{
		{"hangs", "echo $$ >pid.$option; exec sleep 600", ErrTimeout},
		{"hangs with the answer", `case $option in G) echo 5;; Gnz) printf 'a\0';; esac; echo $$ >pid.$option; exec sleep 600`, ErrTimeout},
		{"hangs with the pipe closed", `case $option in G) echo 5;; Gnz) printf 'a\0';; esac; echo $$ >pid.$option; exec sleep 600 >&-`, ErrTimeout},
		{"hangs, and has children", "echo $$ >pid.$option; sleep 7 & exec sleep 600", ErrTimeout},
		{"hangs for the names", `case $option in G) echo 5; exit;; esac; echo $$ >pid.$option; exec sleep 600`, ErrTimeout},
		{"never ends", "echo $$ >pid.$option; exec yes 5", unix.EFBIG},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p, dir := fake(t, test.script)
			limit := 2 * time.Second
			if errors.Is(test.want, unix.EFBIG) {
				limit = time.Minute
			}
			begin := time.Now()
			names, gids, err := p.groups("alice", begin.Add(limit))
			if names != nil || gids != nil || !errors.Is(err, test.want) {
				t.Errorf("got %d names, %d numbers, %v", len(names), len(gids), err)
			}
			if took := time.Since(begin); took > limit+10*time.Second {
				t.Errorf("it took %v", took)
			}
			pids, _ := filepath.Glob(filepath.Join(dir, "pid.*"))
			if len(pids) == 0 {
				t.Fatal("the program did not run")
			}
			for _, file := range pids {
				data, err := os.ReadFile(file)
				pid, _ := strconv.Atoi(string(bytes.TrimSpace(data)))
				if err != nil || pid == 0 || !ends(pid) {
					t.Errorf("process %d of %s is still there, %v", pid, file, err)
				}
			}
		})
	}
}

// ends waits until a process that was killed has ended: nobody waited for it longer than
// the grace, and where processors are scarce that is not enough.
func ends(pid int) bool {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			return true
		}
	}
	return false
}

func TestGroupsWithoutAProgram(t *testing.T) {
	p := program{places: []string{filepath.Join(t.TempDir(), "id")}}
	if _, _, err := p.groups("alice", time.Now().Add(time.Minute)); !errors.Is(err, ErrNoProgram) {
		t.Errorf("got %v", err)
	}
	p, _ = fake(t, "echo 5")
	if _, _, err := p.groups("alice", time.Now()); !errors.Is(err, ErrTimeout) {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(p.places[1], []byte("#!/gone\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.groups("alice", time.Now().Add(time.Minute)); !errors.Is(err, unix.ENOENT) {
		t.Errorf("got %v", err)
	}
}
