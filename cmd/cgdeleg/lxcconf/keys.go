package lxcconf

import (
	"slices"
	"strings"
)

// keys are those that LXC knows as they stand (confile.c, config_jump_table), of LXC 3 to 6
// together.
var keys = strings.Fields(`
	lxc.apparmor.allow_incomplete lxc.apparmor.allow_nesting lxc.apparmor.profile lxc.apparmor.raw lxc.arch
	lxc.autodev lxc.autodev.tmpfs.size lxc.cap.drop lxc.cap.keep
	lxc.cgroup.dir lxc.cgroup.dir.container lxc.cgroup.dir.container.inner lxc.cgroup.dir.monitor
	lxc.cgroup.dir.monitor.pivot lxc.cgroup.relative
	lxc.console.buffer.logfile lxc.console.buffer.size lxc.console.logfile lxc.console.path lxc.console.rotate
	lxc.console.size lxc.environment lxc.environment.hooks lxc.environment.runtime lxc.ephemeral lxc.execute.cmd lxc.group
	lxc.hook lxc.hook.autodev lxc.hook.clone lxc.hook.destroy lxc.hook.mount lxc.hook.post-stop lxc.hook.pre-mount
	lxc.hook.pre-start lxc.hook.start lxc.hook.start-host lxc.hook.stop lxc.hook.version
	lxc.idmap lxc.include lxc.init.cmd lxc.init.cwd lxc.init.gid lxc.init.groups lxc.init.uid lxc.keyring.session
	lxc.log.file lxc.log.level lxc.log.syslog lxc.monitor.signal.pdeath lxc.monitor.unshare
	lxc.mount.auto lxc.mount.entry lxc.mount.fstab lxc.namespace.clone lxc.namespace.keep lxc.net lxc.no_new_privs
	lxc.pty.max lxc.rootfs.managed lxc.rootfs.mount lxc.rootfs.options lxc.rootfs.path lxc.sched.core
	lxc.seccomp.allow_nesting lxc.seccomp.notify.cookie lxc.seccomp.notify.proxy lxc.seccomp.profile
	lxc.selinux.context lxc.selinux.context.keyring lxc.signal.halt lxc.signal.reboot lxc.signal.stop
	lxc.start.auto lxc.start.delay lxc.start.order lxc.time.offset.boot lxc.time.offset.monotonic
	lxc.tty.dir lxc.tty.max lxc.uts.name`)

// families are what keys begin with whose rest is somebody else's name: of a cgroup's file, a
// resource, a file of /proc.
var families = []string{"lxc.cgroup.", "lxc.cgroup2.", "lxc.namespace.share.", "lxc.prlimit.", "lxc.proc.", "lxc.sysctl."}

// clearing are families' names alone, which take an empty value.
var clearing = []string{"lxc.cgroup", "lxc.cgroup2", "lxc.prlimit", "lxc.proc", "lxc.sysctl"}

// netKeys are what follows lxc.net.N.
var netKeys = strings.Fields(`
	flags hwaddr ipv4.address ipv4.gateway ipv6.address ipv6.gateway ipvlan.isolation ipvlan.mode l2proxy link
	macvlan.mode mtu name script.down script.up type veth.ipv4.route veth.ipv6.route veth.mode veth.n_rxqueues
	veth.n_txqueues veth.pair veth.vlan.id veth.vlan.tagged.id vlan.id`)

// old are the keys of before LXC 2.1 and what they are called since; "": nothing is. LXC 3
// refuses them. lxc.network. and lxc.limit. are the families of lxc.net. and lxc.prlimit.
var old = map[string]string{
	"lxc.aa_allow_incomplete": "lxc.apparmor.allow_incomplete", "lxc.aa_profile": "lxc.apparmor.profile",
	"lxc.console": "lxc.console.path", "lxc.devttydir": "lxc.tty.dir", "lxc.haltsignal": "lxc.signal.halt",
	"lxc.id_map": "lxc.idmap", "lxc.init_cmd": "lxc.init.cmd", "lxc.init_gid": "lxc.init.gid", "lxc.init_uid": "lxc.init.uid",
	"lxc.kmsg": "", "lxc.logfile": "lxc.log.file", "lxc.loglevel": "lxc.log.level", "lxc.mount": "lxc.mount.fstab",
	"lxc.pivotdir": "", "lxc.pts": "lxc.pty.max", "lxc.rebootsignal": "lxc.signal.reboot", "lxc.rootfs": "lxc.rootfs.path",
	"lxc.rootfs.backend": "", "lxc.se_context": "lxc.selinux.context", "lxc.seccomp": "lxc.seccomp.profile",
	"lxc.stopsignal": "lxc.signal.stop", "lxc.syslog": "lxc.log.syslog", "lxc.tty": "lxc.tty.max", "lxc.utsname": "lxc.uts.name",
}

// Keys that are in these lists LXC knows since version 3; those of version 7 nobody has
// listed yet.
const (
	FirstListed = 3
	LastListed  = 6
)

// IsKey tells whether a key is one of LXC 3 to 6.
func IsKey(key string) bool {
	if rest, isNet := strings.CutPrefix(key, "lxc.net."); isNet {
		number, name, _ := strings.Cut(rest, ".")
		return number != "" && strings.Trim(number, "0123456789") == "" && (name == "" || slices.Contains(netKeys, name))
	}
	hasName := func(family string) bool { return strings.HasPrefix(key, family) && key != family }
	return slices.Contains(keys, key) || slices.Contains(clearing, key) || slices.ContainsFunc(families, hasName)
}

// NewKey returns what a key of before LXC 2.1 is called since, "" if there is nothing like it
// any more. Of network devices, whose new keys have the device's number, it knows no more than
// that.
func NewKey(key string) (name string, isOld bool) {
	switch name, isOld = old[key]; {
	case isOld:
		return name, true
	case strings.HasPrefix(key, "lxc.network."):
		return "lxc.net.N." + strings.TrimPrefix(key, "lxc.network."), true
	case strings.HasPrefix(key, "lxc.limit."):
		return "lxc.prlimit." + strings.TrimPrefix(key, "lxc.limit."), true
	}
	return "", key == "lxc.network"
}

// Near returns the key that was meant by one that is none: the only one that is so near.
func Near(key string, isNear func(a, b string) bool) string {
	found := ""
	for _, k := range keys {
		if isNear(k, key) {
			if found != "" {
				return ""
			}
			found = k
		}
	}
	return found
}
