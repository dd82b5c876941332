package cgroupfs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine/machinetest"
)

// On the running machine the mount point must show the file system that
// mountinfo promised: /proc is none.
func TestOpenMountChecks(t *testing.T) {
	var st unix.Stat_t
	must(t, unix.Stat("/proc", &st))
	for _, test := range []struct {
		name   string
		mount  Mount
		reason string
	}{
		{"another device", Mount{Point: "/proc", Device: st.Dev + 1}, "covered by another mount"},
		{"another type, for v1", Mount{Point: "/proc", Device: st.Dev}, "file system type 0x9fa0, want 0x27e0eb"},
		{"another type, for v2", Mount{Point: "/proc", Device: st.Dev, Unified: true}, "file system type 0x9fa0, want 0x63677270"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := machinetest.Descriptors(t)
			_, err := OpenMount(machine.Machine{}, test.mount)
			var mount *MountError
			if !errors.As(err, &mount) || *mount != (MountError{Point: "/proc", Reason: test.reason}) {
				t.Errorf("got %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), "/proc: "+test.reason) {
				t.Errorf("text %q", err)
			}
			if after := machinetest.Descriptors(t); after != before {
				t.Errorf("%d descriptors, %d before", after, before)
			}
		})
	}
	_, err := OpenMount(machine.Machine{}, Mount{Point: "/proc/nosuch"})
	requirePathError(t, err, "/proc/nosuch", unix.ENOENT)
	_, err = OpenMount(machine.Machine{}, Mount{Point: "/proc/version"})
	requirePathError(t, err, "/proc/version", unix.ENOTDIR)
}

// A recorded machine that somebody else made: no mount leads out of it, nor does
// what is opened below one.
func TestRecordedMountsKeepInside(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "r")
	must(t, os.MkdirAll(filepath.Join(base, "outside/proc"), 0o755))
	must(t, os.MkdirAll(filepath.Join(dir, "h/real"), 0o755))
	for link, target := range map[string]string{
		"up": "..", "todir": "../outside", "toabsolute": filepath.Join(base, "outside"), "h/linked": "../../outside",
		"withinhmount": "h", "loop": "loop",
	} {
		must(t, os.Symlink(target, filepath.Join(dir, link)))
	}
	m := machine.Recorded(dir)
	for _, point := range []string{"/todir", "/toabsolute", "/up", "/up/outside", "/h/linked", "/todir/proc", "/loop"} {
		if d, err := OpenMount(m, Mount{Point: point}); err == nil {
			d.Close()
			t.Errorf("%s: opened as a mount", point)
		}
	}
	_, err := OpenMount(m, Mount{Point: "/withinhmount"})
	requirePathError(t, err, "/withinhmount", unix.ENOTDIR, unix.ELOOP)
	d, err := OpenMount(m, Mount{Point: "/"})
	must(t, err)
	defer d.Close()
	names, _, err := d.Children(10)
	if want := []string{"h"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("children %q, %v; want %q", names, err, want)
	}
	for _, path := range []string{"h/linked", "h/linked/proc", "up", "up/outside"} {
		if below, err := d.OpenPath(path); err == nil {
			below.Close()
			t.Errorf("%s: opened", path)
		}
	}
	_, err = OpenMount(machine.Recorded(filepath.Join(base, "none")), Mount{Point: "/h"})
	requirePathError(t, err, filepath.Join(base, "none/h"), unix.ENOENT)
}

// A named pipe where a cgroup's file should be keeps nobody waiting.
func TestRecordedPipe(t *testing.T) {
	d, dir := tree(t, map[string]string{"file": ""})
	must(t, unix.Mkfifo(filepath.Join(dir, "cgroup.procs"), 0o644))
	held, err := os.OpenFile(filepath.Join(dir, "cgroup.procs"), os.O_RDWR, 0)
	must(t, err)
	defer held.Close()
	must(t, unix.Mkfifo(filepath.Join(filepath.Dir(dir), "fifo"), 0o644))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = d.Procs()
		_, _ = d.Populated(plenty())
		_, _ = OpenMount(*d.machine, Mount{Point: "/fifo"})
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("it waits for a pipe")
	}
}

// What is not in a recording was absent only if the recording says so, and is gone
// only then.
func TestNotRecorded(t *testing.T) {
	for _, test := range []struct {
		name, list, lines string
		want              error
	}{
		{"without a list", "", "", machine.ErrNotRecorded},
		{"an older report", machine.StatFile, "", unix.ENOENT},
		{"seen to be absent", machine.AbsentFile, "/h/none\n", unix.ENOENT},
		{"not looked for", machine.AbsentFile, "/h/other\n", machine.ErrNotRecorded},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.Mkdir(filepath.Join(dir, "h"), 0o755))
			if test.list != "" {
				must(t, os.WriteFile(filepath.Join(dir, test.list), []byte(test.lines), 0o644))
			}
			d, err := OpenMount(machine.Recorded(dir), Mount{Point: "/h"})
			must(t, err)
			defer d.Close()
			for operation, call := range operations {
				switch operation {
				case "Mkdir", "MkdirAny", "AddWatch":
					continue
				case "RemoveTree":
					if err := call(d, "none"); (err == nil) != errors.Is(test.want, unix.ENOENT) {
						t.Errorf("RemoveTree: %v", err)
					}
					continue
				}
				err := call(d, "none")
				requirePathError(t, err, "/h/none", test.want)
				if IsGone(err) != errors.Is(test.want, unix.ENOENT) {
					t.Errorf("%s: IsGone is wrong of %v", operation, err)
				}
			}
		})
	}
}

// What is read below a mount is noted with its whole path.
func TestNotesOfMount(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "h/a"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "h/a/cgroup.procs"), []byte("1\n"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, machine.StatFile), []byte("040755 0 0 - /h/a\n"), 0o644))
	var notes machine.Notes
	d, err := OpenMount(machine.Recorded(dir).Noting(&notes), Mount{Point: "/h"})
	must(t, err)
	defer d.Close()
	a, err := d.OpenPath("/a")
	must(t, err)
	defer a.Close()
	_, _ = a.Procs()
	_, _ = a.Read("memory.max")
	_, _ = d.Open("none")
	_, _, _ = d.Children(10)
	_, _ = a.Info()
	for q, want := range map[machine.Question]machine.Answer{
		{Path: "/h/a", Kind: machine.Existence}:            machine.Found,
		{Path: "/h/a/cgroup.procs", Kind: machine.Content}: machine.Found,
		{Path: "/h/a/memory.max", Kind: machine.Content}:   machine.Absent,
		{Path: "/h/none", Kind: machine.Existence}:         machine.Absent,
		{Path: "/h", Kind: machine.Names}:                  machine.Found,
		{Path: "/h/a", Kind: machine.Owner}:                machine.Found,
	} {
		if got := notes.Answer(q); got != want {
			t.Errorf("%v: answer %v, want %v", q, got, want)
		}
		if !slices.Contains(notes.Questions, q) {
			t.Errorf("%v is not noted", q)
		}
	}
}
