package check

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/ociconf"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/pamconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
	"github.com/cgdeleg/pam_cgdeleg/delegate/options"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
)

// Facts is what the checks know: who is looked at, what was asked for, and what
// more than one of them needs to have read.
type Facts struct {
	Machine machine.Machine
	Subject Subject
	// Config is a container's configuration; nil: none was asked about.
	Config *lxcconf.Config
	// Bundle is an OCI bundle's configuration, BundleDir the bundle's directory; nil: none
	// was asked about.
	Bundle    *ociconf.Config
	BundleDir string
	// BundleError is why the one that was asked about cannot be used: *confparse.ParseError,
	// or an error of its file's.
	BundleError error
	// ConfigError is why the one that was asked about cannot be used: *confparse.ParseError, or
	// machine.ErrNotRecorded.
	ConfigError error
	// Service is the PAM service of a login of a subject without a process; "": sshd.
	Service string
	// Nested is how many levels of containers there shall be; at least 1.
	Nested int
	// Asked are the options of cgdeleg check that say which machine and which subject these
	// are the facts of: whoever asks again asks with them.
	Asked []string
	// Probe allows to make a cgroup, to see whether it works.
	Probe bool
	// System answers what no file does.
	System System
	// Partial tells that of a recorded machine only some files are known, such as those
	// that somebody has pasted. Then nothing counts but what these alone make certain.
	Partial bool

	set       *hierarchy.Set // nil before Gather
	found     []*hierarchy.Hierarchy
	discovery error
	members   []hierarchy.Membership // where the subject's process is
	lost      error                  // why that cannot be told
	locations []location
	login     login
	plan      *plan.Plan        // what the login would get
	mounts    *hierarchy.Mounts // of a part of a machine; nil: not known
}

// System asks programs and buses of the running machine.
type System interface {
	// Version returns the version of one of Programs; "" if there is none, or it
	// does not say. That of systemd is of the one that runs this machine.
	Version(program string) string
	// Failure returns what one of Programs said that is there, and does not say its version;
	// "" if there is none, or it is not known.
	Failure(program string) string
	// IsDelegated tells whether systemd delegates the unit. Known is false if
	// systemd cannot be asked.
	IsDelegated(unit string) (delegated, known bool)
	// SearchPath returns the directories of PATH in which programs are looked for that
	// the subject starts; none where that is somebody else's.
	SearchPath() []string
	// Variable returns a variable of the subject's environment, one of Variables; "" if it
	// is not set, or not known.
	Variable(s Subject, name string) string
	// KnowsVariables tells whether the subject's environment can be read.
	KnowsVariables(s Subject) bool
	// SudoUser returns who runs this as root by sudo; "" if nobody does.
	SudoUser() string
	// UserNamespace makes a user namespace in a process that ends at once. isAsked is
	// false if the kernel cannot be asked, as of a recorded machine.
	UserNamespace() (err error, isAsked bool)
	// Probe makes a cgroup below the caller's own, moves a process in, takes it
	// out and removes the cgroup.
	Probe() error
}

// Programs are those of which a check wants to know the version.
var Programs = programsOf(clientChecks, "lxc", "systemd")

// Variables are those of the subject's environment that a check wants to know. Each names
// a file or a directory, or is a word.
var Variables = []string{
	busVariable, "CONTAINERS_CONF", "CONTAINERS_CONF_OVERRIDE", "CONTAINERS_STORAGE_CONF", "STORAGE_DRIVER", "XDG_CONFIG_HOME", "XDG_DATA_HOME", runtimeDirVariable,
}

// programsOf returns the programs and those that the checks are about.
func programsOf(checks []*Check, programs ...string) []string {
	for _, c := range checks {
		programs = append(programs, c.program)
	}
	return programs
}

// versionNumbers returns the numbers of a version, up to the first word that is
// none: 1.1.5+ds1 are 1, 1 and 5.
func versionNumbers(version string) (numbers []int) {
	for word := range strings.SplitSeq(version, ".") {
		digits := word[:len(word)-len(strings.TrimLeft(word, "0123456789"))]
		n, err := strconv.Atoi(digits)
		if err != nil {
			break
		}
		numbers = append(numbers, n)
		if digits != word {
			break
		}
	}
	return numbers
}

// Gather reads what all checks need, and keeps cgroups open for them until Close.
// Errors go into the findings of the checks that needed what could not be read.
func Gather(f *Facts) {
	if f.Nested < 1 {
		f.Nested = 1
	}
	if f.set = (&hierarchy.Set{}); !f.Partial { // of a part no cgroups were recorded
		f.discover()
	}
	f.found = f.set.All
	if f.Subject.PID != 0 {
		f.members, f.lost = f.memberships()
	}
	if f.Partial {
		f.mounts, _ = hierarchy.Seen(f.Machine, f.members)
	}
	if f.Subject.PID != 0 && f.lost == nil {
		f.locations = readLocations(f)
	}
	f.login = findLogin(f)
	if (f.login.application == "" || isSessionless(f.login.application)) && f.hasAny() {
		f.login.asked = f.delegatedNames()
	}
	f.plan = f.loginPlan()
	for i := range f.locations {
		f.locations[i].addStep(f, f.plan.Step(f.locations[i].Name))
	}
}

// discover finds the hierarchies.
func (f *Facts) discover() {
	set, err := hierarchy.Find(f.Machine)
	if f.discovery = err; err == nil {
		f.set = set
	}
}

// Close closes what Gather opened.
func (f *Facts) Close() {
	if f.set != nil {
		f.set.Close()
	}
}

// usersFiles is the machine for what is below the subject's home and what its files
// name.
func (f *Facts) usersFiles() machine.Machine { return f.Machine.As(f.Subject.Credentials()) }

// delegatedNames is what a login that has ended, or cgdeleg open, must have asked
// for.
func (f *Facts) delegatedNames() (list hierarchy.ControllerList) {
	for i := range f.locations {
		l := &f.locations[i]
		switch {
		case !l.delegated() || len(l.Controllers) == 0:
		case l.IsUnified():
			list.Names = append(list.Names, hierarchy.Unified)
		default:
			list.Names = append(list.Names, l.Controllers...)
		}
	}
	return list
}

// lacks says why a check that needs this cannot be run; "" if it can.
func (f *Facts) lacks(what needs) string {
	switch {
	case what == anybody:
		return ""
	case what == hasCgroup:
		if len(f.found) == 0 {
			return noHierarchy
		}
		return ""
	case f.IsRoot():
		return "root needs no delegation"
	case what == anOrdinaryUser && f.Subject.UID == 0:
		return "root of a user namespace maps IDs by itself"
	case (what == aProcess || what == aLogin) && f.Subject.PID == 0:
		return "there is no login to look at with --user"
	case what == aProcess && f.lost != nil:
		return "it cannot be told in which cgroups this shell is"
	case what == aProcess && len(f.found) == 0:
		return noHierarchy
	case what == aBundle && f.BundleError != nil:
		return "the configuration cannot be read: see the check bundle"
	case what == aBundle && f.Bundle == nil:
		return "no --bundle was given"
	case what == aConfig && f.ConfigError != nil:
		return "the configuration cannot be read: see the check config"
	case what == aConfig && f.Config == nil:
		return f.noConfig()
	}
	return ""
}

// noHierarchy is why there is nothing to be said of a session.
const noHierarchy = "no hierarchy is usable"

// isUnseen tells whether cgroups are mounted of which nothing more was recorded, and no
// others.
func (f *Facts) isUnseen() bool {
	if f.Partial {
		return len(f.found) == 0
	}
	unusable, _ := f.unusable()
	return len(f.found) == 0 && slices.ContainsFunc(unusable, notRecorded)
}

// isUntold tells whether it is not known which hierarchies there are.
func (f *Facts) isUntold() bool { return f.discovery != nil || f.isUnseen() }

// IsRoot tells whether the subject is the machine's root, of whom there is little
// to be said. That of a user namespace is a user like any other, outside.
func (f *Facts) IsRoot() bool {
	isKnown := !f.Partial || f.isRecorded("/proc/self/uid_map")
	return f.Subject.UID == 0 && isKnown && !f.inUserNamespace()
}

// isUnified tells whether the machine has cgroup v2 alone, to programs that start containers.
func (f *Facts) isUnified() bool {
	return f.set.IsUnified() || len(f.found) > 1 && !slices.ContainsFunc(f.found, func(h *hierarchy.Hierarchy) bool { return !h.IsUnified() && !f.isStray(h) })
}

// isStray tells whether a hierarchy of v1 is mounted elsewhere than below /sys/fs/cgroup, where
// v2 itself is mounted: LXC, runc and crun then take the machine for one with v2 alone.
func (f *Facts) isStray(h *hierarchy.Hierarchy) bool {
	v2 := f.unified()
	return v2 != nil && v2.Mount.Point == cgroupRoot && !h.IsUnified() && !strings.HasPrefix(h.Mount.Point, cgroupRoot+"/")
}

// unified returns the v2 hierarchy if it has controllers; nil if not.
func (f *Facts) unified() *hierarchy.Hierarchy {
	if h := f.set.ByName(hierarchy.Unified); h != nil && len(h.Controllers) > 0 {
		return h
	}
	return nil
}

// hasSystemd tells whether systemd runs the machine (sd_booted(3)).
func (f *Facts) hasSystemd() bool { return f.plan.Manager.Name() == manager.SystemdName }

// location is where the subject's process is in one hierarchy, as LXC would take
// it.
type location struct {
	*hierarchy.Hierarchy
	member string // of /proc/PID/cgroup
	own    string // the same below the mount point
	base   string // own, a trailing /init.scope taken off: where LXC makes cgroups
	err    error  // the cgroup cannot be reached from here
	// step is what the plan has for the hierarchy; nil if it was not asked for.
	step *plan.Step
	// denied are the files that the subject would have to write and may not;
	// none: the cgroup is delegated to it.
	denied []Evidence
}

func (l *location) path(names ...string) string {
	return path.Join(append([]string{l.Mount.Point, l.base}, names...)...)
}

// delegated tells whether the subject may make cgroups here.
func (l *location) delegated() bool { return l.err == nil && len(l.denied) == 0 }

// addStep adds what the plan has. Where a manager gives the user another cgroup than
// the login's own, that is the one for containers; which of its files are the user's
// is the manager's business.
func (l *location) addStep(f *Facts, s *plan.Step) {
	l.step = s
	if elsewhere := reasonOf[*manager.DelegatedElsewhereError](s); elsewhere != nil {
		l.base = elsewhere.Cgroup
		l.denied, l.err = deniedIn(f, l, "")
	}
}

func readLocations(f *Facts) (all []location) {
	for _, h := range f.found {
		l := location{Hierarchy: h, member: hierarchy.PathIn(f.members, h.Name)}
		l.own, l.err = l.Below(l.member)
		if l.err == nil {
			l.base = "/" + strings.Trim(strings.TrimSuffix(l.own, "/init.scope"), "/")
			l.denied, l.err = deniedIn(f, &l, l.delegateFiles(f)...)
		}
		all = append(all, l)
	}
	return all
}

// delegateFiles are what the subject has to be able to write in a cgroup: on v1 the
// directory, on v2 also each file that the kernel says to be the delegatee's (LXC's
// test_writeable_v1 and _v2 in cgfsng.c).
func (l *location) delegateFiles(f *Facts) []string {
	if l.IsUnified() {
		return append([]string{""}, cgroupfs.DelegateFiles(f.Machine)...)
	}
	return []string{""}
}

// cgroupFile says where the subject's process is; with --user, where this one
// is.
func (f *Facts) cgroupFile() string { return cmp.Or(f.Subject.Proc, "/proc/self") + "/cgroup" }

func (f *Facts) memberships() ([]hierarchy.Membership, error) {
	data, err := f.Machine.ReadFile(f.cgroupFile())
	if err != nil {
		return nil, err
	}
	return hierarchy.ParseMemberships(data)
}

// deniedIn returns which of these files of a cgroup the subject may not write; the
// name of the directory itself is "".
func deniedIn(f *Facts, l *location, names ...string) (denied []Evidence, err error) {
	for _, name := range names {
		file := l.path(name)
		st, err := f.Machine.Stat(file)
		if err != nil {
			if name != "" {
				continue // not every cgroup has every file
			}
			return nil, err
		}
		if !f.mayWrite(st) {
			denied = append(denied, Evidence{Path: file, Value: ownerAndMode(st)})
		}
	}
	return denied, nil
}

// readWords reads a file that holds words; nil if it cannot be read.
func (f *Facts) readWords(file string) []string {
	data, err := f.Machine.ReadFile(file)
	if err != nil {
		return nil
	}
	return strings.Fields(string(data))
}

// readWord reads a file that holds one word; "" if it cannot be read.
func (f *Facts) readWord(file string) string {
	data, err := f.Machine.ReadFile(file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// login is how the subject's process came to be: by which PAM service, and what
// that has of the module.
type login struct {
	service     string // of /etc/pam.d; "" if no program that calls PAM was found
	application string // the program, as /proc/PID/comm has it
	pid         int    // of the program
	// outside tells that the process was put into this PID namespace from
	// outside, by lxc-attach or docker exec.
	outside bool
	// hidden says why /proc does not show the ancestors; nil: it does.
	hidden error
	// strangers are root's programs among the ancestors that are in no list, where no
	// other was found.
	strangers []stranger
	// isWSL tells that the init of WSL is among the ancestors.
	isWSL bool
	lines []pamconf.Line // the service's session lines
	err   error          // they could not be read
	// module is the module's line; nil if there is none.
	module *pamconf.Line
	// asked is what its -c asks for.
	asked hierarchy.ControllerList
	// askedErr says what is wrong with its -c.
	askedErr error
	// ignored is what the module complains about in its log: words that it does not know.
	ignored []string
	// policy is what it says beside.
	policy plan.Policy
}

// stranger is a program that may have called PAM.
type stranger struct {
	name    string
	pid     int
	service string // a PAM service of its name; "" if there is none
}

// ordinary are root's programs that start others without a login.
var ordinary = []string{
	"init", "systemd", "openrc-run", "openrc", "runsvdir", "runsv", "s6-svscan", "s6-supervise", "supervise-daemon", "start-stop-daem", "tini", "dumb-init",
	"bash", "sh", "dash", "ash", "ksh", "zsh", "busybox", "tmux: server", "screen", "script", "getty", "agetty",
	"containerd-shim", "conmon", "dockerd", "podman", "lxc-attach", "lxc-start", "nsenter", "unshare", "env", "timeout", "setsid", "nohup", "python3", "perl", "make", "go", "strace",
}

// strangerOf returns a process as a stranger if it is root's, and neither the first one
// nor an ordinary one. A PAM service is often called as the first word of its program:
// cockpit-session asks for cockpit.
func strangerOf(f *Facts, pid int, status machine.Status) (s stranger, isOne bool) {
	if pid == 1 || status.UID != 0 || slices.Contains(ordinary, status.Name) {
		return s, false
	}
	s = stranger{name: status.Name, pid: pid}
	word, _, _ := strings.Cut(status.Name, "-")
	for _, name := range []string{status.Name, word} {
		if name != "" && pamconf.Exists(f.Machine, name) {
			s.service = name
			break
		}
	}
	return s, true
}

// applications are the programs that call PAM for a login and the services that
// they name.
var applications = map[string][]string{
	"sshd": {"sshd"}, "sshd-session": {"sshd"}, "sshd-auth": {"sshd"}, "dropbear": {"dropbear"}, "tinysshd": {"tinysshd"},
	"login": {"login", "remote"}, "su": {"su", "su-l"}, "runuser": {"runuser", "runuser-l"}, "sudo": {"sudo", "sudo-i"},
	"cron": {"cron"}, "crond": {"crond", "cron"}, "atd": {"atd"}, "doas": {"doas"},
	"lightdm": {"lightdm"}, "sddm-helper": {"sddm"}, "gdm-session-wor": {"gdm-password"}, "xdm": {"xdm"},
	"xrdp-sesman": {"xrdp-sesman"}, "machinectl": {"machinectl"}, "greetd": {"greetd"},
}

// servicesOf returns the services that a program of this name asks for; isApplication is
// false if it is in no list. Distributions build some more than once, and call the others by
// what they are built with: sshd.pam, sshd.krb5, sshd-session.pam (Alpine). Of a name the
// kernel shows the first 15 letters.
func servicesOf(name string) (services []string, isApplication bool) {
	if services, isApplication = applications[name]; isApplication {
		return services, true
	}
	base, _, isBuild := strings.Cut(name, ".")
	services, isApplication = applications[base]
	if !isBuild || !isApplication {
		return nil, false
	}
	if strings.HasPrefix(base, "sshd") { // before OpenSSH 9.8 the service was the program's name
		services = append(slices.Clone(services), name)
	}
	return services, true
}

// maxAncestors bounds the way from a process up to the first one.
const maxAncestors = 1000

// findLogin looks for the application among the subject's ancestors. With a
// user alone, it takes the service by which most people log in.
func findLogin(f *Facts) login {
	l := login{asked: hierarchy.Everything}
	if f.Subject.PID == 0 {
		l.service = cmp.Or(f.Service, "sshd")
		l.read(f)
		return l
	}
	pid := f.Subject.PID
	noted := f.notedLogin()
	for range maxAncestors {
		status, err := f.Machine.StatusOf(pid)
		if service := f.knownService(noted, pid, status); err == nil && service != "" {
			l.application, l.pid, l.service, l.strangers = status.Name, pid, service, nil
			l.read(f)
			return l
		}
		if name, isApplication := IsApplication(f.Machine, pid); isApplication {
			l.application, l.pid = name, pid
			services, _ := servicesOf(name)
			l.service = l.pickService(f, services)
			if !isSessionless(name) { // of whose service no line is run
				l.read(f)
			}
			return l
		}
		if err != nil {
			l.hidden = errHidden
			if errors.Is(err, machine.ErrNotRecorded) {
				l.hidden = err
			}
			return l
		}
		if f.isWSLInit(pid, status) {
			l.isWSL = true
		} else if s, isOne := strangerOf(f, pid, status); isOne {
			l.strangers = append(l.strangers, s)
		}
		if status.Parent <= 0 {
			l.outside = pid != 1
			return l
		}
		pid = status.Parent
	}
	return l
}

// pickService takes the second of two services where the application was asked
// for a login shell (su -, sudo -i), or login for one from elsewhere, and the machine has a
// file for that.
func (l *login) pickService(f *Facts, services []string) string {
	if len(services) < 2 || !pamconf.Exists(f.Machine, services[1]) {
		return services[0]
	}
	if services[0] == "login" {
		if f.isRemoteLogin(l.pid) {
			return services[1]
		}
		return services[0]
	}
	data, _ := f.Machine.ReadFile(fmt.Sprintf("/proc/%d/cmdline", l.pid))
	if asksLoginShell(strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")) || !pamconf.Exists(f.Machine, services[0]) {
		return services[1]
	}
	return services[0]
}

// servers start login for a user from elsewhere, and tell it the host (login -h).
var servers = []string{"tailscaled", "telnetd", "in.telnetd", "rlogind", "in.rlogind", "klogind"}

// isRemoteLogin tells whether a login(1) was told a host. util-linux's then asks for the PAM
// service remote; it shows its command line no longer ("login -- alice"), so that its parent
// has to tell.
func (f *Facts) isRemoteLogin(pid int) bool {
	if slices.ContainsFunc(f.readArgs(pid), func(arg string) bool { return strings.HasPrefix(arg, "-h") }) {
		return true
	}
	status, err := f.Machine.StatusOf(pid)
	if err != nil {
		return false
	}
	parent, err := f.Machine.StatusOf(status.Parent)
	return err == nil && parent.UID == 0 && slices.Contains(servers, parent.Name)
}

// read reads the service's stack.
func (l *login) read(f *Facts) {
	l.lines, l.err = pamconf.Session(f.Machine, l.service)
	for i := range l.lines {
		isModule := l.lines[i].Is(moduleName)
		if isModule {
			l.module = &l.lines[i]
		}
		if !isModule && (l.module != nil || !l.lines[i].Is(predecessor)) {
			continue
		}
		// without the module, what pam_cgfs makes is what is to be expected
		o, complaints, err := options.Parse(l.lines[i].Args)
		if isModule {
			l.ignored = complaints
		}
		l.asked, l.askedErr, l.policy = o.Controllers, err, o.Policy
	}
}

// ownerAndMode says whose a file is, as evidence.
func ownerAndMode(st machine.Stat) string {
	return fmt.Sprintf("owner %d:%d, mode %04o", st.UID, st.GID, st.Mode&0o7777)
}

// locationIn returns the location in the hierarchy of that name.
func (f *Facts) locationIn(name string) *location {
	for i := range f.locations {
		if f.locations[i].Name == name {
			return &f.locations[i]
		}
	}
	return nil
}

// IsApplication tells whether a process is a program that calls PAM for a
// login, and what it is called. Such a program is root's: others may have any
// name.
func IsApplication(m machine.Machine, pid int) (name string, isApplication bool) {
	status, _ := m.StatusOf(pid)
	_, isApplication = servicesOf(status.Name)
	return status.Name, isApplication && status.UID == 0
}
