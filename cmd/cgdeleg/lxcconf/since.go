package lxcconf

import (
	"slices"
	"strings"
)

// span says which versions of LXC have a key that came after LXC 2.0: up to before none has it,
// from since on all have. In between, or where before is nil, nobody has looked, or LXC takes
// the key for one that it begins with: its older versions compare no more than that.
type span struct {
	prefix        string
	before, since []int
}

// later are the keys that came later. What LXC 4.0.6 and 5.0.2 have was read off their
// libraries; core scheduling came with 4.0.11. What was added to LXC after the version 3.1.0
// can be in no 3.0.3 (api-extensions.md has the order), and no kernel had time namespaces before
// LXC 4.0.0.
var later = []span{
	{"lxc.sched.core", []int{4, 0, 10}, []int{4, 0, 11}},
	{"lxc.time.offset.", []int{4, 0, 6}, []int{5}},
	{"lxc.init.groups", []int{4, 0, 6}, []int{5}},
	{"lxc.cgroup.dir.", nil, []int{5}},
	{"lxc.environment.", []int{5, 0, 2}, []int{6}},
	{"lxc.seccomp.allow_nesting", []int{3, 0, 3}, []int{4}},
	{"lxc.seccomp.notify.", []int{3, 0, 3}, []int{4}},
	{"lxc.selinux.context.keyring", nil, []int{4}},
	{"lxc.keyring.session", nil, []int{4}},
	{"lxc.cgroup.relative", nil, []int{4}},
	{"lxc.rootfs.managed", nil, []int{4}},
	{"lxc.autodev.tmpfs.size", nil, []int{4}},
	{"lxc.monitor.signal.pdeath", nil, []int{4}},
	// with LXC 2.1 most keys were called otherwise
	{"lxc.idmap", []int{2, 0, 11}, []int{2, 1}},
	{"lxc.uts.name", []int{2, 0, 11}, []int{2, 1}},
	{"lxc.net.", []int{2, 0, 11}, []int{2, 1}},
	{"lxc.prlimit.", []int{2, 0, 11}, []int{2, 1}},
	{"lxc.apparmor.profile", []int{2, 0, 11}, []int{2, 1}},
	{"lxc.init.cmd", []int{2, 0, 11}, []int{2, 1}},
	{"lxc.signal.", []int{2, 0, 11}, []int{2, 1}},
	{"lxc.log.", []int{2, 0, 11}, []int{2, 1}},
}

// laterNet are those of what follows lxc.net.N.
var laterNet = []span{
	{"veth.mode", []int{3, 2, 1}, []int{4}},
	{"veth.ipv4.route", []int{3, 0, 3}, []int{4}},
	{"veth.ipv6.route", []int{3, 0, 3}, []int{4}},
	{"ipvlan.", []int{3, 0, 3}, []int{4}},
	{"l2proxy", []int{3, 0, 3}, []int{4}},
	{"veth.vlan.", []int{4, 0, 6}, []int{5}},
	{"veth.n_", []int{4, 0, 6}, []int{5}},
}

// Since tells from which version on LXC has a key, and of which version it is known that it has
// it not, nor any before that; before is nil if that is known of none. isLater is false for
// keys that are as old as LXC 2.0, or nearly.
func Since(key string) (before, since []int, isLater bool) {
	isIt := func(key string) func(span) bool {
		return func(s span) bool { return strings.HasPrefix(key, s.prefix) }
	}
	if rest, isNet := strings.CutPrefix(key, "lxc.net."); isNet {
		_, name, _ := strings.Cut(rest, ".")
		if i := slices.IndexFunc(laterNet, isIt(name)); i >= 0 {
			return laterNet[i].before, laterNet[i].since, true
		}
	}
	if i := slices.IndexFunc(later, isIt(key)); i >= 0 {
		return later[i].before, later[i].since, true
	}
	return nil, nil, false
}
