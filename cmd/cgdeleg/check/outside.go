package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
)

// keeper is what has started the container in which this shell is: what only it can give is
// said in its words.
type keeper struct {
	is  func(*Facts) bool
	how string // "outside, " and then this gives the container something, which stands for %s
	// The words for what it gives: a /proc over which nothing is mounted, a filter of system
	// calls that allows user namespaces, cgroups that can be written, and more IDs. Without a
	// word of its own it is said what is wanted.
	proc, filter, cgroups, ids string
	// forbids tells that its usual filter keeps users from making user namespaces.
	forbids bool
}

// keepers are those that are known, those first that have others start what they are asked
// for: Kubernetes has that done by containerd or CRI-O.
var keepers = []keeper{
	{
		is:      (*Facts).inKubernetes,
		how:     "give this container %s in the specification of its pod",
		proc:    "securityContext.procMount: Unmasked (which needs hostUsers: false)",
		filter:  "securityContext.seccompProfile.type: Unconfined",
		cgroups: "securityContext.privileged: true",
		ids:     "hostUsers: true in the specification of its pod; one with false has 65536",
		forbids: true,
	},
	{
		is:     func(f *Facts) bool { return f.Machine.Exists("/run/.containerenv") },
		how:    "start this container with %s",
		proc:   "--security-opt unmask=ALL",
		filter: "--security-opt seccomp=unconfined",
		ids:    "a larger range for its user in /etc/subuid and /etc/subgid there, or --uidmap and --gidmap",
	},
	{
		is:      (*Facts).inDocker,
		how:     "start this container with %s",
		proc:    "--security-opt systempaths=unconfined",
		filter:  "--security-opt seccomp=unconfined",
		ids:     "a larger range in /etc/subuid and /etc/subgid there for the user that dockerd takes",
		forbids: true, // without CAP_SYS_ADMIN (moby, profiles/seccomp)
	},
	{
		is:   func(f *Facts) bool { return f.Machine.Exists("/dev/incus") || f.Machine.Exists("/dev/.incus-mounts") },
		how:  "give this container %s (incus config set)",
		proc: "security.nesting=true",
		ids:  "a larger security.idmap.size (incus config set), or security.idmap.isolated=false",
	},
	{
		is:   func(f *Facts) bool { return f.Machine.Exists("/dev/lxd") || f.Machine.Exists("/dev/.lxd-mounts") },
		how:  "give this container %s (lxc config set)",
		proc: "security.nesting=true",
		ids:  "a larger security.idmap.size (lxc config set), or security.idmap.isolated=false",
	},
	{
		is:   func(f *Facts) bool { return f.containerWord() == "systemd-nspawn" },
		how:  "start this container with %s",
		proc: "SYSTEMD_NSPAWN_API_VFS_WRITABLE=yes in systemd-nspawn's environment",
		ids:  "--private-users=FIRST:NUMBER of systemd-nspawn, or PrivateUsers= in its .nspawn file, with a larger NUMBER",
	},
	{
		is:   (*Facts).inLXC,
		how:  "give this container %s",
		proc: "lxc.include = /usr/share/lxc/config/nesting.conf in its configuration, or on Proxmox VE the feature nesting=1",
		ids:  "one larger range in its lxc.idmap, and in the files there that allow it",
	},
}

// keeper returns what has started this container; one without words of its own where that
// cannot be told.
func (f *Facts) keeper() keeper {
	for _, k := range keepers {
		if k.is(f) {
			return k
		}
	}
	return keeper{how: "have this container started with %s", ids: "one larger range in its lxc.idmap, or what its manager calls that, and in the files there that allow it"}
}

// gives is how the keeper gives things, which are words of its own.
func (k keeper) gives(things ...string) string {
	return "outside, " + fmt.Sprintf(k.how, strings.Join(things, " and "))
}

// containerWord is the word for the kind of container that systemd has noted
// (sd-bus's org.freedesktop.systemd1, Virtualization); "" if it has not.
func (f *Facts) containerWord() string { return f.readWord("/run/systemd/container") }

// inKubernetes tells whether this is a pod's container: by the token that it is usually
// given, what the kubelet has mounted there, or its cgroup.
func (f *Facts) inKubernetes() bool {
	if f.Machine.Exists("/run/secrets/kubernetes.io") || f.mountsFrom("/kubelet/pods/") {
		return true
	}
	return slices.ContainsFunc(f.members, func(m hierarchy.Membership) bool { return strings.Contains(m.Path, "/kubepods") })
}

// inLXC tells whether LXC, or what works like it, has started this container.
func (f *Facts) inLXC() bool {
	return f.containerWord() == "lxc" || f.mountsFrom("lxcfs") || f.mountsFrom("/.lxc")
}

// mountsFrom tells whether a part of a file system that is mounted here has such a name
// outside.
func (f *Facts) mountsFrom(name string) bool {
	data, _ := f.Machine.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		i := slices.Index(fields, "-")
		if i > 3 && i+2 < len(fields) && (strings.Contains(fields[3], name) || fields[i+2] == name) {
			return true
		}
	}
	return false
}

// statusLine returns a line of the file status of the subject's process, or of this one where
// there is no subject's; "" if there is none.
func (f *Facts) statusLine(key string) string {
	data, _ := f.Machine.ReadFile(cmp.Or(f.Subject.Proc, "/proc/self") + "/status")
	for line := range strings.Lines(string(data)) {
		if value, isIt := strings.CutPrefix(line, key+":"); isIt {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// nobodyMounts tells whether not even root may mount anything in here: whoever started this
// container has taken CAP_SYS_ADMIN from all of its processes.
func (f *Facts) nobodyMounts() bool {
	var bounding uint64
	_, err := fmt.Sscanf(f.statusLine("CapBnd"), "%x", &bounding)
	isTaken := err == nil && bounding&(1<<unix.CAP_SYS_ADMIN) == 0
	return f.inDocker() || f.inKubernetes() || isTaken && f.isContainer()
}

// cgroupsOutside is how this container gets cgroups that can be written.
func (f *Facts) cgroupsOutside() string {
	switch k := f.keeper(); {
	case k.cgroups != "":
		return k.gives(k.cgroups) + ": in here nobody may mount them"
	case f.inDocker():
		return dockerText
	default:
		return k.gives("a /sys/fs/cgroup that can be written") + ": in here nobody may mount it"
	}
}
