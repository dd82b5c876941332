package layout

import (
	"fmt"
	"slices"
	"strings"
)

// UserNameError says why no cgroup can be named after a user.
type UserNameError struct {
	Name   string
	Reason string
}

func (e *UserNameError) Error() string { return fmt.Sprintf("user name %.300q: %s", e.Name, e.Reason) }

// maxName is NAME_MAX of the kernel's file systems, in bytes.
const maxName = 255

// controllerNames are what the kernel puts in front of a dot in the names of
// its cgroup files (include/linux/cgroup_subsys.h, with blkio's v2 name).
var controllerNames = []string{
	"blkio", "cgroup", "cpu", "cpuacct", "cpuset", "debug", "devices", "dmem", "freezer", "hugetlb",
	"io", "irq", "memory", "misc", "net_cls", "net_prio", "perf_event", "pids", "rdma",
}

// DirName returns the name of the directory that holds the sessions of the
// user called name. Names that the kernel or systemd could take for a cgroup
// file get a leading underscore, by the rules of systemd's cg_escape. Names
// that are no file names, or that could not stand on one line of
// /proc/PID/cgroup, are a *UserNameError.
func DirName(name string) (string, error) {
	refuse := func(reason string) (string, error) { return "", &UserNameError{Name: name, Reason: reason} }
	switch {
	case name == "":
		return refuse("empty")
	case name == "." || name == "..":
		return refuse("means a directory")
	case strings.Contains(name, "/"):
		return refuse("has a slash")
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return refuse("has a control character")
	}
	dir := name
	if needsEscape(name) {
		dir = "_" + name
	}
	if len(dir) > maxName {
		return refuse(fmt.Sprintf("longer than %d bytes", maxName))
	}
	return dir, nil
}

// IsDirName tells whether DirName makes that of some user's name.
func IsDirName(dir string) bool {
	made, err := DirName(UserName(dir))
	return err == nil && made == dir
}

// UserName undoes DirName. A directory that DirName would not make is returned
// as it is.
func UserName(dir string) string {
	if name, escaped := strings.CutPrefix(dir, "_"); escaped && name != "" && needsEscape(name) {
		return name
	}
	return dir
}

func needsEscape(name string) bool {
	if name[0] == '_' || name[0] == '.' {
		return true
	}
	if slices.Contains([]string{"notify_on_release", "release_agent", "tasks"}, name) {
		return true
	}
	prefix, _, dotted := strings.Cut(name, ".")
	return dotted && slices.Contains(controllerNames, prefix)
}
