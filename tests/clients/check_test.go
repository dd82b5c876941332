package clients

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// What cgdeleg check says in the shell from which a container does not start,
// and that the container starts from that shell when the command that it names
// was run: that, and no more.

// diagnosis runs cgdeleg check -q in the shell, in which program is cgdeleg, and
// returns the command that fixes what it found. It has to say one line, of the
// check that is wanted.
func diagnosis(t *testing.T, s *shell, program, args, check string) string {
	t.Helper()
	out, err := s.Run(program + " check -q " + args)
	if status := exitStatus(t, err); status != 1 {
		t.Errorf("check's exit status is %d, want 1", status)
	}
	t.Logf("cgdeleg check -q %s\n%s", args, out)
	says, fix, found := strings.Cut(out, "; fix: ")
	if strings.Contains(out, "\n") || !strings.HasPrefix(says, check+": ") || !found {
		t.Fatalf("want one line of %s with its fix, got:\n%s", check, out)
	}
	return fix
}

// asRoot is the line of a fix as root types it, who needs no sudo.
func asRoot(fix string) string {
	words := strings.Split(fix, " && ")
	for i := range words {
		words[i] = strings.TrimPrefix(words[i], "sudo ")
	}
	return strings.Join(words, " && ")
}

// fixAsRoot runs the line in a shell of root's on the host, where the folder of
// program is in the path.
func fixAsRoot(t *testing.T, fix, program string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", asRoot(fix))
	cmd.Env = append(os.Environ(), fmt.Sprintf("PATH=%s:%s", filepath.Dir(program), os.Getenv("PATH")))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", fix, err, out)
	}
}

// wantRefused fails the test unless LXC starts the container not, for this reason.
func wantRefused(t *testing.T, b *box, c terminal, reason string) {
	t.Helper()
	out, err := b.tryStart(t, c)
	if err == nil || !strings.Contains(out, reason) {
		t.Fatalf("want a refusal for %q: %v\n%s", reason, err, out)
	}
}

const (
	noMemory = `Failed to setup limits for the "memory" controller`
	noLimits = "Failed to setup cgroup limits for container" // no memory, or no cgroups at all
	noUse    = "One or more requested controllers unavailable or not delegated"
)

// wantAlive goes through what a container with cgroups can do: it is in this
// session, its limits hold, it can be frozen and attached to. A start that was
// refused for its IDs leaves its cgroup, so that the next one gets a name with a
// number.
func wantAlive(t *testing.T, b *box, s *shell, pid int, session string) {
	t.Helper()
	cgroup := testbed.Placement(t, pid)["freezer"]
	if match, _ := path.Match(session+"/lxc.payload."+b.name+"*", cgroup); !match {
		t.Errorf("process %d is in %s, want session %s", pid, cgroup, session)
	}
	wantPlaced(t, pid, cgroup, threeHierarchies...)
	testLimit(t, b, s, pid)
	testFreeze(t, b, s, pid)
	testAttach(t, b, s, pid)
}

// Each trouble by itself, in an otherwise usual login: the start is refused, the
// one line fixes it, and the same shell starts the container.
func TestCheckFixesTheStart(t *testing.T) {
	for name, test := range map[string]struct {
		user        string
		uid         int
		controllers []string // of the PAM line; none: there is no line
		prepare     func(*testing.T, testbed.User)
		config      []string // ~/.config/lxc/lxc.conf
		refusal     string
		check       string
		fix         string // %d is the shell's PID
		session     string // in which the container is then
	}{
		"module not installed": {user: "cgclichkmod", uid: 22010,
			config: []string{use}, refusal: noUse,
			check: "CGD-011 module", fix: "sudo cgdeleg open --user cgclichkmod --pid %d", session: "0"},
		"PAM line missing": {user: "cgclichkline", uid: 22011,
			prepare: func(t *testing.T, _ testbed.User) { install(t, "/") },
			config:  []string{use}, refusal: noUse,
			check: "CGD-012 pam-line", fix: "sudo cgdeleg open --user cgclichkline --pid %d", session: "0"},
		"subordinate IDs too few": {user: "cgclichkids", uid: 22012, controllers: threeHierarchies,
			prepare: fewSubIDs, refusal: "not allowed",
			check: "CGD-052 config-idmap", fix: "sudo usermod --add-subuids 1442579432-1442643967 --add-subgids 1442579432-1442643967 cgclichkids", session: "0"},
		"subordinate group IDs missing": {user: "cgclichkgid", uid: 22013, controllers: threeHierarchies,
			prepare: noSubGIDs, refusal: "not allowed",
			check: "CGD-052 config-idmap", fix: "sudo usermod --add-subgids 1442643968-1442709503 cgclichkgid", session: "0"},
		"memory not in -c": {user: "cgclichkmem", uid: 22014, controllers: []string{"freezer", "name=systemd"},
			refusal: noMemory,
			check:   "CGD-053 config-limits", fix: "sudo cgdeleg open --user cgclichkmem --pid %d -c freezer,name=systemd,memory", session: "1"},
		"memory not in -c, but in lxc.cgroup.use": {user: "cgclichkuse", uid: 22015, controllers: []string{"freezer", "name=systemd"},
			config: []string{use}, refusal: noUse,
			check: "CGD-051 lxc-view", fix: "sudo cgdeleg open --user cgclichkuse --pid %d -c freezer,name=systemd,memory", session: "1"},
	} {
		t.Run(name, func(t *testing.T) {
			u, server := sshServer(t, test.user, test.uid, test.controllers...)
			if test.prepare != nil {
				test.prepare(t, u)
			}
			program := forUsers(t, testbed.Built(t, "cgdeleg"))
			writeOwned(t, u, lxcConf, test.config...)
			b := newBox(t, u, "c1", limit)
			login := server.Login(t, u.Name)
			s := startShell(t, login, "sh")

			wantRefused(t, b, s, test.refusal)
			fix := diagnosis(t, s, program, "--container c1", test.check)
			if want := strings.ReplaceAll(test.fix, "%d", fmt.Sprint(s.pid)); fix != want {
				t.Errorf("the fix is %q, want %q", fix, want)
			}
			wantRefused(t, b, s, test.refusal) // check has changed nothing
			fixAsRoot(t, fix, program)
			s.Must(t, program+" check --container c1") // warnings are for later logins

			wantAlive(t, b, s, b.start(t, s), "/user/"+u.Name+"/"+test.session)
			b.stop(t, s)
			s.end(t)
			login.Logout()
			wantCleaned(t, u, program)
		})
	}
}

// fewSubIDs leaves the user too few for the container that it has.
func fewSubIDs(t *testing.T, u testbed.User) {
	t.Helper()
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		replaceIn(t, file, fmt.Sprintf("%s:%d:65536\n", u.Name, u.UID<<16), fmt.Sprintf("%s:%d:1000\n", u.Name, u.UID<<16))
	}
}

func noSubGIDs(t *testing.T, u testbed.User) {
	t.Helper()
	replaceIn(t, "/etc/subgid", fmt.Sprintf("%s:%d:65536\n", u.Name, u.UID<<16), "")
}

// replaceIn replaces a text that the file has to have.
func replaceIn(t *testing.T, file, old, with string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(data), old) {
		t.Fatalf("%s has no %q: %v", file, old, err)
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(data), old, with)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// wantCleaned fails the test if cgdeleg cleanup leaves anything. A session that
// cgdeleg open made has no logout that would remove it.
func wantCleaned(t *testing.T, u testbed.User, program string) {
	t.Helper()
	if out, err := exec.Command(program, "cleanup", "--user", u.Name).CombinedOutput(); err != nil {
		t.Errorf("cleanup: %v\n%s", err, out)
	}
	wantNothingNow(t, u)
}

// install puts the module into PAM's security directory below a root directory,
// for the length of the test.
func install(t *testing.T, root string) {
	t.Helper()
	dirs, _ := filepath.Glob("/usr/lib/*/security/pam_unix.so")
	if len(dirs) != 1 {
		t.Skipf("pam_unix.so is found %d times, want once", len(dirs))
	}
	security, own := filepath.Dir(dirs[0]), t.TempDir()
	for _, args := range [][]string{
		{"cp", "-a", security + "/.", own},
		{"cp", testbed.Built(t, "pam_cgdeleg.so"), own},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	bind(t, own, filepath.Join(root, security))
}

// bind mounts a directory over another, which nobody but the tests sees, for the
// length of the test.
func bind(t *testing.T, from, to string, flags ...uintptr) {
	t.Helper()
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(to, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	for _, f := range flags {
		if err := unix.Mount("", to, "", unix.MS_REMOUNT|unix.MS_BIND|f, ""); err != nil {
			t.Fatal(err)
		}
	}
}
