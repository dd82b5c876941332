package hierarchy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
)

// place is what is wanted of one discovered hierarchy.
type place struct{ name, point, base, controllers string }

func v1(name, point, base string) place {
	return place{name, point, base, strings.ReplaceAll(name, ",", " ")}
}

// mountedByName are v1 hierarchies, each mounted where its name says.
func mountedByName(names string) (places []place) {
	for name := range strings.FieldsSeq(names) {
		places = append(places, v1(name, "/sys/fs/cgroup/"+name, "/"))
	}
	return places
}

// Machines of ../testdata (see the README there).
func TestDiscover(t *testing.T) {
	const sys = "/sys/fs/cgroup"
	for _, test := range []struct {
		host     string
		want     []place
		unusable []string
	}{
		{"debian12-v1-hybrid", []place{
			v1("name=systemd", sys+"/systemd", "/"), v1("pids", sys+"/pids", "/"), v1("blkio", sys+"/blkio", "/"),
			v1("freezer", sys+"/freezer", "/"), v1("devices", sys+"/devices", "/"), v1("memory", sys+"/memory", "/"),
			v1("cpuset", sys+"/cpuset", "/"), v1("cpuacct", sys+"/cpuacct", "/"), v1("cpu", sys+"/cpu", "/"),
			{Unified, sys + "/unified", "/", "hugetlb"},
		}, nil},
		// Without a 0:: line there is no v2; /init.scope comes off in every hierarchy.
		{"ubuntu1604-v1-systemd", []place{
			v1("pids", sys+"/pids", "/"), v1("memory", sys+"/memory", "/"), v1("cpuset", sys+"/cpuset", "/"),
			v1("freezer", sys+"/freezer", "/"), v1("net_cls,net_prio", sys+"/net_cls,net_prio", "/"),
			v1("cpu,cpuacct", sys+"/cpu,cpuacct", "/"), v1("name=systemd", sys+"/systemd", "/"),
		}, nil},
		{"debian12-v2-systemd", []place{{Unified, sys, "/", "cpuset cpu io memory hugetlb pids rdma misc"}}, nil},
		{"hybrid-systemd", append(mountedByName("cpuset blkio freezer memory pids devices hugetlb perf_event misc net_cls,net_prio rdma cpu,cpuacct"),
			v1("name=systemd", sys+"/systemd", "/"), place{Unified, sys + "/unified", "/", ""}), nil},
		{"openrc-v2", []place{{Unified, sys, "/", "cpuset cpu io memory hugetlb pids rdma misc"}}, nil},
		{"openrc-hybrid", append(mountedByName("misc rdma pids hugetlb net_prio perf_event net_cls freezer devices memory blkio cpuacct cpu cpuset"),
			v1("name=openrc", sys+"/openrc", "/"), place{Unified, sys + "/unified", "/", ""}), nil},
		{"elogind-v2", []place{{Unified, sys, "/", "cpuset cpu io memory hugetlb pids rdma misc"}}, nil},
		// elogind mounts its own hierarchy behind all others.
		{"elogind-hybrid", []place{
			v1("name=elogind", sys+"/elogind", "/"), v1("misc", sys+"/misc", "/"), v1("rdma", sys+"/rdma", "/"),
			v1("pids", sys+"/pids", "/"), v1("hugetlb", sys+"/hugetlb", "/"), v1("net_prio", sys+"/net_prio", "/"),
			v1("perf_event", sys+"/perf_event", "/"), v1("net_cls", sys+"/net_cls", "/"), v1("freezer", sys+"/freezer", "/"),
			v1("devices", sys+"/devices", "/"), v1("memory", sys+"/memory", "/"), v1("blkio", sys+"/blkio", "/"),
			v1("cpuacct", sys+"/cpuacct", "/"), v1("cpu", sys+"/cpu", "/"), v1("cpuset", sys+"/cpuset", "/"),
			v1("name=openrc", sys+"/openrc", "/"), {Unified, sys + "/unified", "/", ""},
		}, nil},
		// The mounts show /docker/ID, which is also init's cgroup; freezer shows
		// another; pids and v2 have lines in /proc but no mount, and are silent.
		{"docker-no-cgroupns", []place{
			v1("memory", sys+"/memory", "/"), v1("cpu,cpuacct", sys+"/cpu,cpuacct", "/"), v1("name=systemd", sys+"/systemd", "/"),
		}, []string{"freezer"}},
		// Below "/.." our own cgroup has no name that we could know. The second
		// freezer mount is of the namespace and usable.
		{"docker-cgroupns-stale", []place{v1("freezer", "/mnt/freezer", "/")}, []string{"memory", "name=systemd"}},
		{"lxc-unprivileged", []place{{Unified, sys, "/", "cpuset cpu io memory hugetlb pids rdma misc"}}, nil},
	} {
		t.Run(test.host, func(t *testing.T) {
			found, unusable, err := Discover(recorded(test.host))
			if err != nil {
				t.Fatal(err)
			}
			requirePlaces(t, found, test.want)
			requireUnusable(t, unusable, test.unusable)
			for i := range found {
				dir, err := found[i].OpenBase(recorded(test.host))
				if err != nil {
					t.Errorf("%s: %v", found[i].Name, err)
					continue
				}
				dir.Close()
			}
		})
	}
}

func requirePlaces(t *testing.T, found []Hierarchy, want []place) {
	t.Helper()
	var got []place
	for _, h := range found {
		got = append(got, place{h.Name, h.Mount.Point, h.Base, strings.Join(h.Controllers, " ")})
		if h.Mount.Unified != h.IsUnified() {
			t.Errorf("%s: Mount.Unified is %v", h.Name, h.Mount.Unified)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("found\n%v\nwant\n%v", got, want)
	}
}

func requireUnusable(t *testing.T, unusable []error, want []string) {
	t.Helper()
	var got []string
	for _, err := range unusable {
		var u *UnusableError
		if !errors.As(err, &u) || !errors.Is(err, ErrOutside) {
			t.Errorf("%v, want an *UnusableError of ErrOutside", err)
			continue
		}
		got = append(got, u.Hierarchy)
	}
	if !slices.Equal(got, want) {
		t.Errorf("unusable %q, want %q", got, want)
	}
}

// machine writes files (path to content) and returns them as a machine.
func machine(t *testing.T, files map[string]string) cgroupfs.Machine {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return cgroupfs.Recorded(dir)
}

// Shapes that no whole recorded machine is needed for.
func TestDiscoverShapes(t *testing.T) {
	const freezer = "30 1 0:30 / /f rw - cgroup cgroup rw,freezer\n"
	for _, test := range []struct {
		name, mountinfo, cgroup, dir string
		want                         []place
		reason                       string // of the only unusable hierarchy
	}{
		{"names in another order than the options", "1 1 0:30 / /c rw - cgroup cgroup rw,relatime,cpuacct,cpu,xattr\n", "2:cpu,cpuacct:/\n", "/c",
			[]place{v1("cpu,cpuacct", "/c", "/")}, ""},
		{"a comounted hierarchy is not found by one of its controllers' mounts", "1 1 0:30 / /c rw - cgroup cgroup rw,cpu\n", "2:cpu,cpuacct:/\n", "/c", nil, ""},
		{"the mount point does not count", "1 1 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,freezer\n", "2:memory:/\n", "/sys/fs/cgroup/memory", nil, ""},
		{"named hierarchy without controllers", "1 1 0:30 / /n rw - cgroup none rw,xattr,release_agent=/a,name=x\n", "3:name=x:/\n", "/n",
			[]place{v1("name=x", "/n", "/")}, ""},
		{"a release agent is no name", "1 1 0:30 / /n rw - cgroup none rw,release_agent=/a,name=y\n", "3:name=x:/\n", "/n", nil, ""},
		// libpam-cgfs did nothing at all on such a machine.
		{"0:: line without a cgroup2 mount", freezer, "2:freezer:/\n0::/\n", "/f", []place{v1("freezer", "/f", "/")}, ""},
		{"cgroup2 mount without a 0:: line", "1 1 0:30 / /u rw - cgroup2 none rw\n", "2:freezer:/\n", "/u", nil, ""},
		{"v1 mount whose options say unified", "1 1 0:30 / /u rw - cgroup none rw,unified\n", "0::/\n", "/u", nil, ""},
		{"rc.init of OpenRC", freezer, "2:freezer:/rc.init\n", "/f", []place{v1("freezer", "/f", "/")}, ""},
		{"init.scope of a container that shares its host's namespace", freezer, "2:freezer:/lxc/c1/init.scope\n", "/f/lxc/c1",
			[]place{v1("freezer", "/f", "/lxc/c1")}, ""},
		{"init outside of the namespace", freezer, "2:freezer:/../init.scope\n", "/f", nil,
			`hierarchy freezer: mounted, but of no use: cgroup lies outside of this mount or cgroup namespace: cgroup "/..", mount root "/"`},
		{"init's cgroup is not below the mount point", freezer, "2:freezer:/gone\n", "/f", nil,
			"hierarchy freezer: mounted, but of no use: open /f/gone: no such file or directory"},
		{"mount point gone", freezer, "2:freezer:/\n", "/other", nil,
			"hierarchy freezer: mounted, but of no use: open /f: no such file or directory"},
		{"v2 without cgroup.controllers", "1 1 0:30 / /u rw - cgroup2 none rw\n", "0::/\n", "/u", nil,
			"hierarchy unified: mounted, but of no use: open /u/cgroup.controllers: no such file or directory"},
		{"first usable mount of two", "1 1 0:30 / /a rw - cgroup c rw,freezer\n" + freezer + "1 1 0:30 / /f2 rw - cgroup c rw,freezer\n", "2:freezer:/\n", "/f",
			[]place{v1("freezer", "/f", "/")}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := machine(t, map[string]string{
				"proc/self/mountinfo": test.mountinfo, "proc/1/cgroup": test.cgroup, test.dir + "/cgroup.procs": "",
			})
			found, unusable, err := Discover(m)
			if err != nil {
				t.Fatal(err)
			}
			requirePlaces(t, found, test.want)
			if got := fmt.Sprint(errors.Join(unusable...)); test.reason != "" && got != test.reason || test.reason == "" && unusable != nil {
				t.Errorf("unusable: %s\nwant: %s", got, test.reason)
			}
		})
	}
}

func TestDiscoverFails(t *testing.T) {
	const mountinfo, cgroup = "30 1 0:30 / /f rw - cgroup cgroup rw,freezer\n", "2:freezer:/\n"
	t.Run("no mountinfo", func(t *testing.T) {
		_, _, err := Discover(machine(t, map[string]string{"proc/1/cgroup": cgroup}))
		requireNotFound(t, err, "/proc/self/mountinfo")
	})
	t.Run("no cgroup file, as with hidepid", func(t *testing.T) {
		_, _, err := Discover(machine(t, map[string]string{"proc/self/mountinfo": mountinfo}))
		requireNotFound(t, err, "/proc/1/cgroup")
	})
	t.Run("malformed mountinfo", func(t *testing.T) {
		_, _, err := Discover(machine(t, map[string]string{"proc/self/mountinfo": "x\n", "proc/1/cgroup": cgroup}))
		requireParseError(t, err, ParseError{File: "mountinfo", Line: 1, Text: "x", Reason: `no separator " - "`})
	})
	t.Run("malformed cgroup", func(t *testing.T) {
		_, _, err := Discover(machine(t, map[string]string{"proc/self/mountinfo": mountinfo, "proc/1/cgroup": "x\n"}))
		requireParseError(t, err, ParseError{File: "cgroup", Line: 1, Text: "x", Reason: "fewer than three fields"})
	})
}

func requireNotFound(t *testing.T, err error, path string) {
	t.Helper()
	var p *fs.PathError
	if !errors.As(err, &p) || p.Path != path || !errors.Is(err, unix.ENOENT) {
		t.Errorf("got %v, want ENOENT in a *fs.PathError with %s", err, path)
	}
}

// systemd keeps its first process in /init.scope, OpenRC in /rc.init.
func TestTrimLeaf(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"/", "/"},
		{"/init.scope", "/"},
		{"/rc.init", "/"},
		{"/lxc/c1/init.scope", "/lxc/c1"},
		{"/a/rc.init", "/a"},
		{"/init.scope/init.scope", "/init.scope"},
		{"/rc.init/init.scope", "/rc.init"},
		{"/xinit.scope", "/xinit.scope"},
		{"/init.scope/x", "/init.scope/x"},
		{"/init.scope (deleted)", "/init.scope (deleted)"},
		{"/user.slice", "/user.slice"},
		{"/../init.scope", "/.."},
	} {
		if got := trimLeaf(test.in); got != test.want {
			t.Errorf("trimLeaf(%q) = %q, want %q", test.in, got, test.want)
		}
	}
}

func TestBelow(t *testing.T) {
	for _, test := range []struct{ name, root, path, want string }{ // want "": ErrOutside
		{"whole hierarchy", "/", "/a/b", "/a/b"},
		{"its root", "/", "/", "/"},
		{"container's root", "/docker/1", "/docker/1", "/"},
		{"below the container's root", "/docker/1", "/docker/1/a", "/a"},
		{"above the container's root", "/docker/1", "/docker", ""},
		{"sibling with the same beginning", "/docker/1", "/docker/12", ""},
		{"another cgroup", "/docker/1", "/user.slice", ""},
		{"the hierarchy's root seen from a container", "/docker/1", "/", ""},
		{"mount older than the namespace", "/..", "/", ""},
		{"mount much older than the namespace", "/../..", "/a", ""},
		{"path and root outside alike", "/../b", "/../b", ""},
		{"path outside of the namespace", "/", "/../b", ""},
		{"dots inside of the path", "/", "/a/../b", ""},
		{"dots at the end", "/", "/a/..", ""},
		{"dots below the root", "/docker/1", "/docker/1/../2", ""},
		{"names that only begin with dots", "/", "/..a/...", "/..a/..."},
		{"removed cgroup", "/", "/a (deleted)", "/a (deleted)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := Hierarchy{Name: "freezer", Root: test.root}
			got, err := h.Below(test.path)
			if got != test.want || (test.want == "") != errors.Is(err, ErrOutside) {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func FuzzBelow(f *testing.F) {
	for _, s := range [][2]string{{"/", "/a"}, {"/docker/1", "/docker/1/a/.."}, {"/..", "/.."}, {"/", "/../a"}, {"/a", "/a/"}, {"/a/", "/a//.."}, {"", ".."}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, root, path string) {
		h := Hierarchy{Root: root}
		below, err := h.Below(path)
		if err != nil {
			if below != "" || !errors.Is(err, ErrOutside) {
				t.Errorf("%q of root %q: %q, %v", path, root, below, err)
			}
			return
		}
		if !strings.HasPrefix(below, "/") || slices.Contains(strings.Split(below, "/"), "..") {
			t.Errorf("%q of root %q is %q", path, root, below)
		}
	})
}

func TestOpenMember(t *testing.T) {
	m := recorded("debian12-v1-hybrid")
	found, _, err := Discover(m)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(found, func(h Hierarchy) bool { return h.Name == "freezer" })
	freezer := &found[at]
	dir, err := freezer.OpenMember(m, "/user/alice/0/lxc/c1")
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if want := "/sys/fs/cgroup/freezer/user/alice/0/lxc/c1"; dir.Path() != want {
		t.Errorf("path %s, want %s", dir.Path(), want)
	}
	if _, err := freezer.OpenMember(m, "/user/../.."); !errors.Is(err, ErrOutside) {
		t.Errorf("dots: %v", err)
	}
	_, err = freezer.OpenMember(m, "/user/nobody")
	requireNotFound(t, err, "/sys/fs/cgroup/freezer/user/nobody")
	elsewhere := Hierarchy{Name: "x", Mount: cgroupfs.Mount{Point: "/nowhere"}, Base: "/", Root: "/"}
	_, err = elsewhere.OpenBase(m)
	requireNotFound(t, err, "/nowhere")
}

func TestUnusableError(t *testing.T) {
	err := fmt.Errorf("wrapped: %w", &UnusableError{Hierarchy: "freezer", Reason: "why", Err: &fs.PathError{Op: "open", Path: "/f", Err: unix.EACCES}})
	var u *UnusableError
	var p *fs.PathError
	if !errors.As(err, &u) || u.Hierarchy != "freezer" || !errors.As(err, &p) || p.Path != "/f" || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("lost in wrapping: %v", err)
	}
	if got := (&UnusableError{Hierarchy: "freezer", Reason: "why"}).Error(); got != "hierarchy freezer: why" {
		t.Errorf("without a cause: %q", got)
	}
}

func TestMountReadOnly(t *testing.T) {
	const rw, ro = "30 1 0:30 / /f rw - cgroup c rw,freezer\n", "31 1 0:30 / /f ro,nosuid - cgroup c rw,freezer\n"
	for _, test := range []struct {
		name, mountinfo, dir string
		want                 bool
	}{
		{"writable", rw, "f", false},
		{"mount read-only", ro, "f", true},
		{"file system read-only", "30 1 0:30 / /f rw - cgroup c ro,freezer\n", "f", true},
		{"a space in the mount point", `30 1 0:30 / /f\040f ro - cgroup c rw,freezer`, "f f", true},
		{"mounted over, read-only", rw + ro, "f", true},
		{"mounted over, writable", ro + rw, "f", false},
		{"another mount point is read-only", rw + "31 1 0:30 / /g ro - cgroup c rw,freezer\n", "f", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			found, unusable, err := Discover(machine(t, map[string]string{
				"proc/self/mountinfo": test.mountinfo, "proc/1/cgroup": "2:freezer:/\n", test.dir + "/cgroup.procs": "",
			}))
			if err != nil || unusable != nil || len(found) != 1 {
				t.Fatalf("found %v, unusable %v, %v", found, unusable, err)
			}
			if got := found[0].Mount.ReadOnly; got != test.want || found[0].Mount.Point != "/"+test.dir {
				t.Errorf("%s: read-only %v, want %v", found[0].Mount.Point, got, test.want)
			}
		})
	}
}
