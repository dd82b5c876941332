// Package oracle holds parsers of package delegate against those of others.
package oracle

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
	"pgregory.net/rapid"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// mangled is a path as the kernel writes it (seq_path_root and seq_dentry, " \t\n\\").
func mangled(path string) string {
	return strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`).Replace(path)
}

func paths(t *rapid.T, what string) string {
	part := rapid.StringOfN(rapid.RuneFrom([]rune("ab.-0 \\\t\n#,=:é☃")), 1, 8, 24)
	parts := rapid.SliceOfN(part, 0, 4).Draw(t, what)
	return "/" + strings.Join(parts, "/")
}

// lines generates a mountinfo in which each v1 hierarchy has a name of its own, and is mounted
// once. Beside them are other file systems, with options and sources that look like cgroups',
// but for " - ", of which moby takes the last one in a line for the separator.
func lines(t *rapid.T) (text string, names []string) {
	var all []string
	for i := range rapid.IntRange(0, 8).Draw(t, "mounts") {
		options := rapid.SampledFrom([]string{"rw", "ro", "rw,relatime", "ro,nosuid", "rw,rootcontext"}).Draw(t, "options")
		super := rapid.SampledFrom([]string{"rw", "ro", "rw,xattr,release_agent=/lib/a\\040b", "rw,clone_children"}).Draw(t, "super options")
		optional := rapid.SampledFrom([]string{"", "shared:1 ", "shared:12 master:3 ", "propagate_from:2 unbindable "}).Draw(t, "optional fields")
		kind := rapid.SampledFrom([]string{"cgroup", "cgroup", "cgroup", "ext4", "fuse.x", "tmpfs", "cgroupx"}).Draw(t, "type")
		source := rapid.SampledFrom([]string{"cgroup", "none", "-", "/dev/a\\040b"}).Draw(t, "source")
		root, point := paths(t, "root"), paths(t, "point")
		if kind != "cgroup" && rapid.Bool().Draw(t, "odd") {
			super += rapid.SampledFrom([]string{",name=h0", ",x=a b c", ",- cgroup name=h1"}).Draw(t, "odd options")
		}
		if kind == "cgroup" {
			name := fmt.Sprintf("name=h%d", i)
			names, super = append(names, name), super+","+name
			point = fmt.Sprintf("/m%d%s", i, point) // what is mounted later covers none of them
		}
		all = append(all, fmt.Sprintf("%d %d 0:%d %s %s %s %s- %s %s %s", i+20, 1, i+30, mangled(root), mangled(point), options, optional, kind, source, super))
	}
	all = rapid.Permutation(all).Draw(t, "order")
	return strings.Join(append(all, ""), "\n"), names
}

// What mountinfo says of each hierarchy is what moby/sys/mountinfo reads there.
func TestMountinfo(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "proc/self"), 0o755); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		text, names := lines(rt)
		if err := os.WriteFile(filepath.Join(dir, "proc/self/mountinfo"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		theirs, err := mountinfo.GetMountsFromReader(strings.NewReader(text), nil)
		if err != nil {
			rt.Fatalf("moby: %v", err)
		}
		var members []hierarchy.Membership
		for _, name := range names {
			members = append(members, hierarchy.Membership{Hierarchy: name, Path: "/"})
		}
		ours, err := hierarchy.Seen(machine.Recorded(dir), members)
		if err != nil {
			rt.Fatal(err)
		}
		want := map[string]hierarchy.Mounted{}
		hasRoot := false
		for _, m := range theirs {
			hasRoot = hasRoot || m.Mountpoint == "/"
			options := strings.Split(m.VFSOptions, ",")
			if m.FSType != "cgroup" {
				continue
			}
			name := options[len(options)-1]
			want[name] = hierarchy.Mounted{
				Name: name, Point: m.Mountpoint, ReadOnly: slices.Contains(options, "ro") || slices.Contains(strings.Split(m.Options, ","), "ro"),
				Stale: slices.Contains(strings.Split(m.Root, "/"), ".."),
			}
		}
		if len(ours.All) != len(want) || ours.HasAny != (len(want) > 0) || ours.IsWhole != hasRoot {
			rt.Errorf("%d hierarchies, any %v, whole %v; moby has %d, the root %v", len(ours.All), ours.HasAny, ours.IsWhole, len(want), hasRoot)
		}
		for _, got := range ours.All {
			if got != want[got.Name] {
				rt.Errorf("%+v, and moby has %+v", got, want[got.Name])
			}
		}
	})
}

// Any text is undone in the same way, where moby takes it; the kernel escapes no byte beyond
// \177, and moby undoes no such.
func TestUnescape(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		path := "/" + rapid.StringOf(rapid.RuneFrom([]rune(`\0134729 ab`))).Draw(rt, "path")
		field := strings.ReplaceAll(path, " ", `\040`)
		if regexp.MustCompile(`\\[2-7][0-7][0-7]`).MatchString(field) {
			return
		}
		theirs, err := mountinfo.GetMountsFromReader(strings.NewReader("20 1 0:30 / "+field+" rw - cgroup cgroup rw\n"), nil)
		if err != nil || len(theirs) != 1 {
			return
		}
		if got := hierarchy.Unescape(field); got != theirs[0].Mountpoint {
			rt.Errorf("%q is %q, and to moby %q", field, got, theirs[0].Mountpoint)
		}
	})
}
