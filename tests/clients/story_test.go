package clients

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed/sshd"
)

// The nested story: a login starts user-parent, a login in that starts
// user-child, and both logins have their cgroups from the module, each from that
// of its own PAM files.

const (
	sessionInside = "session optional pam_cgdeleg.so"
	inParent      = "/lxc.payload.user-parent"
	inChild       = "/user/ubuntu/0/lxc.payload.user-child"
)

// waysIn are the ways in which a person comes to a shell in the container.
var waysIn = map[string]struct {
	service string // of PAM, in the container
	enter   func(*testing.T, *sshd.Client) insideShell
}{
	"ssh":                {"sshd", bySSH},
	"lxc-console":        {"login", byConsole},
	"lxc-attach with su": {"su-l", bySu},
}

// startParent makes the container user-parent for logins, with the session lines
// in the PAM files of its services, and starts it.
func startParent(t *testing.T, u testbed.User, login *sshd.Client, init string, session []string, config ...string) *parent {
	t.Helper()
	p := newParent(t, u, init+loginsInit, config...)
	p.allowLogins(t, u, session...)
	for _, service := range []string{"su", "su-l"} {
		appendTo(t, p.rootfs+"/etc/pam.d/"+service, strings.Join(session, "\n")+"\n")
	}
	install(t, p.rootfs)
	wantPlaced(t, p.start(t, login), "/user/"+u.Name+"/0"+inParent, threeHierarchies...)
	return p
}

func TestNestedStory(t *testing.T) {
	three := mountCgroups(threeHierarchies...)
	forced := []string{"lxc.mount.auto =", "lxc.mount.auto = cgroup:rw:force proc:mixed sys:rw"}
	for name, test := range map[string]struct {
		way    string
		init   string   // how the container's init mounts cgroups
		config []string // of the container
	}{
		"ssh":                          {"ssh", three, nil},
		"lxc-console":                  {"lxc-console", three, nil},
		"lxc-attach with su":           {"lxc-attach with su", three, nil},
		"ssh, cgroup:rw:force":         {"ssh", "", forced},
		"lxc-console, cgroup:rw:force": {"lxc-console", "", forced},
		"ssh, the init mounts what is not the container's too": {"ssh", mountCgroups(v1Hierarchies()...), nil},
	} {
		t.Run(name, func(t *testing.T) {
			u, server := sshServer(t, "cgneststory", 24060, threeHierarchies...)
			login := server.Login(t, u.Name)
			p := startParent(t, u, login, test.init, []string{sessionInside}, test.config...)
			s := waysIn[test.way].enter(t, login)
			if out := s.Must(t, "cgdeleg check -q"); out != "" {
				t.Errorf("check says:\n%s", out)
			}
			child := p.newChild(t, limit)
			pid := child.start(t, s)
			testViews(t, u, s, child, pid)
			wantAlive(t, child, s.shell, pid, "/user/"+u.Name+"/0"+inParent+"/user/ubuntu/0")
			testFreezeOfParent(t, p, login, child, pid)

			child.stop(t, s)
			again := child.start(t, s)
			wantAlive(t, child, s.shell, again, "/user/"+u.Name+"/0"+inParent+"/user/ubuntu/0")
			child.stop(t, s)
			s.end(t)
			testbed.Eventually(t, "the session in the container has gone", func() bool { return !hasCgroup(u, "/user/ubuntu") })
			p.stop(t, login)
			login.Logout()
			wantNothingNow(t, u)
		})
	}
}

func hasCgroup(u testbed.User, part string) bool {
	return slices.ContainsFunc(testbed.Tree(u.Name), func(line string) bool { return strings.Contains(line, part) })
}

// testViews compares how the child's place looks from the machine, from the
// container user-parent and from the child itself: /proc/PID/cgroup of the
// child's init, and the cgroups that each can see.
func testViews(t *testing.T, u testbed.User, s terminal, child *box, pid int) {
	t.Helper()
	fromHost := testbed.Placement(t, pid)
	fromParent := testbed.ParsePlacement(s.Must(t, "cat /proc/$(lxc-info -n "+child.name+" -pH)/cgroup"))
	fromChild := testbed.ParsePlacement(s.Must(t, child.attach("cat /proc/1/cgroup")))
	for _, name := range threeHierarchies {
		t.Logf("%-13s host %s, user-parent %s, user-child %s", name, fromHost[name], fromParent[name], fromChild[name])
		for view, got := range map[string][2]string{
			"host":        {fromHost[name], "/user/" + u.Name + "/0" + inParent + inChild},
			"user-parent": {fromParent[name], inChild},
			"user-child":  {fromChild[name], "/"},
		} {
			if got[0] != got[1] {
				t.Errorf("%s: from %s it is in %s, want %s", name, view, got[0], got[1])
			}
		}
	}

	// The child's root makes a cgroup, which all three see.
	s.Must(t, child.attach("sh -c 'mkdir /tmp/memory && mount -t cgroup -o memory cgroup /tmp/memory && mkdir /tmp/memory/own'"))
	host := cgroupsIn(t, "", func(find string) string {
		out, err := exec.Command("sh", "-c", fmt.Sprintf(find, testbed.HierarchyNamed(t, "memory").Point+"/user/"+u.Name+"/0"+inParent)).Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	})
	parent := cgroupsIn(t, "", func(find string) string { return s.Must(t, fmt.Sprintf(find, "/sys/fs/cgroup/memory")) })
	deep := cgroupsIn(t, inChild, func(find string) string {
		return s.Must(t, child.attach("sh -c '"+fmt.Sprintf(find, "/tmp/memory")+"'"))
	})
	s.Must(t, child.attach("sh -c 'rmdir /tmp/memory/own && umount /tmp/memory && rmdir /tmp/memory'"))
	t.Logf("cgroups in memory\nfrom the host, in %s:\n%s\nfrom user-parent:\n%s\nfrom user-child, in %s:\n%s", "/user/"+u.Name+"/0"+inParent,
		strings.Join(host, "\n"), strings.Join(parent, "\n"), inChild, strings.Join(deep, "\n"))
	if !slices.Equal(parent, host) {
		t.Error("user-parent sees other cgroups than the host")
	}
	ofChild := slices.DeleteFunc(slices.Clone(host), func(path string) bool { return !strings.HasPrefix(path+"/", inChild+"/") })
	if !slices.Equal(deep, ofChild) || !slices.Contains(deep, inChild+"/own") {
		t.Error("user-child sees other cgroups of its own than the host")
	}
}

// cgroupsIn returns what run finds, sorted, with prefix before each path.
func cgroupsIn(t *testing.T, prefix string, run func(find string) string) (paths []string) {
	t.Helper()
	for path := range strings.FieldsSeq(run("cd %s && find . -type d")) {
		path = prefix + strings.TrimPrefix(path, ".")
		paths = append(paths, cmp.Or(path, "/"))
	}
	slices.Sort(paths)
	return paths
}

// testFreezeOfParent: what freezes the outer container freezes the inner one.
func testFreezeOfParent(t *testing.T, p *parent, login terminal, child *box, pid int) {
	t.Helper()
	login.Must(t, "lxc-freeze -n "+p.name)
	for file, want := range map[string]string{"freezer.state": "FROZEN", "freezer.self_freezing": "0", "freezer.parent_freezing": "1"} {
		if got := readCgroup(t, pid, "freezer", file); got != want {
			t.Errorf("%s of the child is %s with the parent frozen, want %s", file, got, want)
		}
	}
	before := child.beats()
	time.Sleep(200 * time.Millisecond) // ten beats of a container that is not frozen
	if after := child.beats(); after != before {
		t.Errorf("the child of a frozen container goes on: %d beats more", after-before)
	}
	login.Must(t, "lxc-unfreeze -n "+p.name)
	child.wantBeating(t)
}

// Without the module's line in the container's PAM files its logins have no
// cgroups, and its containers none of their own.
func TestNestedStoryWithoutTheModule(t *testing.T) {
	for way, test := range waysIn {
		t.Run(way, func(t *testing.T) {
			u, server := sshServer(t, "cgneststory", 24060, threeHierarchies...)
			login := server.Login(t, u.Name)
			p := startParent(t, u, login, mountCgroups(threeHierarchies...), nil)
			s := test.enter(t, login)
			limited := p.newChild(t, limit)
			wantRefused(t, limited, s, noLimits)

			lax := p.newChild(t)
			at := testbed.Placement(t, lax.start(t, s))
			for _, name := range threeHierarchies {
				if want := "/user/" + u.Name + "/0" + inParent; at[name] != want {
					t.Errorf("%s: in %s, want it beside its parent's init, in %s", name, at[name], want)
				}
			}
			if out, err := s.Run("lxc-freeze -n " + lax.name); err == nil {
				t.Errorf("lxc-freeze works without the module: %s", out)
			}
			lax.stop(t, s)
			s.end(t)
			p.stop(t, login)
			login.Logout()
			wantNothingNow(t, u)
		})
	}
}

// Containers that are left running at every logout go on where they are.
func TestNestedContainersOutliveTheirLogins(t *testing.T) {
	u, server := sshServer(t, "cgneststay", 24062, threeHierarchies...)
	top := "/user/" + u.Name + "/0" + inParent
	login := server.Login(t, u.Name)
	p := startParent(t, u, login, mountCgroups(threeHierarchies...), []string{sessionInside})
	s := bySSH(t, login)
	child := p.newChild(t, limit)
	pid := child.start(t, s)
	s.end(t)
	login.Logout()
	wantPlaced(t, pid, top+inChild, threeHierarchies...)
	child.wantBeating(t)

	login = server.Login(t, u.Name)
	s = bySSH(t, login)
	if at := testbed.ParsePlacement(s.Must(t, "cat /proc/self/cgroup"))["memory"]; at != "/user/ubuntu/1" {
		t.Errorf("the second login in the container is in %s", at)
	}
	wantAlive(t, child, s.shell, pid, top+"/user/ubuntu/0")
	child.stop(t, s)
	s.end(t)
	s = bySSH(t, login)
	pid = child.start(t, s)
	if cgroup := testbed.Placement(t, pid)["freezer"]; hasCgroup(u, "/user/ubuntu/0") {
		t.Errorf("a dead session was not cleaned up; the child is in %s", cgroup)
	}
	child.stop(t, s)
	s.end(t)
	p.stop(t, login)
	login.Logout()
	login = server.Login(t, u.Name) // which cleans up what the first one left
	login.Logout()
	wantNothingNow(t, u)
}

// Copies and snapshots of a container in the container have cgroups of their
// own, with the limits of the copied configuration.
func TestNestedCopyAndSnapshot(t *testing.T) {
	testbed.Need(t, "rsync") // with which LXC copies folders
	u, server := sshServer(t, "cgnestcopy", 24064, threeHierarchies...)
	login := server.Login(t, u.Name)
	p := startParent(t, u, login, mountCgroups(threeHierarchies...), []string{sessionInside})
	s := bySSH(t, login)
	child := p.newChild(t, limit)
	for name, make := range map[string]string{
		"user-copy": "lxc-copy -n user-child -N user-copy",
		"restored":  "lxc-snapshot -n user-child && lxc-snapshot -n user-child -r snap0 -N restored",
	} {
		s.Must(t, make)
		c := *child
		c.name, c.log = name, filepath.Join(filepath.Dir(child.log), name+".log")
		c.rootfs = filepath.Join(p.rootfs, p.ubuntu.Home, ".local/share/lxc", name, "rootfs")
		if _, err := os.Stat(c.rootfs + "/bin/busybox"); err != nil {
			t.Fatalf("%v: %s", err, s.Must(t, fmt.Sprintf("cat ~/.local/share/lxc/%s/config; find ~ -name rootfs", name)))
		}
		wantAlive(t, &c, s.shell, c.start(t, s), "/user/"+u.Name+"/0"+inParent+"/user/ubuntu/0")
		c.stop(t, s)
	}
	s.end(t)
	p.stop(t, login)
	login.Logout()
	wantNothingNow(t, u)
}

// atBoot is what a service does for a user's containers when the machine boots.
const atBoot = `#!/bin/sh
cgdeleg open --user %[1]s --pid $$ -c freezer,memory,name=systemd || exit
exec su %[1]s -c lxc-autostart
`

// Containers that start when the machine boots, where nobody logs in: those of
// the machine's user, and in them those of the container's.
func TestNestedAutostart(t *testing.T) {
	const auto = "lxc.start.auto = 1"
	for name, test := range map[string]struct {
		script        string
		limits        []string
		parent, child string // where they are
	}{
		"with cgdeleg open": {atBoot, []string{limit}, "/user/cgnestauto/0" + inParent, "/user/cgnestauto/0" + inParent + inChild},
		"without":           {"#!/bin/sh\nexec su %[1]s -c lxc-autostart\n", nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			u, _ := sshServer(t, "cgnestauto", 24066)
			testbed.WriteService(t, "su")
			p := newParent(t, u, mountCgroups(threeHierarchies...)+"PATH=/usr/local/bin:/usr/bin:/bin sh /etc/boot >/tmp/boot.log 2>&1 &\n", auto)
			child := p.newChild(t, append(test.limits, auto)...)
			if err := os.WriteFile(p.rootfs+"/etc/boot", fmt.Appendf(nil, test.script, "ubuntu"), 0o755); err != nil {
				t.Fatal(err)
			}
			program := testbed.Built(t, "cgdeleg")
			fixAsRoot(t, fmt.Sprintf(test.script, u.Name), program)
			child.wantBeating(t)

			for b, want := range map[*box]string{p.box: test.parent, child: test.child} {
				pid := b.initByRoot(t)
				if want == "" {
					want = testbed.Placement(t, os.Getpid())["freezer"]
					wantPlaced(t, pid, want, "freezer")
					continue
				}
				wantPlaced(t, pid, want, threeHierarchies...)
				if got := readCgroup(t, pid, "memory", "memory.limit_in_bytes"); b == child && got != "67108864" {
					t.Errorf("memory.limit_in_bytes of the child is %s", got)
				}
			}
			if out, err := asUser(t, u, "lxc-stop -n user-parent"); err != nil {
				t.Fatalf("lxc-stop: %v\n%s", err, out)
			}
			p.awaitEnd(t)
			wantCleaned(t, u, program)
		})
	}
}

// initByRoot finds the running container's init where no shell can ask LXC for
// it: the process of its root's that is the first of its PID namespace.
func (b *box) initByRoot(t *testing.T) int {
	t.Helper()
	for _, p := range allProcesses() {
		if p.uid == b.root && p.inside[len(p.inside)-1] == "1" {
			return p.pid
		}
	}
	t.Fatalf("no init of container %s", b.name)
	return 0
}
