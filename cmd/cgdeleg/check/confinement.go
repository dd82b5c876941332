package check

import (
	"cmp"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/ociconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
)

// checkConfinement looks at what whoever started this shell has taken from it, and a container
// cannot do without: user namespaces, which a filter of system calls can forbid, and a /proc of
// its own. What both keep is said once, because both are given in one way.
func (f *Facts) checkConfinement() Result {
	var says, given []string
	var evidence []Evidence
	k := f.keeper()
	status := OK
	forbids, isKnown := f.filterForbids()
	if forbids || !isKnown {
		status = Unknown
		text := "it cannot be told whether the filter of system calls (seccomp) on this shell lets users make user namespaces"
		if isKnown {
			status, text = Failed, "a filter of system calls (seccomp) on this shell forbids user namespaces"
		}
		says = append(says, text)
		evidence = append(evidence, Evidence{f.statusFile(), "Seccomp: " + f.statusLine("Seccomp")})
		given = append(given, cmp.Or(k.filter, "a filter of system calls that lets users make user namespaces"))
	}
	if covers := f.coversOfProc(); len(covers) > 0 && f.mountsProc() {
		status = Failed
		says = append(says, "the kernel lets no user namespace mount a /proc, which containers need: every /proc here has something mounted over parts of it")
		evidence = append(evidence, Evidence{"/proc/self/mountinfo", strings.Join(first(covers), " ")})
		given = append(given, cmp.Or(k.proc, "a /proc without anything mounted over parts of it"))
	}
	if status == OK {
		return ok("")
	}
	if status == Failed && !isKnown { // what is certain comes first
		slices.Reverse(says)
		slices.Reverse(evidence)
	}
	r := Result{Status: status, Says: strings.Join(says, "; and "), Evidence: evidence}
	if !f.isContainer() {
		return r.fixed("start containers from a login; or remove from the service that started this shell what forbids this: RestrictNamespaces= and SystemCallFilter=, ProtectKernelTunables= and the like (systemd.exec(5))")
	}
	return r.fixed(k.gives(given...))
}

// statusFile is the file status of the subject's process, or of this one.
func (f *Facts) statusFile() string { return cmp.Or(f.Subject.Proc, "/proc/self") + "/status" }

// filtered is the mode of a process with filters (seccomp(2), SECCOMP_MODE_FILTER).
const filtered = "2"

// filterForbids tells whether a filter of system calls keeps the subject from making user
// namespaces. What it has nobody can read: where it is this process's as well, the kernel is
// asked. Without that, nothing is supposed of filters but those of containers whose usual one
// does it.
func (f *Facts) filterForbids() (forbids, isKnown bool) {
	if f.statusLine("Seccomp") != filtered {
		return false, true
	}
	if refuses, isAsked := f.RefusesNamespaces(); isAsked {
		return refuses, true
	}
	return false, f.Partial || !f.keeper().forbids
}

// RefusesNamespaces tells what the kernel said that was asked for a user namespace under the
// subject's filters; isAsked is false if there are none, or it was not.
func (f *Facts) RefusesNamespaces() (refuses, isAsked bool) {
	if f.statusLine("Seccomp") != filtered || !f.isFilteredAlike() {
		return false, false
	}
	err, isAsked := f.System.UserNamespace()
	return err != nil, isAsked
}

// isFilteredAlike tells whether the process that asks has as many filters as the subject's.
func (f *Facts) isFilteredAlike() bool {
	own := *f
	own.Subject.Proc = "/proc/self"
	const filters = "Seccomp_filters" // since Linux 5.9
	return own.statusLine("Seccomp") == f.statusLine("Seccomp") && own.statusLine(filters) == f.statusLine(filters)
}

// coversOfProc returns what is mounted over parts of this shell's /proc, where the kernel lets
// no user namespace mount another: it wants one that shows all, as a whole and writable, which
// may be anywhere (mount_too_revealing in fs/namespace.c). What is mounted over a directory
// that is always empty does not count. None where that is so, or not known.
func (f *Facts) coversOfProc() (covers []string) {
	data, err := f.Machine.ReadFile("/proc/self/mountinfo")
	if err != nil || f.Partial {
		return nil
	}
	isEmpty := func(point string) bool {
		return strings.HasSuffix(point, "/sys/fs/binfmt_misc") || strings.HasSuffix(point, "/fs/nfsd")
	}
	over := map[string][]string{} // by the ID of the mount below
	var whole []string            // the IDs of mounts of the whole
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line) // proc_pid_mountinfo(5)
		i := slices.Index(fields, "-")
		if i < 6 || i+1 >= len(fields) {
			continue
		}
		point := hierarchy.Unescape(fields[4])
		if !isEmpty(point) {
			over[fields[1]] = append(over[fields[1]], point)
		}
		switch isProc := fields[i+1] == "proc" && fields[3] == "/"; {
		case isProc && slices.Contains(strings.Split(fields[5], ","), "ro"):
			over[fields[0]] = append(over[fields[0]], point+" ro")
			fallthrough
		case isProc:
			whole = append(whole, fields[0])
		}
	}
	for _, id := range whole {
		if len(over[id]) == 0 {
			return nil
		}
		covers = append(covers, over[id]...)
	}
	return covers
}

// mountsProc tells whether the container that was asked about, or a usual one, has a /proc
// mounted in a PID namespace of its own.
func (f *Facts) mountsProc() bool {
	if f.Bundle != nil && !slices.ContainsFunc(f.Bundle.Mounts, func(m ociconf.Mount) bool { return m.Type == "proc" }) {
		return false
	}
	if f.Bundle == nil && f.Config == nil && f.System.Version("lxc") == "" && f.System.Version("podman") != "" {
		conf := f.podmanConf() // as that of the image quay.io/podman/stable
		isBound := slices.ContainsFunc(conf.Containers.Volumes.Strings(), func(v string) bool { return strings.HasPrefix(v, "/proc:/proc") })
		return conf.Containers.PIDNS != "host" && !isBound
	}
	return f.wantsNamespace("pid", "pid")
}
