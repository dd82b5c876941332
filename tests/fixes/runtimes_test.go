package fixes

import (
	"fmt"
	"strings"
)

// Why a kind of a bundle, or of podman, is not tried here.
const (
	v2Alone = "it takes a machine with cgroup v2 alone"
	pasted  = "over pasted files there is no machine to fix, which is why it has no command"
)

// bundled is a bundle of runc's at home, as the user makes one.
const bundled = `
mkdir -p $home/b/rootfs/bin; cp /bin/busybox $home/b/rootfs/bin; chown -R $uid:$uid $home/b
as_user runc spec --rootless --bundle $home/b
json '.process.terminal = false | .process.args = ["/bin/busybox", "true"]' $home/b/config.json
`

// starts is what a bundle is for.
const starts = `cd ~/b && runc --root ~/runc run c1 </dev/null && cd`

// ofBundle returns the kind of a fix of a bundle's configuration: a filter of jq breaks it,
// and another is what a person does in the editor, as the text says.
func ofBundle(name, site, check, text, breaks, mends string) kind {
	return kind{
		name: name, sites: []string{site}, check: check, text: text,
		args:   "--bundle ~/b",
		before: bundled + "json '" + breaks + "' $home/b/config.json",
		edit:   "json '" + mends + "' \"$1\"",
		works:  starts,
	}
}

const ownMap = `[{containerID: 0, hostID: $uid, size: 1}]`

var bundleKinds = []kind{
	ofBundle("bundle without a root", `checkBundle: "add \"root\""`, "bundle", `add "root"`,
		`del(.root)`, `.root = {path: "rootfs"}`),
	ofBundle("bundle without a process", `checkBundle: "add \"process\""`, "bundle", `add "process"`,
		`del(.process)`, `.process = {cwd: "/", user: {uid: 0, gid: 0}, args: ["/bin/busybox", "true"]}`),
	{
		name: "bundle without a configuration", sites: []string{"noBundle: make a config.json in"},
		check: "bundle", text: "make a config.json in ",
		args:   "--bundle ~/b",
		before: bundled + `rm $home/b/config.json`,
	},
	ofBundle("configuration that is no JSON", "configResult: correct line %d of %s", "bundle", "correct line ",
		`.root.path = 3`, `.root.path = "rootfs"`),
	{
		name: "configuration that the user may not read", sites: []string{"configResult: and go through the directories above it"},
		check: "bundle", text: "let cgfixes read ",
		args:   "--bundle ~/b",
		before: bundled + `chown 0:0 $home/b/config.json; chmod 600 $home/b/config.json`,
		person: `chmod 644 $home/b/config.json`,
		works:  starts,
	},
	ofBundle("bundle without a user namespace", "checkBundleUserns: uidMappings and gidMappings; runc spec", "bundle-userns", `add {"type": "user"}`,
		`.linux.namespaces |= map(select(.type != "user")) | del(.linux.uidMappings)`, `.linux.namespaces += [{type: "user"}] | .linux.uidMappings = `+ownMap),
	ofBundle("bundle without a map", "bundleMaps: map the container's root to the user's own ID", "bundle-userns", `"uidMappings": [{"containerID": 0, "hostID": 26001, "size": 1}]`,
		`del(.linux.uidMappings)`, `.linux.uidMappings = `+ownMap),
	ofBundle("map of more lines than the kernel takes", "bundleMaps: write fewer and longer ranges", "bundle-userns", "write fewer and longer ranges",
		`.linux.uidMappings += [range(340) | {containerID: (1 + 2 * .), hostID: ($ids + 2 * .), size: 1}]`,
		`.linux.uidMappings = `+ownMap+` + [{containerID: 1, hostID: $ids, size: 680}]`),
	ofBundle("map without the container's root", "checkContainerRoot: \"map the container's root to the user's own ID: ", "bundle-userns", "map the container's root to the user's own ID",
		`.linux.uidMappings = [{containerID: 5, hostID: $uid, size: 1}]`, `.linux.uidMappings = `+ownMap),
	ofBundle("map of the container's root to another", "checkContainerRoot: and the IDs after it to the user's range", "bundle-userns", "map the container's root to the user",
		`.linux.uidMappings = [{containerID: 0, hostID: $ids, size: 65536}]`, `.linux.uidMappings = `+ownMap+` + [{containerID: 1, hostID: $ids, size: 65535}]`),
	ofBundle("map of others' IDs", "checkIDMaps: these IDs may be those of other users", "bundle-userns",
		`"uidMappings": [{"containerID": 0, "hostID": 26001, "size": 1}, {"containerID": 1, "hostID": `,
		`.linux.uidMappings = [{containerID: 0, hostID: 7, size: 5}]`, `.linux.uidMappings = `+ownMap+` + [{containerID: 1, hostID: $ids, size: 65536}]`),
	ofBundle("additional groups in a bundle", "checkProcessUser: remove process.user.additionalGids", "bundle-userns", "remove process.user.additionalGids",
		`.process.user.additionalGids = [0]`, `del(.process.user.additionalGids)`),
	ofBundle("process of an ID that is not mapped", "unmappedUser: write an ID that is in the maps", "bundle-userns", "write an ID that is in the maps",
		`.process.user.uid = 7`, `.process.user.uid = 0`),
	ofBundle("process of an ID that is to be mapped", "unmappedUser: or map more of the user's subordinate IDs", "bundle-userns", "or map more of the user's subordinate IDs",
		`.process.user.uid = 7`, `.linux.uidMappings += [{containerID: 1, hostID: $ids, size: 7}]`),
	ofBundle("mount of an ID that is not mapped", "checkMountIDs: remove the option", "bundle-userns", "remove the option gid=5",
		`(.mounts[] | select(.type == "devpts").options) += ["gid=5"]`, `(.mounts[] | select(.type == "devpts").options) -= ["gid=5"]`),
	ofBundle("namespace by its path", `checkJoined: remove \"path\" from the namespace`, "bundle-userns", `remove "path" from the namespace "uts"`,
		`(.linux.namespaces[] | select(.type == "uts")) += {path: "/proc/self/ns/uts"}`, `(.linux.namespaces[] | select(.type == "uts")) |= {type: "uts"}`),
	ofBundle("proc without a PID namespace", "checkKernelMounts: text f.editBundle()", "bundle-userns", `add {"type": "pid"} to linux.namespaces`,
		`.linux.namespaces |= map(select(.type != "pid"))`, `.linux.namespaces += [{type: "pid"}]`),
	ofBundle("sysfs without a network namespace", "checkKernelMounts: text f.editBundle()", "bundle-userns", "or bind-mount the machine's /sys, as runc spec --rootless does",
		`(.mounts[] | select(.destination == "/sys")) |= {destination: "/sys", type: "sysfs", source: "sysfs"}`,
		`(.mounts[] | select(.destination == "/sys")) |= {destination: "/sys", type: "none", source: "/sys", options: ["rbind", "nosuid", "noexec", "nodev", "ro"]}`),
	{
		name: "crun beside cgroup v1", sites: []string{"checkBundleCgroup: install runc"},
		check: "bundle-cgroup", text: "install runc",
		args:   "--bundle ~/b",
		before: bundled + `mkdir $dir/kept; mv $(which runc) $dir/kept`,
		person: `mv $dir/kept/runc /usr/sbin`,
		works:  starts,
	},
	{
		name: "crun that makes no cgroup by itself", sites: []string{"withoutCgroupsPath: \"add \" + cgroupsPath(session)", "withoutCgroupsPath: use runc"},
		cannot: v2Alone + ", and an older crun",
	},
	{
		name: "cgroupsPath outside of a v2 session", sites: []string{"cgroupsPathV2: f.betterPath(l)", "cgroupsPathV2: f.betterPath(l)"},
		cannot: v2Alone,
	},
	ofBundle("cgroupsPath outside of the sessions", "cgroupsPathV1: text f.editBundle()", "bundle-cgroup", "remove linux.cgroupsPath",
		`.linux.cgroupsPath = "/c1"`, `del(.linux.cgroupsPath)`),
	ofBundle("limits under unified on cgroup v1", "checkBundleLimits: write these limits under memory, cpu and pids", "bundle-limits", "write these limits under memory",
		`.linux.resources = {unified: {"memory.max": "1000000000"}}`, `.linux.resources = {memory: {limit: 1000000000}}`),
	{
		name: "limits of cgroup v2", sites: []string{"checkBundleLimits: write CONTROLLER.FILE", "checkBundleLimits: remove these limits"},
		cannot: v2Alone,
	},
	ofBundle("limit above the shell's own", "checkHardLimit: write at most the shell's hard limit", "bundle-limits", "write at most the shell's hard limit",
		`.process.rlimits = [{type: "RLIMIT_NOFILE", hard: 1000000000, soft: 1024}]`, `.process.rlimits[0].hard = 1024`),
	ofBundle("no root file system of a bundle", "checkBundleRootfs: or correct root.path", "bundle-rootfs", "or correct root.path",
		`.root.path = "nosuch"`, `.root.path = "rootfs"`),
	{
		name: "way to a bundle's root file system closed", sites: []string{"checkBundleRootfs: open the directories above"},
		check: "bundle-rootfs", text: "open the directories above ",
		args:   "--bundle ~/b",
		before: bundled + `mkdir $home/closed; mv $home/b/rootfs $home/closed; chmod 700 $home/closed; sed -i 's,"rootfs","../closed/rootfs",' $home/b/config.json`,
		person: `chmod 711 $home/closed`,
		works:  starts,
	},
	{
		name: "root file system of a bundle on a mount with noexec", sites: []string{"checkBundleRootfs: f.remounted"},
		check: "bundle-rootfs", text: "mount it without noexec",
		args:   "--bundle ~/b",
		before: bundled + `mount --bind $home/b/rootfs $home/b/rootfs; mount -o remount,bind,noexec $home/b/rootfs`,
		works:  starts,
	},
	{
		name: "root file system of a bundle that is closed", sites: []string{"checkRootfsOwner: unpack the root file system as \" + f.Subject.Name$"},
		check: "bundle-rootfs", text: "unpack the root file system as cgfixes",
		args:   "--bundle ~/b",
		before: bundled + `chown 0:0 $home/b/rootfs; chmod 700 $home/b/rootfs`,
		person: unpacked,
		works:  starts,
	},
	{
		name: "root file system of a bundle that is root's", sites: []string{"checkRootfsOwner: or write \\\"readonly\\\": true"},
		check: "bundle-rootfs", text: `or write "readonly": true below "root"`,
		args:   "--bundle ~/b",
		before: bundled + `chown -R 0:0 $home/b/rootfs; sed -i 's/"readonly": true/"readonly": false/' $home/b/config.json`,
		person: unpacked,
		works:  starts,
	},
}

// unpacked is the user's root file system in the place of another's.
const unpacked = `rm -r $home/b/rootfs; as_user mkdir -p $home/b/rootfs/bin; as_user cp /bin/busybox $home/b/rootfs/bin`

// ofPodman returns the kind of a fix of a file of podman's configuration: what is in the
// file, and the expression of sed that a person's edit is.
func ofPodman(name, site, check, text, file, lines, edit string) kind {
	return kind{
		name: name, sites: []string{site}, check: check, text: text,
		before: podmans(file, lines),
		edit:   `[ -f "$1" ] || exit 1; sed -i '` + edit + `' "$1"`,
	}
}

// podmans writes a file of the user's configuration of podman.
func podmans(file, lines string) string {
	return fmt.Sprintf("mkdir -p $home/.config/containers; printf '%%s\\n' '%s' >$home/.config/containers/%s; own\n", strings.ReplaceAll(lines, "\n", "' '"), file)
}

// newerPodman is one of which check reads only the version.
const newerPodman = `printf '%s\n' '#!/bin/sh' 'echo podman version 4.9.3' >$dir/bin/podman; chmod 755 $dir/bin/podman; `

// withoutLXC has podman alone: beside LXC what podman lacks by default is only told in a note.
// Its default runtime, crun, starts nothing here.
const (
	onlyPodman = `rm /usr/bin/lxc-start; `
	withoutLXC = onlyPodman + `mkdir -p /etc/containers; printf '%s\n' '[engine]' 'runtime = "runc"' >/etc/containers/containers.conf; `
)

// installs has apt look only whether there is a package, and then its program is there.
func installs(program string) string {
	return fmt.Sprintf(`printf '%%s\n' '#!/bin/sh' '[ "$1" = install ] && shift && apt-get -s install "$@" && cp /bin/true $dir/bin/%s' >$dir/bin/apt; chmod 755 $dir/bin/apt; `, program)
}

const conf, store = "containers.conf", "storage.conf"

var podmanKinds = []kind{
	ofPodman("containers.conf that is no TOML", "configResult: correct line %d of %s", "podman-config", "correct line ",
		conf, "[engine", `s/engine/&]/`),
	{
		name: "containers.conf of a variable that is not there", sites: []string{"configResult: make the file"},
		cannot: "logins here have no variables of podman's",
	},
	ofPodman("append in an array", "checkPodmanConfig: write the whole array without {append", "podman-config", "write the whole array without {append = true}",
		conf, "[containers]\ndefault_ulimits = [\"nofile=100:100\", {append = true}]", `s/, {append = true}//`),
	ofPodman("runtime that is not there", "checkRuntime: f.takeRuntime()", "podman-runtime", `or write runtime = "runc", which is there`,
		conf, "[engine]\nruntime = \"nosuch\"", `s/nosuch/runc/`),
	ofPodman("crun as podman's runtime", "checkRuntime: f.takeRunc()", "podman-runtime", `write runtime = "runc"`,
		conf, "[engine]\nruntime = \"crun\"", `s/crun/runc/`),
	{
		name: "crun by default", sites: []string{"checkDefaultRuntime: f.nameRuntime(\"runc\")"},
		check: "podman-runtime", text: "have podman take runc",
		before: onlyPodman + tun + `cp /bin/true $dir/bin/slirp4netns`,
		holds:  `as_user env HOME=$home podman info --format '{{.Host.OCIRuntime.Name}}' | grep -q runc`,
	},
	{
		name: "fewer IDs than images have", sites: []string{"fewForPodman: f.newRangeFix(both, oneContainer)"},
		check: "subid", text: "give cgfixes a free range of subordinate IDs",
		before: onlyPodman + tun + `cp /bin/true $dir/bin/slirp4netns; sed -i s/^cgfixes:.*/cgfixes:100000:1000/ /etc/subuid /etc/subgid`,
		stays:  []string{"podman-runtime"},
	},
	{
		name: "no IDs in a line", sites: []string{"withoutEmpty: remove + "},
		check: "subid", text: "remove the lines that give no IDs, and give cgfixes a free range",
		before: onlyPodman + tun + `cp /bin/true $dir/bin/slirp4netns; sed -i s/^cgfixes:.*/cgfixes:100000:0/ /etc/subuid /etc/subgid`,
		stays:  []string{"podman-runtime"},
	},
	{
		name: "no IDs in a line beside others", sites: []string{"emptyResult: f.withoutEmpty", "withoutEmpty: Text: remove Commands: drops"},
		check: "subid", text: "remove the lines that give no IDs",
		before: onlyPodman + tun + `cp /bin/true $dir/bin/slirp4netns; echo cgfixes:100000:0 >>/etc/subuid`,
		stays:  []string{"podman-runtime"},
	},
	{
		name: "somebody's line of four fields", sites: []string{"unparsedResult: correct these lines"},
		check: "subid", text: "correct these lines, also those of others",
		before: onlyPodman + tun + `cp /bin/true $dir/bin/slirp4netns; echo other:100000:1:x >>/etc/subuid`,
		edit:   `sed -i s/:x$// "$@"`,
		stays:  []string{"podman-runtime"},
	},
	{
		name: "no runtime", sites: []string{"checkDefaultRuntime: \"install runc\""},
		check: "podman-runtime", text: "install runc",
		before: onlyPodman + tun + `cp /bin/true $dir/bin/slirp4netns; cp /usr/sbin/runc $dir/runc; rm -f /usr/bin/crun /usr/sbin/runc /usr/bin/runc; printf '%s\n' '#!/bin/sh' "cp $dir/runc /usr/bin" >$dir/bin/apt; chmod 755 $dir/bin/apt; `,
	},
	{
		name: "no conmon", sites: []string{"checkConmon: \"install conmon\""},
		check: "podman-runtime", text: "install conmon",
		before: withoutLXC + tun + installs("conmon") + `rm -f /usr/bin/conmon; cp /bin/true $dir/bin/slirp4netns; `,
	},
	{
		name: "no conmon, and a path", sites: []string{"checkConmon: install conmon, or correct conmon_path"},
		check: "podman-runtime", text: "install conmon, or correct conmon_path",
		before: withoutLXC + tun + podmans(conf, "[engine]\nconmon_path = [\"/opt/nosuch\"]") + installs("conmon") + `rm -f /usr/bin/conmon; cp /bin/true $dir/bin/slirp4netns; `,
		edit:   `sed -i /conmon_path/d "$@"`,
	},
	{
		name: "conmon elsewhere than conmon_path says", sites: []string{"checkConmon: into conmon_path in"},
		check: "podman-runtime", text: "write /usr/libexec/podman/conmon into conmon_path in",
		before: withoutLXC + tun + podmans(conf, "[engine]\nconmon_path = [\"/opt/nosuch\"]") + `mkdir -p /usr/libexec/podman; mv /usr/bin/conmon /usr/libexec/podman; cp /bin/true $dir/bin/slirp4netns; `,
		edit:   `sed -i s,/opt/nosuch,/usr/libexec/podman/conmon, "$@"`,
		holds:  `as_user env HOME=$home podman info >/dev/null`,
	},
	ofPodman("network backend, misspelt", "checkBackend: write f.setting", "podman-network", `write network_backend = "netavark"`,
		conf, "[network]\nnetwork_backend = \"cno\"", `/network_backend/d`),
	{
		name: "CNI for podman 5", sites: []string{"checkBackend: those made with CNI are not among them"},
		cannot: "it takes podman 5",
	},
	{
		name: "netavark elsewhere than helper_binaries_dir says", sites: []string{"withoutHelperDirs: \" to helper_binaries_dir in \""},
		check: "podman-network", text: "add /usr/lib/podman to helper_binaries_dir in",
		before: withoutLXC + network + podmans(conf, "[network]\nnetwork_backend = \"netavark\"\n[engine]\nhelper_binaries_dir = [\"/opt/nosuch\"]") + `mkdir -p /usr/lib/podman; cp /bin/true /usr/lib/podman/netavark`,
		edit:   `sed -i 's,"/opt/nosuch",& \, "/usr/lib/podman",' "$@"`,
	},
	{
		name: "no netavark, which helper_binaries_dir has elsewhere", sites: []string{"withoutHelperDirs: and remove the line helper_binaries_dir from"},
		check: "podman-network", text: "install netavark, and remove the line helper_binaries_dir from",
		before: withoutLXC + network + podmans(conf, "[network]\nnetwork_backend = \"netavark\"\n[engine]\nhelper_binaries_dir = [\"/opt/nosuch\"]") +
			`rm -f /usr/lib/podman/netavark /usr/libexec/podman/netavark; printf '%s\n' '#!/bin/sh' 'mkdir -p /usr/lib/podman; cp /bin/true /usr/lib/podman/netavark' >$dir/bin/apt; chmod 755 $dir/bin/apt`,
		edit: `sed -i /helper_binaries_dir/d "$@"`,
	},
	{
		name: "podman that asks a user manager without a bus", sites: []string{"checkDefaultManager: text + after"},
		cannot: noSystemd,
	},
	{
		name: "no netavark", sites: []string{"checkNetavark: \"install netavark\"", "checkNetavark: add the directory that has netavark to helper_binaries_dir"},
		cannot: "podman 4 takes CNI in its place",
	},
	ofPodman("no cgroups by runc", `checkNoCgroups: write cgroups = \"enabled\"`, "podman-runtime", `write cgroups = "enabled"`,
		conf, "[containers]\ncgroups = \"disabled\"\n[engine]\nruntime = \"runc\"", `s/disabled/enabled/`),
	{
		name: "no cgroups by crun, where they are read-only", sites: []string{"checkNoCgroups: f.cgroupsOutside()"},
		cannot: "it takes another container, which is started with other options",
	},
	ofPodman("no cgroups by crun", `checkNoCgroups: write cgroups = \"enabled\"`, "podman-runtime", `write cgroups = "enabled"`,
		conf, "[containers]\ncgroups = \"disabled\"", `s/disabled/enabled/`),
	ofPodman("split cgroups of v1", `checkNoCgroups: write cgroups = \"enabled\"`, "podman-runtime", `write cgroups = "enabled"`,
		conf, "[containers]\ncgroups = \"split\"", `s/split/enabled/`),
	ofPodman("cgroups, misspelt", `checkNoCgroups: write cgroups = \"enabled\"`, "podman-runtime", `write cgroups = "enabled"`,
		conf, "[containers]\ncgroups = \"on\"", `s/"on"/"enabled"/`),
	{
		name: "manager of podman's cgroups", sites: []string{
			`checkPodmanCgroups: write cgroup_manager = \"cgroupfs\" or \"systemd\"`, "checkPodmanCgroups: keep systemd's user manager running",
			`checkPodmanCgroups: "write cgroup_manager = \"cgroupfs\"" f.setting`, "checkOwnCgroups: so that podman asks systemd's user manager",
		},
		cannot: v2Alone,
	},
	{
		name: "pids_limit without pids", sites: []string{"checkPIDsLimit: this session lacks the controller pids", "takingBack: remove the line"},
		check: "podman-limits", text: "remove the line pids_limit; this session lacks the controller pids",
		before: podmans(conf, "[containers]\npids_limit = 100") + `sed -i 's/pam_cgdeleg.so/& -c freezer,memory/' $su`,
		edit:   `sed -i /pids_limit/d "$@"`,
	},
	{
		name: "pids_limit of root's file", sites: []string{"checkPIDsLimit: and set the limit with cgdeleg run", "takingBack: which podman reads after"},
		check: "podman-limits", text: "write pids_limit = 0 under [containers] in ",
		before: `mkdir -p /etc/containers; printf '%s\n' '[containers]' 'pids_limit = 100' >/etc/containers/containers.conf`,
		holds:  `grep -x 'pids_limit = 0' $home/.config/containers/containers.conf`,
	},
	{
		name: "pids_limit on cgroup v1", sites: []string{"checkPIDsLimit: and set the limit with cgdeleg run"},
		check: "podman-limits", text: "cgdeleg run -p pids.max=100 -- ",
		before: podmans(conf, "[containers]\npids_limit = 100"),
		edit:   `sed -i /pids_limit/d "$@"`,
		works:  `test "$(cgdeleg run -p pids.max=100 -- sh -c 'cat /sys/fs/cgroup/pids$(sed -n s/.*:pids://p /proc/self/cgroup)/pids.max')" = 100`,
	},
	{
		name: "cgroup_conf that is no file", sites: []string{"checkCgroupConf: write FILE=VALUE"},
		cannot: v2Alone + ": on v1 podman ignores the corrected line, which is a finding by itself",
	},
	{
		name: "cgroup_conf on cgroup v1", sites: []string{"checkCgroupConf: and set limits with cgdeleg run"},
		check: "podman-limits", text: "remove the line cgroup_conf, and set limits with cgdeleg run",
		before: newerPodman + podmans(conf, "[containers]\ncgroup_conf = [\"memory.high=1G\"]"),
		edit:   `sed -i /cgroup_conf/d "$@"`,
	},
	ofPodman("ulimit, misspelt", "checkUlimits: write NAME=SOFT:HARD", "podman-limits", "write NAME=SOFT:HARD",
		conf, "[containers]\ndefault_ulimits = [\"files=1:1\"]", `s/files=1:1/nofile=1024:2048/`),
	ofPodman("ulimit above the shell's own", "checkHardLimit: write at most the shell's hard limit", "podman-limits", "write at most the shell's hard limit",
		conf, "[containers]\ndefault_ulimits = [\"nofile=1000000000:1000000000\"]", `s/1000000000/1024/g`),
	ofPodman("network program that is not there", "checkPodmanNetwork: or remove the line", "podman-network", "or remove the line network_cmd_path",
		conf, "[engine]\nnetwork_cmd_path = \"/opt/nosuch\"", `/network_cmd_path/d`),
	{
		name: "no network program", sites: []string{"checkPodmanNetwork: text f.install"},
		check: "podman-network", text: "install slirp4netns",
		before: withoutLXC + tun + installs("slirp4netns"),
	},
	{
		name: "no /dev/net/tun", sites: []string{"checkTun: f.tunFix()", "tunFix: outside, have this container's manager", "tunFix: load the kernel's module tun"},
		cannot: "it takes a kernel with a module that is not loaded yet",
	},
	{
		name: "/dev/net/tun that is root's", sites: []string{"checkTun: to everybody, as it usually is"},
		check: "podman-network", text: "open /dev/net/tun to everybody, as it usually is",
		before: withoutLXC + tun + `chmod 600 /dev/net/tun; cp /bin/true $dir/bin/slirp4netns`,
	},
	ofPodman("btrfs on another file system", "checkDriver: f.driverText", "podman-storage", `write driver = "vfs"`,
		store, "[storage]\ndriver = \"btrfs\"", `s/btrfs/vfs/`),
	ofPodman("driver that no user can have", "checkDriver: f.driverText", "podman-storage", `write driver = "vfs"`,
		store, "[storage]\ndriver = \"zfs\"", `s/zfs/vfs/`),
	{
		name: "mount_program that is not there", sites: []string{"checkOverlay: text commands"},
		check: "podman-storage", text: "or remove the line mount_program: this kernel lets users mount overlay",
		before: offOverlay + installs("other") + podmans(store, mountProgram),
		nth:    1, // what installs packages here is not to install one
		edit:   `sed -i /mount_program/d "$@"`,
	},
	{
		name: "no /dev/fuse", sites: []string{"checkOverlay: give this machine or container the device"},
		check: "podman-storage", text: "give this machine or container the device /dev/fuse, or remove the line mount_program",
		before: offOverlay + podmans(store, mountProgram) + `cp /bin/true /usr/bin/fuse-overlayfs`, // the tests' own /dev has no fuse
		edit:   `sed -i /mount_program/d "$@"`,
	},
	{
		name: "kernel that lets no user mount overlay", sites: []string{"checkNativeOverlay: install"},
		check: "podman-storage", text: "install fuse-overlayfs",
		before: offOverlay + installs("fuse-overlayfs") + podmans(store, "[storage]\ndriver = \"overlay\"") + oldKernel + `mknod -m 666 /dev/fuse c 10 229`,
		holds:  `rm /dev/fuse`,
	},
	{
		name: "kernel that lets no user mount overlay, and no /dev/fuse", sites: []string{"checkNativeOverlay: f.driverText"},
		check: "podman-storage", text: `write driver = "vfs"`,
		before: offOverlay + podmans(store, "[storage]\ndriver = \"overlay\"") + oldKernel,
		edit:   `sed -i s/overlay/vfs/ "$@"`,
	},
	{
		name: "overlay on overlay", sites: []string{"checkOverlayOn: text f.editAny(file)"},
		check: "podman-storage", text: "write driver = \"vfs\"",
		before: podmans(store, "[storage]\ndriver = \"overlay\"") +
			`rm -f /usr/bin/fuse-overlayfs; mkdir $dir/layers; mount -t tmpfs tmpfs $dir/layers; mkdir $dir/layers/u $dir/layers/w; chown $uid:$uid $dir/layers/u; mount -t overlay -o lowerdir=$home,upperdir=$dir/layers/u,workdir=$dir/layers/w overlay $home`, // the tests' own /dev has no fuse
		edit: `sed -i s/overlay/vfs/ "$@"`,
	},
	{
		name: "overlay on overlay, with fuse", sites: []string{"checkOverlayOn: \"install \" + fuseOverlay"},
		cannot: "it takes /dev/fuse, and the tests' own /dev has none",
	},
	{
		name: "runc of before cgroup v2", sites: []string{
			"checkOldRunc: \"write runtime = ", "checkOldRunc: install crun and write runtime = ", "checkOldRunc: install crun, which podman then takes", "checkBundleCgroup: use crun, or a newer runc",
		},
		cannot: v2Alone,
	},
	ofPodman("images at no absolute path", "checkGraphRoot: write an absolute path", "podman-storage", "write an absolute path",
		store, "[storage]\ndriver = \"vfs\"\ngraphroot = \"~/c\"", `s,~,$HOME,`),
	{
		name: "images at a file", sites: []string{"checkGraphRoot: name another directory for podman's images"},
		check: "podman-storage", text: "name another directory for podman's images",
		before: podmans(store, imagesAt("/etc/passwd")),
		edit:   `sed -i 's,/etc/passwd,$HOME/images,' "$@"`,
	},
	{
		name: "directory of images that is root's", sites: []string{"checkGraphRoot: f.giveBack", "giveBack: with all that is in it"},
		check: "podman-storage", text: "/.local/share/containers, with all that is in it",
		before: withoutLXC + network + `mkdir -p $home/.local/share/containers/storage; own; chown 0:0 $home/.local/share/containers $home/.local/share/containers/storage; chmod 700 $home/.local/share/containers $home/.local/share/containers/storage`,
		holds:  `as_user test -w $home/.local/share/containers/storage`,
	},
	{
		name: "home without the right to write", sites: []string{"checkGraphRoot: f.giveBack", "giveBack: write in"},
		check: "podman-storage", text: "let cgfixes write in ",
		before: withoutLXC + network + `mkdir -p $home/.local; own; chmod 500 $home/.local`,
		holds:  `as_user test -w $home/.local`,
	},
	{
		name: "images of XDG_DATA_HOME at root's", sites: []string{"checkGraphRoot: f.giveBack", "giveBack: as root, and give it to"},
		cannot: "logins here have no variables of podman's",
	},
	{
		name: "runroot at root's", sites: []string{"checkRunRoot: text f.editStorage(s)"},
		check: "podman-storage", text: "remove the line runroot",
		before: offOverlay + network + podmans(store, "[storage]\ndriver = \"vfs\"\nrunroot = \"/var/lib/nosuch\""),
		edit:   `sed -i /runroot/d "$@"`,
	},
	{
		name: "images at root's", sites: []string{"checkGraphRoot: name a directory of"},
		check: "podman-storage", text: "name a directory of cgfixes's, or let cgfixes write in",
		before: podmans(store, imagesAt("/var/lib/nosuch")),
		edit:   `sed -i 's,/var/lib/nosuch,$HOME/images,' "$@"`,
	},
	{
		name: "images on a mount that is read-only", sites: []string{"onMount: elsewhere$"},
		check: "podman-storage", text: "name a directory for podman's images on another mount, by graphroot in",
		before: podmans(store, imagesAt("/mnt/images")) + images + `mount -o remount,bind,ro /mnt/images`,
		person: `sed -i 's,/mnt/images,$HOME/images,' $home/.config/containers/storage.conf`,
	},
	{
		name: "images on a mount with noexec", sites: []string{"onMount: f.remounted"},
		check: "podman-storage", text: "mount it without noexec",
		before: podmans(store, imagesAt("/mnt/images")) + images + `mount -o remount,bind,noexec /mnt/images`,
	},
	{
		name: "images on NFS", sites: []string{`onMount: elsewhere$`},
		cannot: "it takes a server of NFS, or the like",
	},
}

func imagesAt(dir string) string { return "[storage]\ndriver = \"vfs\"\ngraphroot = \"" + dir + "\"" }

const (
	mountProgram = "[storage]\ndriver = \"overlay\"\n[storage.options.overlay]\nmount_program = \"/usr/bin/fuse-overlayfs\""
	// offOverlay has podman's images on another file system than this machine's home directories.
	offOverlay = `mkdir -p $home/.local/share/containers; mount -t tmpfs tmpfs $home/.local/share/containers; own $home/.local/share/containers; `
	// oldKernel is one from before users could mount overlay.
	oldKernel = `echo 5.10.0 >$dir/release; mount --bind $dir/release /proc/sys/kernel/osrelease; echo Linux version 5.10.0 >$dir/version; mount --bind $dir/version /proc/version; `
	// images are a mount of the user's.
	images = `mkdir /mnt/images; chown $uid:$uid /mnt/images; mount --bind /mnt/images /mnt/images; `
	// tun is the machine's own device, and network what podman wants of it.
	tun     = `mkdir -p /dev/net; mount -t tmpfs tmpfs /dev/net; mknod -m 666 /dev/net/tun c 10 200; `
	network = tun + `cp /bin/true $dir/bin/slirp4netns; `
)

// pastedKinds are of cgdeleg check --pasted.
var pastedKinds = []kind{
	{
		name: "mounts among pasted files", sites: []string{"mountsSeen: mount the cgroups again", "mountsSeen: f.cgroupsOutside()", "mountsSeen: mount the cgroups writable"},
		cannot: pasted,
	},
}
