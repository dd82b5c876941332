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

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine/machinetest"
)

// place is what is wanted of one hierarchy that was found.
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
func TestFind(t *testing.T) {
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
		// elogind mounts its own hierarchy after all others.
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
			before := machinetest.Descriptors(t)
			set, err := Find(recorded(test.host))
			if err != nil {
				t.Fatal(err)
			}
			requirePlaces(t, set.All, test.want)
			requireUnusable(t, set.Unusable, test.unusable)
			for _, h := range set.All {
				if want := strings.TrimSuffix(h.Mount.Point+h.Base, "/"); h.BaseDir().Path() != want {
					t.Errorf("%s: the base is %s, want %s", h.Name, h.BaseDir().Path(), want)
				}
				if _, _, err := h.BaseDir().Children(10); err != nil {
					t.Errorf("%s: %v", h.Name, err)
				}
				if set.ByName(h.Name) != h {
					t.Errorf("%s is not found by its name", h.Name)
				}
			}
			isUnified := len(test.want) == 1 && test.want[0].name == Unified
			if set.ByName("nosuch") != nil || set.IsUnified() != isUnified {
				t.Errorf("ByName or IsUnified is wrong")
			}
			set.Close()
			if after := machinetest.Descriptors(t); after != before {
				t.Errorf("%d descriptors, %d before", after, before)
			}
		})
	}
}

func requirePlaces(t *testing.T, found []*Hierarchy, want []place) {
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

// record writes files (path to content) and returns them as a machine.
func record(t *testing.T, files map[string]string) machine.Machine {
	t.Helper()
	m, _ := recordIn(t, files)
	return m
}

// recordIn is record, and returns the directory; a path that ends with a slash is
// one.
func recordIn(t *testing.T, files map[string]string) (m machine.Machine, dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if strings.HasSuffix(name, "/") {
			err = os.MkdirAll(path, 0o755)
		} else {
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return machine.Recorded(dir), dir
}

// Shapes that no whole recorded machine is needed for.
func TestFindShapes(t *testing.T) {
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
			`hierarchy freezer: mounted, but cannot be used: cgroup lies outside of this mount or cgroup namespace: cgroup "/..", mount root "/"`},
		{"init's cgroup is not below the mount point", freezer, "2:freezer:/gone\n", "/f", nil,
			"hierarchy freezer: mounted, but cannot be used: open /f/gone: no such file or directory"},
		{"mount point gone", freezer, "2:freezer:/\n", "/other", nil,
			"hierarchy freezer: mounted, but cannot be used: open /f: no such file or directory"},
		{"v2 without cgroup.controllers", "1 1 0:30 / /u rw - cgroup2 none rw\n", "0::/\n", "/u", nil,
			"hierarchy unified: mounted, but cannot be used: open /u/cgroup.controllers: no such file or directory"},
		{"first usable mount of two", "1 1 0:30 / /a rw - cgroup c rw,freezer\n" + freezer + "1 1 0:30 / /f2 rw - cgroup c rw,freezer\n", "2:freezer:/\n", "/f",
			[]place{v1("freezer", "/f", "/")}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := record(t, map[string]string{
				"proc/self/mountinfo": test.mountinfo, "proc/1/cgroup": test.cgroup, test.dir + "/cgroup.procs": "", machine.StatFile: "",
			})
			set := find(t, m)
			requirePlaces(t, set.All, test.want)
			if got := fmt.Sprint(errors.Join(set.Unusable...)); test.reason != "" && got != test.reason || test.reason == "" && set.Unusable != nil {
				t.Errorf("unusable: %s\nwant: %s", got, test.reason)
			}
		})
	}
}

func TestFindFails(t *testing.T) {
	const mountinfo, cgroup = "30 1 0:30 / /f rw - cgroup cgroup rw,freezer\n", "2:freezer:/\n"
	t.Run("no mountinfo", func(t *testing.T) {
		_, err := Find(record(t, map[string]string{"proc/1/cgroup": cgroup}))
		requireNotFound(t, err, "/proc/self/mountinfo", machine.ErrNotRecorded)
	})
	t.Run("no cgroup file, as with hidepid", func(t *testing.T) {
		_, err := Find(record(t, map[string]string{"proc/self/mountinfo": mountinfo, machine.StatFile: ""}))
		requireNotFound(t, err, "/proc/1/cgroup", unix.ENOENT)
	})
	t.Run("malformed cgroup", func(t *testing.T) {
		_, err := Find(record(t, map[string]string{"proc/self/mountinfo": mountinfo, "proc/1/cgroup": "x\n"}))
		requireParseError(t, err, ParseError{File: "cgroup", Line: 1, Text: "x", Reason: "fewer than three fields"})
	})
	t.Run("malformed mountinfo costs a line alone", func(t *testing.T) {
		set := find(t, record(t, map[string]string{"proc/self/mountinfo": "x\n" + mountinfo, "proc/1/cgroup": cgroup, "f/cgroup.procs": ""}))
		requirePlaces(t, set.All, []place{v1("freezer", "/f", "/")})
		if len(set.Unusable) != 1 {
			t.Fatalf("unusable: %v", set.Unusable)
		}
		requireParseError(t, set.Unusable[0], ParseError{File: "mountinfo", Line: 1, Text: "x", Reason: `no separator " - "`})
		var u *UnusableError
		const text = `line ignored: mountinfo:1: no separator " - " in "x"`
		if !errors.As(set.Unusable[0], &u) || u.Hierarchy != "" || u.Error() != text {
			t.Errorf("got %v", set.Unusable[0])
		}
	})
}

// find finds the hierarchies, until the test ends.
func find(t *testing.T, m machine.Machine) *Set {
	t.Helper()
	set, err := Find(m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	return set
}

// requireNotFound wants a *fs.PathError with the path and the cause.
func requireNotFound(t *testing.T, err error, path string, cause error) {
	t.Helper()
	var p *fs.PathError
	if !errors.As(err, &p) || p.Path != path || !errors.Is(err, cause) {
		t.Errorf("got %v, want %v in a *fs.PathError with %s", err, cause, path)
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
	set := find(t, recorded("debian12-v1-hybrid"))
	freezer := set.ByName("freezer")
	dir, err := freezer.OpenMember("/user/alice/0/lxc/c1")
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if want := "/sys/fs/cgroup/freezer/user/alice/0/lxc/c1"; dir.Path() != want {
		t.Errorf("path %s, want %s", dir.Path(), want)
	}
	if _, err := freezer.OpenMember("/user/../.."); !errors.Is(err, ErrOutside) {
		t.Errorf("dots: %v", err)
	}
	if _, err := freezer.OpenBelow("/user/../.."); !errors.Is(err, unix.EINVAL) {
		t.Errorf("dots below: %v", err)
	}
	_, err = freezer.OpenMember("/user/nobody")
	requireNotFound(t, err, "/sys/fs/cgroup/freezer/user/nobody", machine.ErrNotRecorded)
}

// FromBase is for managers, who know their cgroups from the base on.
func TestFromBase(t *testing.T) {
	for _, test := range []struct{ name, base, below, want string }{
		{"the base is the root", "/", "/user.slice", "/user.slice"},
		{"the root itself", "/", "/", "/"},
		{"below", "/lxc/c1", "/lxc/c1/user.slice/x", "/user.slice/x"},
		{"the base itself", "/lxc/c1", "/lxc/c1", "/"},
		{"above", "/lxc/c1", "/lxc", "/lxc"},
		{"beside, with the same beginning", "/lxc/c1", "/lxc/c12/x", "/lxc/c12/x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := (&Hierarchy{Base: test.base}).FromBase(test.below); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// Attaching is a write to cgroup.procs, which here are ordinary files.
func TestAttach(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string // those with a cgroup.procs
		call  func(h *Hierarchy) error
		at    string // which one the PID is written to
		err   error
	}{
		{"member", map[string]string{"f/a/cgroup.procs": ""}, func(h *Hierarchy) error { return h.Attach("/a", 4711) }, "f/a/cgroup.procs", nil},
		{"root", nil, func(h *Hierarchy) error { return h.Attach("/", 4711) }, "f/cgroup.procs", nil},
		{"member that is gone", nil, func(h *Hierarchy) error { return h.Attach("/a", 4711) }, "", unix.ENOENT},
		{"outside", nil, func(h *Hierarchy) error { return h.Attach("/../a", 4711) }, "", ErrOutside},
		{"base", nil, func(h *Hierarchy) error { return h.AttachToBase(4711) }, "f/cgroup.procs", nil},
		{"base of a container", map[string]string{"proc/1/cgroup": "2:freezer:/lxc/c1/init.scope\n", "f/lxc/c1/cgroup.procs": ""},
			func(h *Hierarchy) error { return h.AttachToBase(4711) }, "f/lxc/c1/cgroup.procs", nil},
		{"base that takes none, with systemd's leaf", map[string]string{"f/cgroup.procs/": "", "f/init.scope/cgroup.procs": ""},
			func(h *Hierarchy) error { return h.AttachToBase(4711) }, "f/init.scope/cgroup.procs", nil},
		{"base that takes none, with OpenRC's leaf", map[string]string{"f/cgroup.procs/": "", "f/rc.init/cgroup.procs": ""},
			func(h *Hierarchy) error { return h.AttachToBase(4711) }, "f/rc.init/cgroup.procs", nil},
		{"base that takes none, without a leaf", map[string]string{"f/cgroup.procs/": ""},
			func(h *Hierarchy) error { return h.AttachToBase(4711) }, "", unix.EISDIR},
	} {
		t.Run(test.name, func(t *testing.T) {
			all := map[string]string{
				"proc/self/mountinfo": "1 1 0:1 / /f rw - cgroup c rw,freezer\n", "proc/1/cgroup": "2:freezer:/\n", machine.StatFile: "",
			}
			if _, other := test.files["f/cgroup.procs/"]; !other {
				all["f/cgroup.procs"] = ""
			}
			for path, content := range test.files {
				all[path] = content
			}
			m, dir := recordIn(t, all)
			err := test.call(find(t, m).ByName("freezer"))
			if !errors.Is(err, test.err) {
				t.Errorf("got %v, want %v", err, test.err)
			}
			for path := range all {
				if filepath.Base(path) != "cgroup.procs" || strings.HasSuffix(path, "/") {
					continue
				}
				data, err := os.ReadFile(filepath.Join(dir, path))
				if want := map[bool]string{true: "4711"}[path == test.at]; err != nil || string(data) != want {
					t.Errorf("%s has %q, %v; want %q", path, data, err, want)
				}
			}
		})
	}
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
			set := find(t, record(t, map[string]string{
				"proc/self/mountinfo": test.mountinfo, "proc/1/cgroup": "2:freezer:/\n", test.dir + "/cgroup.procs": "",
			}))
			if set.Unusable != nil || len(set.All) != 1 {
				t.Fatalf("found %v, unusable %v", set.All, set.Unusable)
			}
			if got := set.All[0].Mount; got.ReadOnly != test.want || got.Point != "/"+test.dir {
				t.Errorf("%s: read-only %v, want %v", got.Point, got.ReadOnly, test.want)
			}
		})
	}
}
