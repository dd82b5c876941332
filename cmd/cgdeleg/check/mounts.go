package check

import (
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
)

// mounted is a mount of any file system.
type mounted struct {
	Point   string
	Options []string // of the mount, not of the file system
	Type    string   // of the file system: "ext4"; "" if that is not known
}

// mountOf returns on which mount a file is: the last one that covers its path
// (proc_pid_mountinfo(5)). Without any it is the root's, of which nothing is known.
func (f *Facts) mountOf(file string) mounted {
	at := mounted{Point: "/"}
	data, _ := f.Machine.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 6 {
			continue
		}
		point := hierarchy.Unescape(fields[4])
		if point == "/" || file == point || strings.HasPrefix(file, point+"/") {
			at = mounted{Point: point, Options: strings.Split(fields[5], ",")}
			if i := slices.Index(fields, "-"); i >= 0 && i+1 < len(fields) {
				at.Type = fields[i+1]
			}
		}
	}
	return at
}

// coverOf returns where something else than cgroups is mounted over a hierarchy that is
// mounted in a directory below cgroupRoot; "" if nothing is.
func (f *Facts) coverOf(dir string) string {
	at := f.mountOf(dir)
	isCover := at.Type != "" && !strings.HasPrefix(at.Type, "cgroup") && (at.Point == dir || at.Point == cgroupRoot)
	if !isCover {
		return ""
	}
	return at.Point
}

// remounted takes an option from the mount of a file. In a user namespace the flags of what
// was mounted outside are locked (mount_namespaces(7)), and Docker lets nobody mount.
func (f *Facts) remounted(file, option, word string) *Fix {
	point := f.mountOf(file).Point
	if f.inUserNamespace() || f.nobodyMounts() {
		return &Fix{Text: "outside, have " + point + " of this container mounted without " + option}
	}
	return &Fix{
		Text:     "mount it without " + option + " (and in /etc/fstab, for the next boot)",
		Commands: []Command{byHand("mount", "-o", "remount,"+word, point)},
	}
}
