package pasted

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// kind is a file that people paste.
type kind struct {
	name string // as people call it
	path string // where a recorded machine has it; "" where that has no such file
	// names are other ones, as plainName makes them.
	names []string
	// fits tells whether a line can be one of the file's, where something says that it
	// begins here.
	fits *regexp.Regexp
	// like tells whether a line is so much like one of the file's that nothing has to say
	// it; nil: no line is.
	like *regexp.Regexp
	// key is what no two lines of the file have in common; nil: they may have anything.
	key *regexp.Regexp
	// keepsBlank tells that empty lines count, so that the numbers of the others are right.
	keepsBlank bool
	// isWholeOnly tells that a part of the file, such as grep shows, says something else
	// than all of it.
	isWholeOnly bool
	// oneLine tells that the file has one line.
	oneLine bool
}

func (k *kind) isLike(line string) bool { return k.like != nil && k.like.MatchString(line) }

var (
	threeNumbers = regexp.MustCompile(`^\s*[0-9]+\s+[0-9]+\s+[0-9]+\s*$`)
	number       = regexp.MustCompile(`^\s*[0-9]+\s*$`)
	subIDLine    = regexp.MustCompile(`^(?:[#+-].*|[^\s:][^:]{0,255}:[^:]*[0-9][^:]*(?::.*)?)$`)
	subIDLike    = regexp.MustCompile(`^[^\s:]+:[0-9]+:[0-9]+[ \t\r]*$`)
	subIDOwner   = regexp.MustCompile(`^[^:]*`)
	pamLine      = regexp.MustCompile(`^(?:\s*#.*|@include\s.*|\s*-?(?:auth|account|password|session)\s.*|\s+\S.*)$`)
)

// kinds are those files, but for PAM's. Where a line is like more than one the first counts.
var kinds = []kind{
	{
		name: "mountinfo", path: "/proc/self/mountinfo",
		fits: regexp.MustCompile(`^[0-9]+ [0-9]+ [0-9]+:[0-9]+ `),
		like: regexp.MustCompile(`^[0-9]+ [0-9]+ [0-9]+:[0-9]+ /\S* /\S* `),
		key:  regexp.MustCompile(`^[0-9]+`),
	},
	{
		name: "cgroup", path: "/proc/self/cgroup", isWholeOnly: true,
		fits: regexp.MustCompile(`^[0-9]+:[^:]*:/`),
		like: regexp.MustCompile(`^[0-9]+:[\w,=.@-]*:/`),
		key:  regexp.MustCompile(`^[0-9]+:`),
	},
	{
		name: "1-cgroup", path: "/proc/1/cgroup", names: []string{"init-cgroup", "pid1-cgroup"}, isWholeOnly: true,
		fits: regexp.MustCompile(`^[0-9]+:[^:]*:/`),
		key:  regexp.MustCompile(`^[0-9]+:`),
	},
	{
		name: "status", path: "/proc/self/status",
		fits: regexp.MustCompile(`^\w+:\s`),
		like: regexp.MustCompile(`^(?:(?:Uid|Gid):\s+[0-9]+\s+[0-9]+\s+[0-9]+\s+[0-9]+|(?:Umask|Tgid|Ngid|Pid|PPid|TracerPid|FDSize|NStgid|NSpid|NSpgid|NSsid|NoNewPrivs|Seccomp|Threads|Kthread):\s+[0-9]+(?:\s+[0-9]+)*|Groups:[\s0-9]*|Cap(?:Inh|Prm|Eff|Bnd|Amb):\s+[0-9a-f]+)\s*$`),
		key:  regexp.MustCompile(`^\w+:`),
	},
	{name: "uid_map", path: "/proc/self/uid_map", fits: threeNumbers, isWholeOnly: true},
	{name: "gid_map", path: "/proc/self/gid_map", fits: threeNumbers, isWholeOnly: true},
	{
		name: "cgroups", path: "/proc/cgroups",
		fits: regexp.MustCompile(`^(?:#.*|\w+\s+[0-9]+\s+[0-9]+\s+[01]\s*)$`),
		like: regexp.MustCompile(`^(?:#subsys_name\s.*|(?:cpuset|cpu|cpuacct|blkio|memory|devices|freezer|net_cls|perf_event|net_prio|hugetlb|pids|rdma|misc|dmem|debug)\s+[0-9]+\s+[0-9]+\s+[01]\s*)$`),
		key:  regexp.MustCompile(`^\S+`),
	},
	{
		name: "cmdline", path: "/proc/cmdline", names: []string{"kernel-cmdline"}, oneLine: true, isWholeOnly: true,
		fits: regexp.MustCompile(`\S`),
		like: regexp.MustCompile(`^(?:BOOT_IMAGE=|coherent_pool=|initrd=\S+ ).*|^(?:\S+ )*root=\S+ (?:\S+ )*(?:ro|rw)(?: |$)`),
	},
	{
		name: "cgroup.controllers", path: "/sys/fs/cgroup/cgroup.controllers", oneLine: true, isWholeOnly: true,
		fits: regexp.MustCompile(`^(?:[a-z_]+ ?)+$`),
	},
	{
		name: "config", path: "/" + ConfigPath, names: []string{"lxc-config"}, keepsBlank: true, isWholeOnly: true,
		fits: regexp.MustCompile(`^\s*(?:#.*|lxc\..*|[\w.-]+\s*=.*)$`),
		like: regexp.MustCompile(`^\s*lxc\.[\w.-]+\s*=`),
	},
	{name: "subuid", path: "/etc/subuid", fits: subIDLine, like: subIDLike, key: subIDOwner},
	{name: "subgid", path: "/etc/subgid", fits: subIDLine, key: subIDOwner},
	{
		name: "os-release", path: "/etc/os-release",
		fits: regexp.MustCompile(`^(?:#.*|[A-Z][A-Z0-9_]*=.*)$`),
		like: regexp.MustCompile(`^(?:ID|ID_LIKE|NAME|PRETTY_NAME|VERSION|VERSION_ID|VERSION_CODENAME|HOME_URL|SUPPORT_URL|BUG_REPORT_URL|PRIVACY_POLICY_URL|UBUNTU_CODENAME|LOGO|ANSI_COLOR|CPE_NAME|BUILD_ID|VARIANT|VARIANT_ID)=`),
		key:  regexp.MustCompile(`^[A-Z0-9_]+=`),
	},
	{
		name: "lxc-usernet", path: "/etc/lxc/lxc-usernet", names: []string{"usernet"},
		fits: regexp.MustCompile(`^(?:\s*#.*|\s*\S+\s+\S+\s+\S+\s+\S+.*)$`),
		like: regexp.MustCompile(`^\s*@?[\w.-]+\s+veth\s+[\w.-]+\s+[0-9]+\s*$`),
	},
	{
		name: "nsswitch.conf", path: "/etc/nsswitch.conf", names: []string{"nsswitch"}, isWholeOnly: true,
		fits: regexp.MustCompile(`^(?:\s*#.*|\s*\w+:(?:\s.*)?)$`),
	},
	{
		name: "passwd", path: "/etc/passwd",
		fits: regexp.MustCompile(`^[^\s:]+:[^:]*:[0-9]+:[0-9]+:[^:]*:[^:]*:`),
		like: regexp.MustCompile(`^[^\s:]+:[x*!]?:[0-9]+:[0-9]+:[^:]*:/[^:]*:/`),
	},
	{name: "unprivileged_userns_clone", path: "/proc/sys/kernel/unprivileged_userns_clone", oneLine: true, fits: number},
	{name: "max_user_namespaces", path: "/proc/sys/user/max_user_namespaces", oneLine: true, fits: number},
	{
		name: "versions", path: "/versions", names: []string{"version"},
		fits: versionLine, like: regexp.MustCompile(`^(?:systemd [0-9]+ \(.*\)|(?:lxc|LXC|lxc-start|podman|runc|crun|bubblewrap|bwrap)(?: version)? [0-9]+\.[0-9][\w.+~-]*)\s*$`),
	},
}

// kindCalled returns the kind of that name.
func kindCalled(name string) (k kind, isKnown bool) {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if i < 0 {
		return k, false
	}
	return kinds[i], true
}

// pamKind is the kind of a PAM service's file.
func pamKind(service string) kind {
	return kind{name: "pam.d/" + service, path: "/etc/pam.d/" + service, fits: pamLine, keepsBlank: true, isWholeOnly: true}
}

// services are the PAM files that are known by their names alone.
var services = []string{
	"common-session", "common-session-noninteractive", "common-auth", "common-account", "common-password",
	"system-auth", "system-login", "system-local-login", "system-remote-login", "password-auth", "postlogin", "base-session",
	"sshd", "login", "su", "su-l", "sudo", "sudo-i", "runuser", "cron", "crond", "atd", "lightdm", "sddm", "gdm-password", "xdm", "systemd-user",
}

var (
	ofProcess   = regexp.MustCompile(`^/proc/(self|thread-self|[0-9]+|\$\S+|<\w+>)/(mountinfo|cgroup|status|uid_map|gid_map)$`)
	ofPAM       = regexp.MustCompile(`^(?:/etc|/usr/lib)/pam\.d/([\w.-]+)$`)
	serviceName = regexp.MustCompile(`^[\w][\w.-]{0,63}$`)
	ofPlainPID  = regexp.MustCompile(`^[0-9]+-(.+)$`)
)

// kindOfPath tells which file a path of a machine names: that of a process is the pasted
// one's, unless it is the first.
func kindOfPath(file string) (k kind, isKnown bool) {
	file = strings.Trim(file, `"'`)
	if m := ofProcess.FindStringSubmatch(file); m != nil {
		if m[1] == "1" && m[2] == "cgroup" {
			return kindCalled("1-cgroup")
		}
		if m[1] == "1" {
			return k, false
		}
		return kindCalled(m[2])
	}
	if m := ofPAM.FindStringSubmatch(file); m != nil {
		return pamKind(m[1]), true
	}
	if file == "/usr/lib/os-release" {
		return kindCalled("os-release")
	}
	for _, k := range kinds {
		if k.path == file && file != "/"+ConfigPath {
			return k, true
		}
	}
	if path.Base(file) == "config" && strings.Contains(path.Dir(file), "lxc") || file == "config" {
		return kindCalled("config")
	}
	return k, false
}

// kindOfName tells which file one of a directory is, or a heading names.
func kindOfName(name string) (k kind, isKnown bool) {
	if strings.Contains(name, "/") {
		return kindOfPath(name)
	}
	plain := plainName(name)
	for _, k := range kinds {
		if plain == plainName(k.name) || slices.Contains(k.names, plain) {
			return k, true
		}
	}
	if slices.Contains(services, plain) {
		return pamKind(plain), true
	}
	if service, isPAM := strings.CutPrefix(strings.Replace(plain, "pam-d-", "pam-", 1), "pam-"); isPAM && serviceName.MatchString(service) {
		return pamKind(service), true
	}
	if m := ofPlainPID.FindStringSubmatch(plain); m != nil { // a process, by its number
		if k, isKnown := kindCalled(strings.ReplaceAll(m[1], "-", "_")); isKnown && strings.HasPrefix(k.path, "/proc/self/") {
			return k, true
		}
	}
	return k, false
}

// plainName is what is left of a file's name when what people add to it is taken off:
// proc-self-cgroup and proc_self_cgroup.txt are cgroup, /etc/pam.d/sshd and etc_pam.d_sshd
// are pam-d-sshd.
func plainName(name string) string {
	name = strings.ToLower(name)
	for _, extension := range []string{".txt", ".log", ".out", ".md"} {
		name = strings.TrimSuffix(name, extension)
	}
	name = strings.NewReplacer("_", "-", ".", "-", " ", "-").Replace(name)
	isProcess := false
	for _, prefix := range []string{"proc-", "etc-", "sys-kernel-", "sys-user-", "self-", "lxc-lxc-"} {
		rest, has := strings.CutPrefix(name, prefix)
		if !has {
			continue
		}
		isProcess = isProcess || prefix == "self-"
		name = rest
		if prefix == "lxc-lxc-" {
			name = "lxc-" + rest
		}
	}
	if isProcess && name == "cmdline" {
		return "self-cmdline" // the process's own, and not the kernel's
	}
	return name
}
