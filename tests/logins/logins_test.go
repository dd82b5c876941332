// Package logins tests the module in the real applications (sshd, su, sudo,
// login, cron): whoever logs in is in cgroups of its own, and after the logout
// nothing of them is left.
package logins

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

func TestMain(m *testing.M) { os.Exit(testbed.Main(m)) }

// threeHierarchies is the list that pam_cgfs users have in their PAM lines.
const threeHierarchies = "-c freezer,memory,name=systemd"

// chosen are the hierarchies of threeHierarchies.
var chosen = []string{"freezer", "memory", "name=systemd"}

// rounds is how often a login of each kind is repeated: what goes wrong here
// goes wrong in some logins only.
const rounds = 20

// probe is a program for the user to run. It is in the private /home, which
// every user can read, and a script, so that what is typed on a terminal and
// echoed is not mistaken for its output.
const probe = "/home/probe"

func writeProbe(t *testing.T) {
	t.Helper()
	script := "#!/bin/sh\necho probe-begin\ncat /proc/self/cgroup\nname=$(id -un)\necho uid=$(id -u)\necho session=$CGDELEG_SESSION\n"
	for _, h := range testbed.Hierarchies() {
		script += fmt.Sprintf("for d in %s/user/$name/*/; do [ ! -d $d ] || stat -c 'owner=%s/%%u:%%g/%%n' $d; done\n", h.Point, h.Name)
	}
	script += "echo probe-end\n"
	if err := os.WriteFile(probe, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
}

// service prepares a test of one application: the programs, the PAM service
// with the module in it, and at the end a look that the module had nothing to
// say.
func service(t *testing.T, name string, programs ...string) {
	t.Helper()
	log := loggingService(t, name, programs...)
	t.Cleanup(log.WantSilence)
}

// loggingService is service for a test that looks at the log itself.
func loggingService(t *testing.T, name string, programs ...string) *testbed.Log {
	t.Helper()
	testbed.Need(t, programs...)
	for _, h := range chosen {
		testbed.HierarchyNamed(t, h)
	}
	writeProbe(t)
	writeService(t, name, testbed.SessionLine(t, threeHierarchies))
	return testbed.LogFromNow(t)
}

func writeService(t *testing.T, name, sessionLine string) {
	t.Helper()
	switch name {
	case "sshd", "login": // they ask, although they are root
		testbed.WriteAskingService(t, name, sessionLine)
	default:
		testbed.WriteService(t, name, sessionLine)
	}
}

// sighting is what a probe saw.
type sighting struct {
	at     map[string]string // the cgroup in each hierarchy
	uid    string
	named  string            // CGDELEG_SESSION
	owners map[string]string // "HIERARCHY N" to "UID:GID", of the user's sessions
}

// readProbe finds a probe's output between whatever else was written.
func readProbe(t *testing.T, output string) sighting {
	t.Helper()
	_, text, begun := strings.Cut(output, "probe-begin")
	text, _, ended := strings.Cut(text, "probe-end")
	if !begun || !ended {
		t.Fatalf("no probe ran in this login:\n%s", output)
	}
	s := sighting{at: testbed.ParsePlacement(text), owners: map[string]string{}}
	for word := range strings.FieldsSeq(text) {
		if uid, ok := strings.CutPrefix(word, "uid="); ok {
			s.uid = uid
		}
		if named, ok := strings.CutPrefix(word, "session="); ok {
			s.named = named
		}
		if owner, ok := strings.CutPrefix(word, "owner="); ok {
			parts := strings.SplitN(owner, "/", 3)
			s.owners[parts[0]+" "+path.Base(parts[2])] = parts[1]
		}
	}
	return s
}

// wantOwnSession fails the test unless the probe saw itself in a session of
// the user, in exactly the chosen hierarchies, and elsewhere where the outer
// processes are. It returns the session's number.
func wantOwnSession(t *testing.T, u testbed.User, output string, outside map[string]string) int {
	t.Helper()
	seen := readProbe(t, output)
	if want := strconv.Itoa(u.UID); seen.uid != want {
		t.Fatalf("the login is user %s, want %s", seen.uid, want)
	}
	number := path.Base(seen.at[chosen[0]])
	n, err := strconv.Atoi(number)
	if err != nil {
		t.Fatalf("in no session of %s:\n%s", u.Name, output)
	}
	if seen.named != number {
		t.Errorf("CGDELEG_SESSION is %q, want %s", seen.named, number)
	}
	for h, want := range outside {
		owner := ""
		if slices.Contains(chosen, h) {
			want = path.Join("/user", u.Name, number)
			owner = fmt.Sprintf("%d:%d", u.UID, u.GID)
		}
		if seen.at[h] != want {
			t.Errorf("in %s at %q, want %q", h, seen.at[h], want)
		}
		if got := seen.owners[h+" "+number]; got != owner {
			t.Errorf("session %s in %s is owned by %q, want %q", number, h, got, owner)
		}
	}
	return n
}

// here is where the test is, and with it what it starts.
func here(t *testing.T) map[string]string {
	t.Helper()
	return testbed.Placement(t, os.Getpid())
}

// wantFirst is wantOwnSession of an application that the test started, for a
// user who has no other session.
func wantFirst(t *testing.T, u testbed.User, output string) {
	t.Helper()
	if n := wantOwnSession(t, u, output, here(t)); n != 0 {
		t.Errorf("session number %d, but no other session should be left", n)
	}
}

// repeat runs a login again and again. Each must have left nothing behind when
// the next one comes, which would clean it up.
func repeat(t *testing.T, users []testbed.User, login func(t *testing.T)) {
	t.Helper()
	for round := range rounds {
		login(t)
		for _, u := range users {
			testbed.WantNothingLeft(t, u.Name)
		}
		if t.Failed() {
			t.Fatalf("in round %d of %d", round+1, rounds)
		}
	}
}

// run runs an application, without a terminal, to its end and returns what it
// and its login wrote. One that hangs or fails ends the test.
func run(t *testing.T, by testbed.User, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testbed.Patience)
	defer cancel()
	cmd := command(ctx, by, args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%q hung; it wrote:\n%s", args, out)
	}
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return string(out)
}

// root is who the tests run as.
var root = testbed.User{Name: "root", Home: "/root"}

// command is one that a user runs who did not come by a login.
func command(ctx context.Context, by testbed.User, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + by.Home, "USER=" + by.Name, "LOGNAME=" + by.Name, "TERM=dumb"}
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if by.UID != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(by.UID), Gid: uint32(by.GID)}
	}
	return cmd
}

// writeFile writes a file of the private /etc or /home for the length of the
// test.
func writeFile(t *testing.T, file string, mode os.FileMode, lines ...string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), mode); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(file) })
}
