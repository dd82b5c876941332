package check

import (
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
)

// otherNamespaces are those beside a user namespace that a container usually has: as
// /proc/sys/user calls them (namespaces(7)), as LXC does, and as OCI configurations do.
var otherNamespaces = []struct{ name, lxc, oci, says string }{
	{"mnt", "mnt", "mount", "mount"},
	{"pid", "pid", "pid", "PID"},
	{"uts", "uts", "uts", "UTS"},
	{"ipc", "ipc", "ipc", "IPC"},
	{"net", "net", "network", "network"},
	{"cgroup", "cgroup", "cgroup", "cgroup"},
}

// checkOtherNamespaces looks whether the limits on namespaces forbid one that a container is
// given. One cause is said once, with all that it keeps.
func (f *Facts) checkOtherNamespaces() Result {
	var evidence []Evidence
	var kinds, limits, options []string
	isWarning := true
	var fix *Fix
	for _, n := range otherNamespaces {
		file := "/proc/sys/user/max_" + n.name + "_namespaces"
		value := f.readWord(file)
		if value != "0" || !f.wantsNamespace(n.lxc, n.oci) {
			continue
		}
		option, isOption := f.withoutNamespace(n.name)
		isWarning = isWarning && isOption
		options = append(options, option)
		evidence = append(evidence, Evidence{file, value})
		kinds = append(kinds, n.says)
		limit := "user.max_" + n.name + "_namespaces"
		limits = append(limits, limit)
		allow := f.sysctlFix("allow "+n.says+" namespaces", file, limit+"=15000")
		if fix != nil {
			allow.Text = fix.Text + "; " + allow.Text
			allow.Commands = append(fix.Commands, allow.Commands...)
		}
		fix = allow
	}
	if len(evidence) == 0 {
		return ok("")
	}
	is, need := "is", "which need one of their own"
	if len(kinds) > 1 {
		is, need = "are", "which need these"
	}
	text := Listed(limits) + " " + is + " 0, so that no " + strings.Join(kinds, " and no ") + " namespace can be made: "
	r := failed(text+"containers, "+need+", do not start", evidence...)
	if isWarning {
		r = warning(text+"podman starts containers only with "+strings.Join(options, " "), evidence...)
	}
	return r.with(fix, "")
}

// withoutNamespace returns the option by which podman leaves a kind of namespace out for one
// container; isOne is false where it has none, or others than podman may be meant.
func (f *Facts) withoutNamespace(name string) (option string, isOne bool) {
	if f.Bundle != nil || f.Config != nil || f.System.Version("lxc") != "" || f.System.Version("podman") == "" {
		return "", false
	}
	option, isOne = map[string]string{"net": "--network=host", "cgroup": "--cgroupns=host"}[name]
	return option, isOne
}

// wantsNamespace tells whether the container that was asked about has a namespace of its own
// of that kind; or a usual one has.
func (f *Facts) wantsNamespace(lxc, oci string) bool {
	switch {
	case f.Bundle != nil:
		n, isThere := f.Bundle.Namespace(oci)
		return isThere && n.Path == ""
	case f.Config != nil:
		return f.lxcMakes(lxc)
	case f.System.Version("lxc") == "" && f.System.Version("podman") != "":
		conf := f.podmanConf()
		switch oci {
		case "network":
			return conf.Containers.NetNS != "host"
		case "cgroup":
			return conf.Containers.CgroupNS != "host" && f.isUnified()
		}
	}
	return true
}

// lxcMakes tells whether LXC makes a namespace of that kind for the container.
func (f *Facts) lxcMakes(kind string) bool {
	_, isMade := f.namespaceItem(kind)
	return isMade
}

// namespaceItem returns the line of the container's configuration that says whether LXC makes a
// namespace of that kind for it; none where it would do so, or not, without any (start.c,
// resolve_clone_flags).
func (f *Facts) namespaceItem(kind string) (at lxcconf.Item, isMade bool) {
	last := func(key string) (lxcconf.Item, bool) {
		item, isSet := f.Config.Last(key)
		return item, isSet && item.Value != ""
	}
	has := func(item lxcconf.Item) bool { return slices.Contains(strings.Fields(item.Value), kind) }
	if shared, isSet := last(shareKey + kind); isSet {
		return shared, false
	}
	if kept, isSet := last(keepKey); isSet {
		return kept, !has(kept)
	}
	if made, isSet := last(cloneKey); isSet {
		return made, has(made)
	}
	if kind != "net" {
		return at, true
	}
	for _, n := range networksOf(f.Config) {
		if at = n.kind; at.Value != "none" {
			return at, true
		}
	}
	return at, at.Key == ""
}

// What of a container's configuration is about its namespaces.
const (
	shareKey = "lxc.namespace.share."
	keepKey  = "lxc.namespace.keep"
	cloneKey = "lxc.namespace.clone"
)

// checkConfigNamespaces looks whether the user may have the container's namespaces as its
// configuration says. In a user namespace of the container's own nobody may join, or mount, what
// is not owned by that one: setns(2), and in the kernel fs/sysfs/mount.c, fs/proc/root.c and
// ipc/mqueue.c. LXC 5.0.2 was seen to start nothing then.
func (f *Facts) checkConfigNamespaces() Result {
	maps, err := f.Config.IDMaps()
	user, isMade := f.namespaceItem("user")
	switch {
	case err != nil || len(maps) == 0 || f.Subject.UID == 0 || user.Key == shareKey+"user":
		return ok("")
	case !isMade:
		return failed("LXC refuses to start the container: it is told not to make a user namespace, without which "+f.Subject.Name+" may make no other", itemEvidence(user)).
			fixed(ownNamespace(user, "user"), f.editAny(user.File))
	}
	for _, n := range otherNamespaces {
		item, _ := f.namespaceItem(n.lxc)
		if item.Key != shareKey+n.lxc {
			continue
		}
		return failed("LXC refuses to start the container: in a user namespace of its own it may not join the "+n.says+" namespace of "+item.Value, itemEvidence(item)).
			fixed("share the user namespace as well, by "+shareKey+"user = "+item.Value+", or remove the line "+item.Key, f.editAny(item.File))
	}
	return f.checkConfigDeeds()
}

// checkConfigDeeds looks for what LXC does to a container in a namespace that is not the
// container's own.
func (f *Facts) checkConfigDeeds() Result {
	deeds := f.lxcDeeds()
	for _, n := range otherNamespaces {
		not, isMade := f.namespaceItem(n.lxc)
		i := slices.IndexFunc(deeds, func(d lxcDeed) bool { return d.in == n.oci })
		if isMade || i < 0 {
			continue
		}
		text := ownNamespace(not, n.lxc)
		if deeds[i].does == "mount sysfs" && deeds[i].item.Key == autoKey {
			text += "; or have LXC mount no sysfs, by the line \"" + autoKey + " =\" and after it \"" + autoKey + " = proc:mixed cgroup:mixed\", below those of lxc.include"
		}
		return failed("LXC does not start the container: it would "+deeds[i].does+", and may not, because the container has no "+n.says+" namespace of its own", itemEvidence(not), itemEvidence(deeds[i].item)).
			fixed(text, f.editAny(not.File))
	}
	return ok("")
}

// ownNamespace says how a container gets a namespace of its own, that a line takes from it.
func ownNamespace(line lxcconf.Item, kind string) string {
	switch line.Key {
	case keepKey:
		if len(strings.Fields(line.Value)) == 1 {
			return "remove the line " + keepKey
		}
		return "remove " + kind + " from " + keepKey
	case cloneKey:
		return "add " + kind + " to " + cloneKey
	}
	return "set " + line.Key + " to empty, or to veth, with a bridge"
}

const autoKey = "lxc.mount.auto"

// lxcDeed is what LXC does to a container, or does not start it, and in which namespace of the
// container's own alone it may.
type lxcDeed struct {
	does, in string // in is as OCI configurations call it
	item     lxcconf.Item
}

// lxcDeeds returns what LXC does by the container's configuration.
func (f *Facts) lxcDeeds() (all []lxcDeed) {
	mounts := func(kind string, item lxcconf.Item) {
		if in := kernelMounts[kind]; in != "" {
			all = append(all, lxcDeed{"mount " + kind, in, item})
		}
	}
	for _, item := range f.listed(autoKey) {
		for _, word := range strings.Fields(item.Value) {
			kind, _, _ := strings.Cut(word, ":")
			mounts(map[string]string{"proc": "proc", "sys": "sysfs"}[kind], item)
		}
	}
	for _, item := range f.listed("lxc.mount.entry") {
		fields := strings.Fields(item.Value)
		if len(fields) > 3 && !slices.Contains(strings.Split(fields[3], ","), "optional") {
			mounts(fields[2], item)
		}
	}
	if item := f.rootfsItem(); item.Value != "" {
		all = append(all, lxcDeed{"mount its root file system", "mount", item})
	}
	if item, _ := f.Config.Last("lxc.uts.name"); item.Value != "" {
		all = append(all, lxcDeed{"set its host name", "uts", item})
	}
	return all
}
