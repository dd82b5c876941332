package check

import (
	"errors"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

const (
	mostUserNamespaces = "/proc/sys/user/max_user_namespaces"
	subsetPID          = "subset=pid"
)

// procOptions returns the options with which /proc is mounted (proc(5)). They are of the file
// system, which mountinfo has at the end.
func (f *Facts) procOptions() (options []string) {
	data, _ := f.Machine.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) > 6 && hierarchy.Unescape(fields[4]) == "/proc" {
			options = strings.Split(fields[len(fields)-1], ",")
		}
	}
	return options
}

// hidesSettings tells whether the mount of /proc shows processes alone, and no /proc/sys.
func (f *Facts) hidesSettings() bool { return slices.Contains(f.procOptions(), subsetPID) }

// checkSubset looks whether what forbids user namespaces can be seen here.
func (f *Facts) checkSubset() Result {
	if !f.hidesSettings() || f.Machine.Find(mostUserNamespaces) == machine.Found {
		return ok("")
	}
	r := unknown("it cannot be told whether users may make user namespaces", errors.New("/proc is mounted with "+subsetPID+", and shows no /proc/sys"))
	r.Evidence = []Evidence{{"/proc/self/mountinfo", "/proc " + subsetPID}}
	return r.fixed("run cgdeleg check where /proc is mounted without " + subsetPID + ", or have it mounted without that")
}

// checkFewNamespaces looks whether there may be a second user namespace beside the container's:
// LXC makes one for a moment, in which it gives the container its cgroups (cgfsng.c, cgfsng_chown
// by userns_exec_1). podman has one for all of a user's containers.
func (f *Facts) checkFewNamespaces() Result {
	usesLXC := f.Config != nil || f.Bundle == nil && f.System.Version("lxc") != ""
	if !usesLXC || f.readWord(mostUserNamespaces) != "1" {
		return ok("")
	}
	const name = "user.max_user_namespaces"
	const second = "LXC makes a second user namespace when it gives a container its cgroups"
	r := unknown("it cannot be told whether containers of LXC start: "+name+" is 1", errors.New(second))
	if f.isDelegated() || f.managerOfLXC() == machine.Found { // LXC ends the start where that fails (start.c, lxc_spawn)
		r = failed(name + " is 1: " + second + ", and the container does not start")
	}
	r.Evidence = []Evidence{{mostUserNamespaces, "1"}}
	return r.with(f.sysctlFix("allow more user namespaces", mostUserNamespaces, name+"=15000"), "")
}
