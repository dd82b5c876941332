package clients

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/cgdeleg/pam_cgdeleg/tests/clients/table"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed/sshd"
)

// threeHierarchies is the list that pam_cgfs users have in their PAM lines.
var threeHierarchies = []string{"freezer", "memory", "name=systemd"}

const (
	limit = "lxc.cgroup.memory.limit_in_bytes = 64M"
	// lxc.conf(5): LXC starts no container where one of these is not to be had.
	lxcConf = ".config/lxc/lxc.conf"
	use     = "lxc.cgroup.use = freezer,memory,name=systemd"
	// eats allocates that many MiB at once, and fills them.
	eats = "dd if=/dev/zero of=/dev/null count=1 bs="
)

func init() { programs["LXC"] = testLXC }

// sshServer makes a user, and an sshd whose PAM service has the module, if there
// are controllers for it.
func sshServer(t *testing.T, name string, uid int, controllers ...string) (testbed.User, *sshd.Server) {
	t.Helper()
	testbed.Need(t, "lxc-start", "lxc-attach", "newuidmap", "busybox")
	for _, h := range threeHierarchies {
		testbed.HierarchyNamed(t, h)
	}
	u := testbed.AddUser(t, name, uid)
	t.Cleanup(func() { killAll(t, u) })
	if len(controllers) > 0 {
		testbed.WriteService(t, "sshd", testbed.SessionLine(t, "-c "+strings.Join(controllers, ",")))
	} else {
		testbed.WriteService(t, "sshd")
	}
	return u, sshd.Start(t, sshd.Options{})
}

// exitStatus returns the status of a command by the error of its run.
func exitStatus(t *testing.T, err error) int {
	t.Helper()
	var exit *ssh.ExitError
	var inShell *shellError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitStatus()
	case errors.As(err, &inShell):
		return inShell.status
	}
	t.Fatal(err)
	return -1
}

// A whole life of a container, as its user sees it.
func TestContainerOfALogin(t *testing.T) {
	u, server := sshServer(t, "cgclilife", 22001, threeHierarchies...)
	writeOwned(t, u, lxcConf, use)
	b := newBox(t, u, "c1", limit)
	login := server.Login(t, u.Name)
	pid := b.start(t, login)
	wantPlaced(t, pid, "/user/cgclilife/0/lxc.payload.c1", threeHierarchies...)
	b.wantBeating(t)

	t.Run("limit", func(t *testing.T) { testLimit(t, b, login, pid) })
	t.Run("freeze", func(t *testing.T) { testFreeze(t, b, login, pid) })
	t.Run("attach", func(t *testing.T) { testAttach(t, b, login, pid) })
	t.Run("attach from another login", func(t *testing.T) {
		second := server.Login(t, u.Name)
		if at := testbed.ParsePlacement(second.Must(t, "cat /proc/self/cgroup"))["freezer"]; at != "/user/cgclilife/1" {
			t.Errorf("the second login is in %s", at)
		}
		testAttach(t, b, second, pid)
		testFreeze(t, b, second, pid)
		second.Logout()
		b.wantBeating(t)
	})

	b.stop(t, login)
	// what clients leave behind, as LXC does with its lxc.pivot
	login.Must(t, "mkdir -p "+testbed.HierarchyNamed(t, "freezer").Point+"/user/cgclilife/0/mine/deep")
	login.Logout()
	wantNothingNow(t, u)
}

// wantNothingNow fails the test unless the logout itself left nothing.
func wantNothingNow(t *testing.T, u testbed.User) {
	t.Helper()
	testbed.AwaitDetachedWorkers(t)
	if tree := testbed.Tree(u.Name); len(tree) > 0 {
		t.Errorf("the logout left:\n%s", strings.Join(tree, "\n"))
	}
}

// The limit of the container's configuration is set, and it holds.
func testLimit(t *testing.T, b *box, login terminal, pid int) {
	if got := readCgroup(t, pid, "memory", "memory.limit_in_bytes"); got != "67108864" {
		t.Errorf("memory.limit_in_bytes is %s", got)
	}
	login.Must(t, b.attach(eats+"32M"))
	wantKills(t, pid, "oom_kill 0")

	// Linux 6.18 killed the init too, in 1 of 50 runs on a busy machine, when that
	// wanted memory while the killed process was giving back its own.
	signalTo(t, pid, syscall.SIGSTOP)
	out, err := login.Run(b.attach(eats + "100M"))
	signalTo(t, pid, syscall.SIGCONT)
	if status := exitStatus(t, err); status != 128+9 {
		t.Errorf("eating 100 MiB in a container with 64 MiB: status %d\n%s", status, out)
	}
	wantKills(t, pid, "oom_kill 1")

	// neither the container nor the login has to suffer
	b.wantBeating(t)
	login.Must(t, "busybox "+eats+"100M")
}

func signalTo(t *testing.T, pid int, signal syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, signal); err != nil {
		t.Fatal(err)
	}
}

func wantKills(t *testing.T, pid int, line string) {
	t.Helper()
	if control := readCgroup(t, pid, "memory", "memory.oom_control"); !strings.HasSuffix(control, "\n"+line) {
		t.Errorf("memory.oom_control says %q, want %q", control, line)
	}
}

func testFreeze(t *testing.T, b *box, login terminal, pid int) {
	login.Must(t, "lxc-freeze -n "+b.name)
	if state := readCgroup(t, pid, "freezer", "freezer.state"); state != "FROZEN" {
		t.Errorf("freezer.state is %s after lxc-freeze", state)
	}
	before := b.beats()
	time.Sleep(200 * time.Millisecond) // ten beats of a container that is not frozen
	if after := b.beats(); after != before {
		t.Errorf("the frozen container goes on: %d beats more", after-before)
	}
	login.Must(t, "lxc-unfreeze -n "+b.name)
	if state := readCgroup(t, pid, "freezer", "freezer.state"); state != "THAWED" {
		t.Errorf("freezer.state is %s after lxc-unfreeze", state)
	}
	b.wantBeating(t)
}

// A process that lxc-attach starts is where the container's own are: from
// inside, its cgroups are the roots of the container's cgroup namespace.
func testAttach(t *testing.T, b *box, login terminal, pid int) {
	if out := login.Must(t, b.attach("id -u")); out != "0" {
		t.Errorf("attached as %s, want 0", out)
	}
	out := login.Must(t, b.attach("cat /proc/self/cgroup"))
	for _, name := range threeHierarchies {
		if at := testbed.ParsePlacement(out)[testbed.HierarchyNamed(t, name).Name]; at != "/" {
			t.Errorf("hierarchy %s has the attached process in %q of the container", name, at)
		}
	}
	wantPlaced(t, pid, testbed.Placement(t, pid)["freezer"], threeHierarchies...)
}

// What a login without the module gives is the reason for the module, and the
// proof that the tests here would notice its lack.
func TestWithoutTheModule(t *testing.T) {
	u, server := sshServer(t, "cgclibare", 22002)
	login := server.Login(t, u.Name)

	t.Run("refused where cgroups are demanded", func(t *testing.T) {
		writeOwned(t, u, lxcConf, use)
		b := newBox(t, u, "strict")
		out, err := b.tryStart(t, login)
		if err == nil || !strings.Contains(out, "One or more requested controllers unavailable or not delegated") {
			t.Errorf("want a refusal for lack of delegated controllers: %v\n%s", err, out)
		}
	})
	t.Run("started without cgroups where not", func(t *testing.T) {
		writeOwned(t, u, lxcConf)
		b := newBox(t, u, "lax")
		at := testbed.Placement(t, b.start(t, login))
		for _, name := range threeHierarchies {
			if got := at[testbed.HierarchyNamed(t, name).Name]; strings.Contains(got, "lxc") {
				t.Errorf("hierarchy %s: %s without the module", name, got)
			}
		}
		if out, err := login.Run("lxc-freeze -n lax"); err == nil {
			t.Errorf("lxc-freeze works without the module: %s", out)
		}
		b.stop(t, login)
	})
	login.Logout()
}

// A container that was left running keeps its session. When it has ended, the
// session goes with the next login.
func TestContainerOutlivesItsLogin(t *testing.T) {
	u, server := sshServer(t, "cgclistay", 22003, threeHierarchies...)
	freezer := testbed.HierarchyNamed(t, "freezer")
	b := newBox(t, u, "c1", limit)
	wantSessions := func(when, want string) {
		t.Helper()
		testbed.AwaitDetachedWorkers(t)
		if got := strings.Join(testbed.Sessions(freezer, u.Name), " "); got != want {
			t.Errorf("%s: sessions %q, want %q", when, got, want)
		}
	}
	wantAlive := func(pid int) {
		t.Helper()
		wantPlaced(t, pid, "/user/cgclistay/0/lxc.payload.c1", threeHierarchies...)
		b.wantBeating(t)
	}

	login := server.Login(t, u.Name)
	pid := b.start(t, login)
	login.Logout()
	wantSessions("after the first logout", "0")
	wantAlive(pid)

	login = server.Login(t, u.Name)
	wantSessions("in the second login", "0 1")
	wantAlive(pid)
	testFreeze(t, b, login, pid)
	testAttach(t, b, login, pid)
	b.stop(t, login)
	wantSessions("after lxc-stop", "0 1")
	login.Logout()
	wantSessions("after the second logout", "0")

	// That number was taken when the third login looked for one of its own.
	login = server.Login(t, u.Name)
	wantSessions("in the third login", "1")
	pid = b.start(t, login)
	wantPlaced(t, pid, "/user/cgclistay/1/lxc.payload.c1", threeHierarchies...)
	b.stop(t, login)
	login.Logout()
	wantNothingNow(t, u)
}

// Without -c the session is in every hierarchy, the unified one too, where the
// login is in a leaf that LXC's base leaves out.
func TestContainerInEveryHierarchy(t *testing.T) {
	u, server := sshServer(t, "cgcliall", 22005)
	testbed.WriteService(t, "sshd", testbed.SessionLine(t, ""))
	var all []string
	for _, h := range testbed.Hierarchies() {
		first, _, _ := strings.Cut(h.Name, ",")
		all = append(all, first)
	}
	b := newBox(t, u, "c1", limit)
	login := server.Login(t, u.Name)
	pid := b.start(t, login)
	wantPlaced(t, pid, "/user/cgcliall/0/lxc.payload.c1", all...)
	testLimit(t, b, login, pid)
	testFreeze(t, b, login, pid)

	second := server.Login(t, u.Name)
	testAttach(t, b, second, pid)
	b.stop(t, second)
	second.Logout()
	login.Logout()
	wantNothingNow(t, u)
}

// A limit of a controller that the session does not have is not dropped in
// silence: LXC starts no container then.
func TestLimitWithoutItsController(t *testing.T) {
	without := []string{"freezer", "name=systemd"}
	u, server := sshServer(t, "cgclinomem", 22004, without...)
	login := server.Login(t, u.Name)

	limited := newBox(t, u, "limited", limit)
	out, err := limited.tryStart(t, login)
	if err == nil || !strings.Contains(out, `Failed to setup limits for the "memory" controller`) {
		t.Errorf("want a refusal for lack of the memory controller: %v\n%s", err, out)
	}

	plain := newBox(t, u, "plain")
	wantPlaced(t, plain.start(t, login), "/user/cgclinomem/0/lxc.payload.plain", without...)
	plain.stop(t, login)
	login.Logout()
	wantNothingNow(t, u)
}

// A rule for devices is like any other limit of v1's where the session has no devices. Where it
// has, the kernel takes the rule from nobody who is not root, and LXC goes on.
func TestDevicesWithoutTheirController(t *testing.T) {
	const rule = "lxc.cgroup.devices.allow = c 10:229 rwm"
	for _, test := range []struct {
		name        string
		uid         int
		controllers []string
		isRefused   bool
	}{
		{"cgclinodev", 22030, threeHierarchies, true},
		{"cgclidev", 22031, append(slices.Clone(threeHierarchies), "devices"), false},
	} {
		u, server := sshServer(t, test.name, test.uid, test.controllers...)
		program := forUsers(t, testbed.Built(t, "cgdeleg"))
		login := server.Login(t, u.Name)
		b := newBox(t, u, "ruled", rule)
		out, err := b.tryStart(t, login)
		if test.isRefused != (err != nil && strings.Contains(out, "Failed to setup legacy device cgroup controller limits")) {
			t.Errorf("%s: refused is to be %v: %v\n%s", test.name, test.isRefused, err, out)
		}
		says, err := login.Run(program + " check -q --container ruled")
		if isSeen := strings.HasPrefix(says, "CGD-053 config-limits: LXC refuses to start the container: the session lacks the controller devices"); isSeen != test.isRefused {
			t.Errorf("%s: %v\n%s", test.name, err, says)
		}
		if err == nil {
			b.stop(t, login)
		}
		login.Logout()
		wantCleaned(t, u, program)
	}
}

// The rest of what is to be said of LXC is tested by itself (lxc_test.go).
func testLXC(t *testing.T) []table.Row {
	testbed.Need(t, "lxc-start", "newuidmap")
	g, server := newGuest(t, "cgrtlxc", 27006, fourOptions)
	login := server.Login(t, g.user.Name)
	b := newBox(t, g.user, "c1", limit, "lxc.cgroup.pids.max = 33")
	pid := b.start(t, login)
	testFreeze(t, b, login, pid)
	row := g.row(t, "lxc-start", pid, "lxc-freeze", fourHierarchies...)
	b.stop(t, login)
	login.Logout()
	wantNothingNow(t, g.user)
	return []table.Row{row}
}
