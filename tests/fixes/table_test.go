package fixes

import "slices"

// kinds are all kinds of fixes.
var kinds = slices.Concat(machineKinds, containersKinds, pamKinds, sessionKinds, namespaceKinds, lxcKinds, containerKinds,
	bundleKinds, podmanKinds, pastedKinds)

// Why a kind is not tried here.
const (
	reboot    = "it takes a reboot"
	onV2      = "it takes cpu, memory or pids on cgroup v2"
	noSystemd = "it takes systemd as the machine's init"
	elogind   = "it takes elogind"
)

var machineKinds = []kind{
	{
		name: "root asks", sites: []string{"checkUser: run cgdeleg check as the user"},
		check: "user", text: "run cgdeleg check as the user, without sudo",
		args: "--pid 1", argsAfter: "--user cgfixes",
	},
	{
		name: "no cgroups mounted", sites: []string{"mountResult: mountKernels + \"; \" + manager f.mountAll()"},
		check: "mode", text: "mount the cgroup file systems that this kernel has",
		after: `umount --recursive /sys/fs/cgroup`,
		then:  both,
	},
	{
		name: "no cgroups mounted, and OpenRC", sites: []string{"mountResult: have OpenRC mount"},
		cannot: "it takes OpenRC as the machine's init",
	},
	{
		name: "no cgroups mounted, and cgmanager", sites: []string{"cgmanagerResult: ask cgmanager"},
		cannot: "it takes LXC before 3.0 and its cgmanager",
	},
	{
		name: "no place for cgroups", sites: []string{"mountResult: mountKernels + \"; \" + manager$"},
		check: "mode", text: "mount the cgroup file systems that this kernel has",
		after:  `umount --recursive /sys/fs/cgroup && mount -t tmpfs tmpfs /sys/fs`,
		person: `mkdir /sys/fs/cgroup && mount -t tmpfs cgroup /sys/fs/cgroup && mkdir $cg/memory $cg/pids && mount -t cgroup -o memory cgroup $cg/memory && mount -t cgroup -o pids cgroup $cg/pids`,
		then:   both,
	},
	{
		name: "something in the place of cgroups", sites: []string{"mountResult: where this machine's init mounts them; not over"},
		check: "mode", text: "where this machine's init mounts them; not over /sys/fs/cgroup, which is in use",
		after:  `umount --recursive /sys/fs/cgroup && mount -t tmpfs tmpfs /sys/fs/cgroup && mkdir $cg/other $cg/memory $cg/pids`,
		person: `mount -t cgroup -o memory cgroup $cg/memory && mount -t cgroup -o pids cgroup $cg/pids`,
		then:   both,
	},
	{
		name: "hierarchy covered", sites: []string{"checkMounts: unmount what covers the hierarchies"},
		check: "mounts", text: "unmount what covers the hierarchies",
		after: `mount -t tmpfs tmpfs $cg/pids; mount -t tmpfs tmpfs $cg/freezer`,
	},
	{
		name: "all hierarchies covered", sites: []string{"checkMounts: unmount what covers the hierarchies"},
		check: "mounts", text: "unmount what covers the hierarchies",
		after: `mount -t tmpfs tmpfs $cg`,
	},
	{
		name: "hierarchy of another cgroup namespace", sites: []string{"checkMounts: mount the hierarchies again"},
		check: "mounts", text: "mount the hierarchies again",
		init: inNamespace,
		then: newLogin,
	},
	{
		name: "hierarchies read-only", sites: []string{"checkReadOnly: mount the cgroups writable"},
		check: "mounts", text: "mount the cgroups writable",
		before: `for h in pids memory; do mount -o remount,bind,ro $cg/$h; done`,
		then:   newLogin,
	},
	{
		name: "list after -c that is none", sites: []string{"checkHierarchies: correct the list after -c in"},
		check: "hierarchies", text: "correct the list after -c",
		before: `sed -i 's/pam_cgdeleg.so/& -c ,,/' $su`,
		edit:   `sed -i 's/ -c ,,//' "$@"`,
		then:   newLogin,
	},
	{
		name: "list after -c with a blank", sites: []string{"ignoredWords: and log in again"},
		check: "pam-line", text: "write the list after -c without blanks (-c freezer,memory), and",
		before: `sed -i 's/pam_cgdeleg.so/& -c freezer, memory/' $su`,
		edit:   `sed -i 's/freezer, /freezer,/' "$@"`,
		then:   newLogin,
	},
	{
		name: "words on the line that the module does not know", sites: []string{"ignoredWords: and log in again"},
		check: "pam-line", text: "correct these words of the module's line",
		before: `sed -i 's/pam_cgdeleg.so/& close=wiat timeout=99/' $su`,
		edit:   `sed -i 's/ close=wiat timeout=99/ close=wait timeout=9/' "$@"`,
		then:   newLogin,
	},
	{
		name: "controller that the kernel has not", sites: []string{"checkHierarchies: correct the list after -c in"},
		check: "hierarchies", text: "correct the list after -c",
		before: `sed -i 's/pam_cgdeleg.so/& -c memory,pids,memroy/' $su`,
		edit:   `sed -i 's/,memroy//' "$@"`,
		then:   newLogin,
	},
	{
		name: "controller not mounted", sites: []string{"checkHierarchies: \"mount \" + strings.Join(missing"},
		check: "hierarchies", text: "or remove that from the list after -c",
		before: `sed -i 's/pam_cgdeleg.so/& -c memory,pids,cpuset/' $su; umount $cg/cpuset`,
		then:   newLogin,
	},
	{
		name: "cgroup_enable= that does nothing", sites: []string{"turnedOffAgain: or take a kernel that knows cgroup_enable=", "turnedOffAgain: or move it in front of"},
		cannot: reboot,
	},
	{
		name: "processes in the base", sites: []string{"checkBase: to a leaf, before anybody logs in"},
		check: "base", text: "to a leaf, before anybody logs in",
		before: `mkdir $cg/unified/cgfixes-other; echo 1 >$cg/unified/cgfixes-other/cgroup.procs`,
		then:   newLogin,
	},
}

var containersKinds = []kind{
	{
		name: "processes that hidepid hides", sites: []string{"askedAsRoot: --user", "askedAsRoot: --pid"},
		cannot: "root is shown them, and then all is well: that it is asked as root fixes nothing",
	},
	{
		name: "list after -c of cgroup v1", sites: []string{"checkHierarchies: \"remove \" + strings.Join(missing"},
		cannot: "it takes a machine with cgroup v2 alone",
	},
	{
		name: "hierarchies that Docker mounted read-only", sites: []string{"checkReadOnly: f.cgroupsOutside()"},
		cannot: "it takes Docker",
	},
	{
		name: "a /proc of which parts are hidden, or a filter of system calls", sites: []string{"checkConfinement: k.gives"},
		cannot: "it takes another container, which is started with other options",
	},
	{
		name: "a service that hides parts of /proc, or filters system calls", sites: []string{"checkConfinement: start containers from a login"},
		cannot: noSystemd,
	},
	{
		name: "WSL 1", sites: []string{"wsl1Result: have Windows run"},
		cannot: "it takes Windows",
	},
	{
		name: "sandbox of Flatpak's", sites: []string{"flatpakResult: start containers from a terminal outside"},
		cannot: "the fix is another shell",
	},
	{
		name: "shell outside of its cgroup namespace", sites: []string{"checkNamespace: log in to the container, or enter"},
		cannot: "the command is an example, with PID in the place of a number",
	},
	{
		name: "container without cgroups", sites: []string{"checkContainer: outside, start this container from a login that has cgroups", "checkContainer: outside, start this container from a login that has \" + Controllers(lacking)"},
		elsewhere: "clients/nested_test.go",
	},
}

var pamKinds = []kind{
	{
		name: "shell from outside of the container", sites: []string{"checkLogin: \"log in by ssh or on the console\" f.openFix()"},
		check: "login", text: "log in by ssh or on the console; for this shell, now: make a session",
		way: outside,
	},
	{
		name: "shell past PAM", sites: []string{"checkLogin: \"log in by ssh or on the console\" f.openFix()", "openFix: make a session for this shell"},
		check: "login", text: "log in by ssh or on the console; for this shell, now: make a session",
		way: withoutPAM,
	},
	{
		name: "unknown application", sites: []string{"strangersResult: see whether the PAM service of"},
		check: "login", text: "see whether the PAM service of ",
		before: `cp /usr/bin/su $dir/bin/mysession; sed -i /pam_cgdeleg/d $su`,
		way:    `mysession $name -c 'exec sh'`,
		person: `echo 'session optional pam_cgdeleg.so' >>$su`,
		then:   newLogin,
	},
	{
		name: "unknown application whose PAM service has no line", sites: []string{"strangersResult: and log in again", "strangersResult: next.lineInStore()"},
		cannot: "a program that calls PAM, has the name of its service and is in no list: of that service libpam would be asked by no program here",
	},
	{
		name: "module not installed", sites: []string{"checkModule: everyLogin + install f.openFix()"},
		check: "module", text: "so that every later login gets cgroups: install pam_cgdeleg",
		before: `rm $security/pam_cgdeleg.so; sed -i /pam_cgdeleg/d $su`,
		person: `cp $built/pam_cgdeleg.so $security; echo 'session optional pam_cgdeleg.so' >>$su`,
		then:   both,
	},
	{
		name: "module not installed, for a user", sites: []string{"checkModule: everyLogin + install$"},
		check: "module", text: "so that every later login gets cgroups: install pam_cgdeleg",
		args:   "--user cgfixes",
		before: `rm $security/pam_cgdeleg.so; sed -i /pam_cgdeleg/d /etc/pam.d/sshd`,
		person: `cp $built/pam_cgdeleg.so $security; echo 'session optional pam_cgdeleg.so' >>/etc/pam.d/sshd`,
	},
	{
		name: "login by dropbear", sites: []string{"sessionlessResult: f.openFix()"},
		check: "login", text: "log in on the console, or by OpenSSH's server",
		before: dropbear, way: "dropbear",
		then: here,
	},
	{
		name: "login by dropbear, for a user", sites: []string{"checkPAMLine: have users log in on the console"},
		cannot: "the fix is another program to log in by",
	},
	{
		name: "no PAM", sites: []string{"noPAMResult: every f.openFix()"},
		check: "module", text: "so that every later login gets cgroups: have root call cgdeleg open",
		before: noPAM, way: "dropbear",
		person: `sed -i 's/setpriv/cgdeleg open --user $name --pid $$ >\/dev\/null; exec &/' $dir/bin/dropbear; sed -i 's/exec setpriv/setpriv/' $dir/bin/dropbear`,
		then:   here,
	},
	{
		name: "no PAM, for a user", sites: []string{"noPAMResult: have root call cgdeleg open"},
		check: "module", text: "have root call cgdeleg open for each shell of a login",
		args:   "--user cgfixes",
		before: noPAM, way: "dropbear",
		cannot: "what root has called for a shell is not seen of the user alone",
	},
	{
		name: "PAM line missing", sites: []string{"fixedForAll: text f.asNextLogin().openFix()", "lineForAll: text byHand"},
		check: "pam-line", text: "so that every later login gets cgroups: add the line",
		before: `printf '%s\n' 'auth sufficient pam_rootok.so' 'account required pam_permit.so' >$su; printf 'session required pam_permit.so' >>$su`,
		then:   both,
	},
	{
		name: "PAM line with a path where nothing is", sites: []string{"fixedForAll: text f.asNextLogin().openFix()"},
		check: "pam-line", text: "for every login write pam_cgdeleg.so without a path",
		before: `sed -i s,pam_cgdeleg.so,/usr/local/lib/security/nowhere/pam_cgdeleg.so, $su`,
		then:   both,
	},
	{
		name: "PAM line missing, for a user", sites: []string{"fixedForAll: text command"},
		check: "pam-line", text: "so that every later login gets cgroups: add the line",
		args:   "--user cgfixes",
		before: `sed -i /pam_cgdeleg/d /etc/pam.d/sshd`,
	},
	{
		name: "PAM line missing, in a session", sites: []string{"fixedForAll: text command"},
		check: "pam-line", text: "so that every later login gets cgroups: add the line",
		before: `sed -i /pam_cgdeleg/d $su`,
		after:  `cgdeleg open --user $name --pid $pid`,
		then:   both,
	},
	{
		name: "PAM line missing, service of a vendor", sites: []string{"lineForAll: text byHand"},
		check: "pam-line", text: "/etc/pam.d/su, which you first copy from /usr/lib/pam.d/su",
		before: `sed -i /pam_cgdeleg/d $su; mv $su /usr/lib/pam.d/su`,
		then:   both,
	},
	{
		name: "PAM line missing, service without a file", sites: []string{"lineForAll: text byHand"},
		check: "pam-line", text: "to /etc/pam.d/su",
		before: `sed /pam_cgdeleg/d $su >/etc/pam.d/other; rm $su`,
		then:   both,
	},
	{
		name: "PAM line missing, one file for all services", sites: []string{"lineForAll: text byHand"},
		check: "pam-line", text: "to /etc/pam.conf",
		before: `sed '/pam_cgdeleg/d; s/^/su /' $su >/etc/pam.conf; rm -r /etc/pam.d /usr/lib/pam.d`,
		then:   both,
	},
	{
		name: "PAM line missing, profile and a file that was edited", sites: []string{"lineForAll: profileOn("},
		check: "pam-line", text: "pam-auth-update does not change it: then add the line",
		before: `profile; sed -i '/pam_unix/d' /etc/pam.d/common-session`,
		person: `grep pam_cgdeleg /etc/pam.d/common-session || echo 'session optional pam_cgdeleg.so' >>/etc/pam.d/common-session`,
		then:   both,
		holds:  `test "$(grep -c pam_cgdeleg /etc/pam.d/common-session)" = 1`,
	},
	{
		name: "PAM line missing, profile", sites: []string{"lineForAll: profileOn("},
		check: "pam-line", text: "switch on the profile \"cgdeleg\" of pam-auth-update",
		before: `profile`,
		then:   both,
		holds:  `test "$(grep -c pam_cgdeleg /etc/pam.d/common-session)" = 1`,
	},
	{
		name: "pam_cgfs instead of the module", sites: []string{"renamed: text + file byHand", "lineForAll: f.renamed"},
		check: "pam-line", text: "write pam_cgdeleg.so in place of pam_cgfs.so in /etc/pam.d/su",
		before: `sed -i s/pam_cgdeleg/pam_cgfs/ $su; mv $su /etc/pam.d/su-really; ln -s su-really $su`,
		then:   both,
		holds:  `test -L $su`,
	},
	{
		name: "pam_cgfs instead of the module, service of a vendor", sites: []string{"renamed: copied(file, own, true)"},
		check: "pam-line", text: "/etc/pam.d/su, which you first copy from /usr/lib/pam.d/su",
		before: `sed -i s/pam_cgdeleg/pam_cgfs/ $su; mv $su /usr/lib/pam.d/su`,
		then:   both,
		holds:  `grep pam_cgfs /usr/lib/pam.d/su`,
	},
	{
		name: "pam_cgfs instead of the module, profile", sites: []string{"renamed: remove the line of pam_cgfs.so from"},
		check: "pam-line", text: "remove the line of pam_cgfs.so from /etc/pam.d/common-session",
		before: `profile; echo 'session optional pam_cgfs.so -c freezer,memory,name=systemd' >>/etc/pam.d/common-session`,
		then:   both,
		holds:  `test "$(grep -c pam_cgdeleg /etc/pam.d/common-session)" = 1`,
	},
	{
		name: "system account", sites: []string{"leftOutResult: text"},
		check: "pam-line", text: "add min_uid=26001 to the module's line",
		before: `sed -i 's/^UID_MIN.*/UID_MIN 27000/' /etc/login.defs`,
		edit:   `sed -i 's/pam_cgdeleg.so/& min_uid=26001/' "$@"`,
		then:   newLogin,
	},
	{
		name: "min_uid", sites: []string{"leftOutResult: text"},
		check: "pam-line", text: "lower min_uid",
		before: `sed -i 's/pam_cgdeleg.so/& min_uid=30000/' $su`,
		edit:   `sed -i 's/min_uid=30000/min_uid=1000/' "$@"`,
		then:   newLogin,
	},
	{
		name: "line that always skips the module's", sites: []string{"checkPAMReached: f.putBefore(skips[0])"},
		check: "pam-reached", text: ", and in that line write [",
		before: `sed -i '/pam_cgdeleg/i session [success=1 default=ignore] pam_permit.so' $su`,
		edit:   `line=$(grep pam_cgdeleg "$@"); sed -i /pam_cgdeleg/d "$@"; sed -i "/success=1/s/^/$line\n/; s/success=1/success=ignore/" "$@"`,
		then:   newLogin,
	},
	{
		name: "line that always ends the stack before the module's", sites: []string{"checkPAMReached: f.putBefore(skips[0])"},
		check: "pam-reached", text: "put the line of pam_cgdeleg.so before line ",
		before: `sed -i '/pam_cgdeleg/i session sufficient pam_permit.so' $su`,
		edit:   `line=$(grep pam_cgdeleg "$@"); sed -i /pam_cgdeleg/d "$@"; sed -i "/sufficient pam_permit/s/^session/$line\nsession/" "$@"`,
		then:   newLogin,
	},
	{
		name: "line that may skip the module's", sites: []string{"checkPAMReached: see whether PAM reaches the module's line"},
		check: "pam-reached", text: "see whether PAM reaches the module's line",
		args:   "--user cgfixes",
		before: `sed -i '/pam_cgdeleg/i session sufficient pam_succeed_if.so quiet uid >= 1000' $su /etc/pam.d/sshd`,
		says:   "A login of cgfixes by sshd gets no cgroup in which cgfixes can make others.",
		person: `sed -i /pam_succeed_if/d $su /etc/pam.d/sshd`,
		then:   newLogin,
	},
	{
		name: "line that refuses every session", sites: []string{"checkPAMReached: remove line %d of %s"},
		check: "pam-reached", text: "remove line ",
		args:   "--user cgfixes",
		before: `sed -i '/pam_cgdeleg/i session requisite pam_deny.so' /etc/pam.d/sshd`,
		edit:   `sed -i /pam_deny/d "$@"`,
		then:   newLogin,
	},
	{
		name: "control that PAM does not know", sites: []string{"wrongControl: write optional in place of"},
		check: "pam-line", text: "write optional in place of optinal",
		args:   "--user cgfixes",
		before: `sed -i '/pam_cgdeleg/s/optional/optinal/' /etc/pam.d/sshd`,
		edit:   `sed -i s/optinal/optional/ "$@"`,
		then:   newLogin,
	},
	{
		name: "line that has skipped the module's", sites: []string{"skippedResult: f.openFix()"},
		check: "session", text: "write required in place of sufficient in line ",
		before: `sed -i '/pam_cgdeleg/i session sufficient pam_succeed_if.so quiet uid >= 1000' $su`,
		edit:   `sed -i '/pam_succeed_if/s/sufficient/required/' "$@"`,
		then:   both,
	},
	{
		name: "line of another type", sites: []string{"fixedForAll: text f.asNextLogin().openFix()"},
		check: "pam-line", text: "write session in place of auth in line ",
		before: `sed -i '/pam_cgdeleg/s/session/auth/' $su`,
		then:   both,
	},
	{
		name: "server of ssh that a user runs", sites: []string{"checkLogin: to the server that runs as root"},
		cannot: "every way to a shell here is by a program of root's",
	},
	{
		name: "program that calls no PAM", sites: []string{"noServiceResult: or start containers from such a login"},
		cannot: "every program here by which one logs in calls PAM, and without its service lets nobody in",
	},
	{
		name: "order of the PAM lines", sites: []string{"checkPAMOrder: f.moveBelow(line)"},
		check: "pam-order", text: "move the line of pam_cgdeleg.so below that of ",
		before: `echo 'session optional pam_systemd.so' >>$su`,
		edit:   `line=$(grep pam_cgdeleg "$@"); sed -i /pam_cgdeleg/d "$@"; echo "$line" >>"$@"`,
		then:   newLogin,
	},
	{
		name: "pam_cgfs as well", sites: []string{"checkPAMCgfs: remove the lines of pam_cgfs.so, or its package"},
		check: "pam-cgfs", text: "remove the lines of pam_cgfs.so, or its package",
		before: `for service in su cron; do echo 'session optional pam_cgfs.so' >>/etc/pam.d/$service; done`,
		edit:   `sed -i /pam_cgfs/d "$@"`,
	},
	{
		name: "pam_cgfs's package", sites: []string{"checkPAMCgfs: remove the package libpam-cgfs"},
		cannot: "libpam-cgfs is not installed here: apt-get remove would do nothing",
	},
}

// noPAM leaves no PAM on the machine, but a dropbear that starts shells.
const noPAM = `
rm -r /etc/pam.d /etc/pam.conf /usr/lib/pam.d $security/pam_cgdeleg.so` + dropbear

// dropbear is a program of that name that starts shells, and calls no PAM.
const dropbear = `
printf '%s\n' '#!/bin/sh' 'setpriv --reuid $uid --regid $uid --clear-groups sh' : >$dir/bin/dropbear
chmod 755 $dir/bin/dropbear`

var sessionKinds = []kind{
	{
		name: "elogind's cgroup of another login", sites: []string{"leftAloneResult: log in by ssh or on the console"},
		cannot: elogind,
	},
	{
		name: "login that pam_systemd gave no scope", sites: []string{
			"unplacedResult: for the next job", "unplacedResult: text + \", and log in again\"", "unplacedResult: unmask and start systemd-logind",
			"unplacedResult: see whether", "unplacedResult: see what the system's log says", "installScopeMaker: text",
		},
		cannot: noSystemd,
	},
	{
		name: "login whose program has ended, or is systemd", sites: []string{"scopedResult: log in by a PAM service"},
		cannot: noSystemd,
	},
	{
		name: "login whose program is no ancestor any more", sites: []string{
			"endedResult: again$", "endedResult: again$", "endedResult: again$", "endedResult: text + \", and \" + again",
		},
		cannot: noSystemd,
	},
	{
		name: "process of a service of systemd's", sites: []string{"serviceResult: text + \"; or start containers in a login\""},
		cannot: noSystemd,
	},
	{
		name: "container below its host's user manager", sites: []string{"checkLeaf: start containers outside of this one"},
		cannot: noSystemd,
	},
	{
		name: "no scope of systemd's", sites: []string{"waysToScope: text commands"},
		cannot: noSystemd,
	},
	{
		name: "what LXC asks systemd's user manager for", sites: []string{
			"askerUntold: names the user's own bus", "lackedByManager: without edit", "lackedByManager: text + \"; or \" + without",
		},
		cannot: noSystemd,
	},
	{
		name: "a shell of WSL's init", sites: []string{"wslResult: f.openFix()", "wslResult: text login"},
		cannot: "it takes the init of WSL",
	},
	{
		name: "no drop-in", sites: []string{"delegationResult: install the drop-in", "delegationResult: build the machine anew"},
		elsewhere: "vm/scenarios/check.sh",
	},
	{
		name: "drop-in that systemd has not read", sites: []string{"delegationResult: \"have systemd read the drop-in"},
		elsewhere: "vm/scenarios/breakages.sh",
	},
	{
		name: "drop-in whose Delegate= systemd ignores, or that turns a controller off", sites: []string{"misplacedResult: write the line [Scope] before it", "disabledByUnit: out of DisableControllers="},
		cannot: noSystemd,
	},
	{
		name: "drop-in that takes Delegate away", sites: []string{"delegationResult: have systemd read its units again"},
		elsewhere: "vm/scenarios/breakages.sh",
	},
	{
		name: "systemd without cgroup v1", sites: []string{"checkSystemdV1: f.unifiedFix()", "unifiedFix: fix.Commands"},
		cannot: reboot,
	},
	{
		name: "realtime processes", sites: []string{"checkRealtime: stop the realtime processes, or move them to the root cgroup"},
		cannot: onV2,
	},
	{
		name: "controller that cgroup v1 has", sites: []string{"onV1: name {list} after -c", "lacks: fix.Text fix.Commands"},
		check: "controllers", text: "after -c on the module's line, so that the session has ",
		before: `sed -i 's/pam_cgdeleg.so/& -c unified,memory/' $su`,
		person: `sed -i 's/unified,memory/unified,memory,cpu,pids/' $su`,
		then:   newLogin,
	},
	{
		name: "cgroup v1 mounted beside cgroup v2 alone", sites: []string{"strayCause: unmount that", "strayCause: outside, remove what mounts it"},
		cannot: onV2,
	},
	{
		name: "list after -c that keeps controllers", sites: []string{"listFix: leave -c and its list out of", "checkCgroupUse: fix.Text + \"; or \" + text"},
		cannot: onV2,
	},
	{
		name: "list after -c that keeps what cgroup v2 has beside v1", sites: []string{"listFix: name {list} after -c too in"},
		cannot: onV2,
	},
	{
		name: "commas in Delegate=", sites: []string{"keptByDelegate: write Delegate="},
		cannot: noSystemd,
	},
	{
		name: "controller turned off on the kernel's command line", sites: []string{
			"commandLineFix: text + \", and start the machine again\" Commands", "commandLineFix: in cmdline.txt on the boot partition",
			"commandLineFix: in the boot loader's configuration", "checkHierarchies: c.fix.Commands",
			"commandLineFix: outside, on the machine",
		},
		cannot: reboot,
	},
	{
		name: "controller that is not given on", sites: []string{
			"giveOnFix: enable {list} in", "giveOnAbove: have whoever made the cgroup", "giveOnAbove: log in again: the module enables", "giveOnFix: move the processes that are in", "giveOnFix: have systemd enable again",
			"giveOnFix: add %s to Delegate=", "giveOnFix: Text: text Commands: commands", "causeOf: log in again, and look in the system's log", "notInKernel: outside, start this container",
			"boundElsewhere: remove what mounts {list} as cgroup v1", "notGivenOn: end all that runs in",
		},
		cannot: onV2,
	},
	{
		name: "moved out of the session", sites: []string{"checkSession: also f.openFix()"},
		check: "session", text: "for this shell, now: make a session",
		after: `move pids cgfixes-other`,
		then:  both,
	},
	{
		name: "group of a v1 session", sites: []string{"checkWritable: f.openFix() \"or log in again\""},
		check: "writable", text: "log in again",
		after: `chgrp root $cg/pids/user/$name/0`,
		then:  newLogin,
	},
	{
		name: "file of a v2 session", sites: []string{"checkWritable: f.openFix() \"or log in again\""},
		check: "writable", text: "log in again",
		after: `chown root $cg/unified/user/$name/0/cgroup.procs`,
		then:  newLogin,
	},
	{
		name: "way to the session closed", sites: []string{"checkParents: open the directories above the session"},
		check: "parents", text: "open the directories above the session",
		after: `chmod 700 $cg/pids/user/$name`,
	},
	{
		name: "processes in the session itself", sites: []string{"checkLeaf: move these processes to a leaf"},
		check: "leaf", text: "move these processes to a leaf",
		typed: `echo -hugetlb >/sys/fs/cgroup/unified/user/cgfixes/0/cgroup.subtree_control; echo $$ >/sys/fs/cgroup/unified/user/cgfixes/0/cgroup.procs`,
	},
	{
		name: "threaded session", sites: []string{"checkLeaf: and then log in again: a threaded cgroup stays so"},
		check: "leaf", text: "and then log in again: a threaded cgroup stays so",
		after: `cd $cg/unified/user/$name; for p in $(cat 0/init.scope/cgroup.procs); do echo $p >$cg/unified/cgroup.procs; done
			echo -hugetlb >0/cgroup.subtree_control; echo -hugetlb >cgroup.subtree_control
			echo threaded >0/cgroup.type; echo $pid >0/cgroup.procs`,
		then: afterEnd,
	},
	{
		name: "scope of the user manager", sites: []string{"checkLeaf: start containers in a scope that"},
		cannot: noSystemd,
	},
	{
		name: "too few processes", sites: []string{"liftFix: text commands"},
		check: "limits", text: "raise the limits where they are set",
		after: `echo 20 >$cg/pids/user/$name/pids.max`,
	},
	{
		name: "too little memory", sites: []string{"liftFix: text commands"},
		check: "limits", text: "raise the limits where they are set",
		after: `echo 30M >$cg/memory/user/$name/memory.limit_in_bytes`,
	},
	{
		name: "too few cgroups and processes", sites: []string{"liftFix: text commands"},
		check: "limits", text: "raise the limits where they are set",
		after: `echo 2 >$cg/unified/user/$name/cgroup.max.descendants; echo 20 >$cg/pids/user/$name/pids.max`,
	},
	{
		name: "no cgroup below the session", sites: []string{"liftFix: text commands"},
		check: "limits", text: "raise the limits where they are set",
		after: `echo 1 >$cg/unified/user/$name/cgroup.max.depth`,
	},
	{
		name: "too few processes by a file of limits", sites: []string{"liftFix: text commands"},
		check: "limits", text: "raise the limits where they are set",
		before: `mkdir -p $dir/limits /etc/cgdeleg && mount --bind $dir/limits /etc/cgdeleg && echo '* user pids.max=20' >/etc/cgdeleg/limits.conf`,
		edit:   `sed -i 's/=20/=200/' "$@"`,
	},
	{
		name: "limit of a unit of systemd's", sites: []string{"liftFix: text commands"},
		cannot: noSystemd,
	},
	{
		name: "no cgroup can be made", sites: []string{"checkProbe: f.openFix() \"or log in again\""},
		check: "probe", text: "log in again",
		after: `echo 1 >$cg/unified/user/$name/0/cgroup.max.descendants`,
		args:  "--probe",
		then:  newLogin,
	},
	{
		name: "under another's limit", sites: []string{"confinedResult: remove the limit and log in again"},
		check: "session", text: "remove the limit and log in again",
		before: limited,
		way:    `mkdir -p $cg/pids/cgfixes-other; echo 500 >$cg/pids/cgfixes-other/pids.max; sh -c 'echo $$ >/sys/fs/cgroup/pids/cgfixes-other/cgroup.procs; exec su cgfixes -c "exec sh"'`,
		edit:   `sed -i 's/pam_cgdeleg.so/& confined=move/' "$@"`,
		then:   newLogin,
	},
	{
		name: "under the limit of a job", sites: []string{"confinedResult: containers of this login stay under that limit"},
		check: "session", text: "has logins moved out of such limits, as pam_cgfs did",
		before: limited + `echo '* pids cgfixes-other' >/etc/cgrules.conf`,
		way:    `sh -c 'echo $$ >/sys/fs/cgroup/pids/cgfixes-other/cgroup.procs; exec su cgfixes -c "exec sh"'`,
		person: `sed -i 's/pam_cgdeleg.so/& confined=move/' $su`,
		then:   newLogin,
	},
	{
		name: "moved on by cgrules", sites: []string{"moverResult: remove the rules for"},
		check: "session", text: "remove the rules for cgfixes from /etc/cgrules.conf",
		before: `echo "$name pids cgfixes-other" >/etc/cgrules.conf
			cp "$(command -v sleep)" $dir/bin/cgrulesengd; $dir/bin/cgrulesengd 1000 </dev/null >/dev/null 2>&1 &`,
		after: `move pids cgfixes-other`,
		edit:  `sed -i /cgfixes/d "$@"`,
		then:  newLogin,
	},
	{
		name: "sshd without PAM", sites: []string{"withoutPAMResult: everyLogin + set open"},
		check: "session", text: "so that every later login gets cgroups: set UsePAM yes in /etc/ssh/sshd_config",
		before: sshd + `sed -i 's/UsePAM yes/UsePAM no/' /etc/ssh/sshd_config; start_sshd`,
		way:    bySSH,
		edit:   `sed -i 's/UsePAM no/UsePAM yes/' "$@"`,
		person: `sshd=$(cat /run/sshd.pid); rm /run/sshd.pid; kill -HUP $sshd; await_sshd`,
		then:   both,
	},
	{
		name: "sshd without PAM, where only a login helps", sites: []string{"withoutPAMResult: then log in again"},
		elsewhere: "vm/scenarios/breakages.sh",
	},
	{
		name: "sshd without PAM, by a file that is included", sites: []string{"withoutPAMResult: everyLogin + set open"},
		check: "session", text: "so that every later login gets cgroups: set UsePAM yes in /etc/ssh/sshd_config.d/own.conf",
		before: sshd + `sed -i '1i Include sshd_config.d/*.conf' /etc/ssh/sshd_config; echo UsePAM no >/etc/ssh/sshd_config.d/own.conf; start_sshd`,
		way:    bySSH,
		edit:   `sed -i 's/UsePAM no/UsePAM yes/' "$@"`,
		person: `sshd=$(cat /run/sshd.pid); rm /run/sshd.pid; kill -HUP $sshd; await_sshd`,
		then:   both,
	},
	{
		name: "job of Slurm's", sites: []string{"jobResult: containers of this shell stay under the job's limits"},
		cannot: "it says what cannot be had, and that others are to be asked",
	},
	{
		name: "torn out of a job of Slurm's", sites: []string{"tornFrom: log in again"},
		cannot: "the new login is in the job, without cgroups of its own, which is a finding by itself",
	},
}

// limited makes a cgroup with a limit.
const limited = `mkdir $cg/pids/cgfixes-other; echo 500 >$cg/pids/cgfixes-other/pids.max; `

// sshd configures one that listens on the machine's own loopback, and the user's client.
const sshd = `
mkdir -p $dir/ssh /run/sshd
ssh-keygen -q -t ed25519 -N '' -f $dir/ssh/host
ssh-keygen -q -t ed25519 -N '' -f $dir/ssh/user
printf '%s\n' "HostKey $dir/ssh/host" "AuthorizedKeysFile $dir/ssh/user.pub" 'StrictModes no' 'UsePAM yes' 'PidFile /run/sshd.pid' 'UseDNS no' >/etc/ssh/sshd_config
printf '%s\n' "IdentityFile $dir/ssh/user" 'StrictHostKeyChecking no' 'UserKnownHostsFile /dev/null' 'LogLevel ERROR' >$dir/ssh/client
`

var namespaceKinds = []kind{
	{
		name: "no user namespaces", sites: []string{"checkUserNamespaces: f.sysctlFix", "sysctlFix: for every boot and now"},
		check: "userns", text: "namespaces, for every boot and now",
		// Other users of this machine are to keep theirs: the file is one of the test's.
		before: `echo 0 >$dir/max; mount --bind $dir/max /proc/sys/user/max_user_namespaces`,
	},
	{
		name: "one user namespace", sites: []string{"checkFewNamespaces: f.sysctlFix", "sysctlFix: for every boot and now"},
		check: "userns", text: "allow more user namespaces, for every boot and now",
		before: `echo 1 >$dir/max; mount --bind $dir/max /proc/sys/user/max_user_namespaces`,
	},
	{
		name: "processes alone in /proc", sites: []string{"checkSubset: run cgdeleg check where /proc is mounted without"},
		cannot: "a container's /proc is mounted by its manager, and the tests' own is needed whole",
	},
	{
		name: "no user namespaces, by a file that is read last", sites: []string{"checkUserNamespaces: f.sysctlFix", "sysctlFix: for every boot and now"},
		check: "userns", text: "allow user namespaces in /etc/sysctl.d/zz-hard.conf and /etc/sysctl.conf, for every boot and now",
		before: `echo 0 >$dir/max; mount --bind $dir/max /proc/sys/user/max_user_namespaces; rm -f /etc/sysctl.d/99-sysctl.conf
			for f in /etc/sysctl.d/zz-hard.conf /etc/sysctl.conf; do mkdir -p /etc/sysctl.d; echo 'user.max_user_namespaces = 0' >$f; done`,
		holds: `grep -x user.max_user_namespaces=15000 /etc/sysctl.d/zz-hard.conf; grep -x user.max_user_namespaces=15000 /etc/sysctl.conf`,
	},
	{
		name: "no namespaces of other kinds", sites: []string{"checkOtherNamespaces: fix \"\""},
		check: "userns", text: "namespaces, for every boot and now",
		// Others of this machine are to keep theirs: the files are the test's.
		before: `for kind in net uts; do echo 0 >$dir/$kind; mount --bind $dir/$kind /proc/sys/user/max_${kind}_namespaces; done`,
	},
	{
		name: "user namespaces restricted by AppArmor", sites: []string{"profileFix: a profile that allows user namespaces"},
		check: "apparmor", text: "give LXC a profile that allows user namespaces",
		// The kernel has none: only the file is looked at.
		before: ownSysctls + `echo 1 >$dir/kernel/apparmor_restrict_unprivileged_userns
			mkdir -p /etc/apparmor.d; rm -rf /etc/apparmor.d/*lxc*; printf '%s\n' '#!/bin/sh' 'test -s "$2"' >$dir/bin/apparmor_parser; chmod 755 $dir/bin/apparmor_parser`,
	},
	{
		name: "user namespaces restricted by AppArmor, and a profile", sites: []string{"profileFix: and load it again"},
		check: "apparmor", text: "to the profile in /etc/apparmor.d/usr.bin.lxc-start, and load it again",
		before: ownSysctls + `echo 1 >$dir/kernel/apparmor_restrict_unprivileged_userns
			mkdir -p /etc/apparmor.d; rm -rf /etc/apparmor.d/*lxc*; printf '%s\n' '/usr/bin/lxc-start {' '  file,' '}' >/etc/apparmor.d/usr.bin.lxc-start
			printf '%s\n' '#!/bin/sh' 'test -s "$2"' >$dir/bin/apparmor_parser; chmod 755 $dir/bin/apparmor_parser`,
		edit: `sed -i 's/file,/& userns,/' "$@"`,
	},
	{
		name: "user namespaces restricted by AppArmor, and a profile that is turned off", sites: []string{"checkAppArmor: turn on the profile in"},
		check: "apparmor", text: "turn on the profile in /etc/apparmor.d/",
		before: ownSysctls + `echo 1 >$dir/kernel/apparmor_restrict_unprivileged_userns
			mkdir -p /etc/apparmor.d/disable; rm -rf /etc/apparmor.d/*lxc*; printf '%s\n' '/usr/bin/lxc-start {' '  userns,' '}' >/etc/apparmor.d/usr.bin.lxc-start
			ln -s /etc/apparmor.d/usr.bin.lxc-start /etc/apparmor.d/disable
			printf '%s\n' '#!/bin/sh' 'test -s "$2"' >$dir/bin/apparmor_parser; chmod 755 $dir/bin/apparmor_parser`,
	},
	{
		name: "user namespaces restricted by AppArmor, and nothing that starts containers", sites: []string{"checkAppArmor: give the program that starts containers a profile"},
		cannot: "it takes a machine without LXC",
	},
	{
		name: "kernel without user namespaces", sites: []string{
			"checkUserNamespaces: f.kernelFix(", "kernelFix: outside, on the machine", "kernelFix: Text: text$",
		},
		cannot: reboot,
	},
	{
		name: "no newuidmap", sites: []string{"checkIDMapTools: f.installIDMapTool(", "installIDMapTools: later"},
		check: "idmap-tools", text: "install newuidmap and newgidmap",
		// apt only looks whether there is that package, and then what it has is put back.
		before: kept + `rm /usr/bin/newuidmap /usr/bin/newgidmap
			printf '%s\n' '#!/bin/sh' '[ "$1" = install ] && shift && apt-get -s install "$@" && cp -a $dir/kept/* /usr/bin' >$dir/bin/apt; chmod 755 $dir/bin/apt`,
		works: mapsIDs,
	},
	{
		name: "no newgidmap beside newuidmap", sites: []string{"installIDMapTool: install again the package"},
		check: "idmap-tools", text: "install again the package that has newuidmap and newgidmap, as newgidmap is missing",
		before: kept + `rm /usr/bin/newgidmap
			printf '%s\n' '#!/bin/sh' '[ "$1" = install ] && [ "$2" = --reinstall ] && shift 2 && apt-get -s install "$@" && cp -a $dir/kept/* /usr/bin' >$dir/bin/apt; chmod 755 $dir/bin/apt`,
		works: mapsIDs,
	},
	{
		name: "no newuidmap, on a distribution that is not known", sites: []string{"installIDMapTools: Text: \"install newuidmap and newgidmap\"$"},
		check: "idmap-tools", text: "install newuidmap and newgidmap",
		before: kept + `rm /usr/bin/newuidmap /usr/bin/newgidmap; rm /etc/os-release; echo ID=ours >/etc/os-release`,
		person: `cp -a $dir/kept/* /usr/bin`,
		works:  mapsIDs,
	},
	{
		name: "what only the machine outside of a container has", sites: []string{"sysctlFix: outside of this container", "remounted: outside, have"},
		cannot: "it takes root of the machine outside of a container",
	},
	{
		name: "newuidmap on a mount with nosuid", sites: []string{"checkIDMapTools: f.remounted", "remounted: mount it without"},
		check: "idmap-tools", text: "mount it without nosuid",
		before: `mount --bind /usr/bin /usr/bin && mount -o remount,bind,nosuid /usr/bin`,
		works:  mapsIDs,
	},
	{
		name: "newuidmap of somebody's in PATH", sites: []string{"checkIDMapTools: from PATH: the system's own come after it"},
		check: "idmap-tools", text: "from PATH: the system's own come after it",
		before: `mkdir $home/bin; cp /usr/bin/newuidmap /usr/bin/newgidmap $home/bin; chown -R $uid $home/bin`,
		typed:  `PATH=$HOME/bin:$PATH`,
		types:  `PATH=${PATH#*:}`,
		works:  mapsIDs,
	},
	{
		name: "newuidmap that is another user's", sites: []string{"checkIDMapTools: install the package of"},
		check: "idmap-tools", text: "install the package of newuidmap",
		before: kept + `chown 1:1 /usr/bin/newuidmap`,
		person: `cp -a $dir/kept/* /usr/bin`, // as apt-get install --reinstall does
		works:  mapsIDs,
	},
	{
		name: "newuidmap without set-user-ID", sites: []string{"checkIDMapTools: set-user-ID root\" commands"},
		check: "idmap-tools", text: "set-user-ID root",
		before: `chmod 755 /usr/bin/newuidmap /usr/bin/newgidmap`,
		works:  mapsIDs,
	},
	{
		name: "no_new_privs", sites: []string{"noNewPrivsResult: log in again, or remove NoNewPrivileges="},
		check: "idmap-tools", text: "log in again",
		before: sshd + `echo 'Port 22' >>/etc/ssh/sshd_config; start_sshd
			mkdir $home/.ssh; cp $dir/ssh/client $home/.ssh/config; cp $dir/ssh/user $home/.ssh/id_ed25519; sed -i "s,$dir/ssh/user,~/.ssh/id_ed25519," $home/.ssh/config; chown -R $uid:$uid $home/.ssh`,
		way:   `su $name -c 'exec setpriv --no-new-privs sh'`,
		works: mapsIDs,
	},
	{
		name: "subordinate IDs of a directory service", sites: []string{"asksServiceResult: 's subordinate IDs", "asksServiceResult: has enough subordinate IDs"},
		cannot: "it takes a directory service, whose answer this does not read",
	},
	{
		name: "subordinate IDs of a name that a directory service has", sites: []string{"hiddenName: look whether one of these lines is of the name"},
		cannot: "it takes a user of a directory service whose name is not told",
	},
	{
		name: "subordinate IDs under a name that is spelt otherwise", sites: []string{"checkSubID: Listed(paths(meant))"},
		check: "subid", text: "correct /etc/subuid:",
		before: `sed -i 's/^cgfixes:/CGfixes:/' /etc/subuid /etc/subgid`,
		edit:   `sed -i 's/^CGfixes:/cgfixes:/' "$@"`,
		works:  mapsIDs,
	},
	{
		name: "two lines of subordinate IDs in one", sites: []string{"fusedResult: \"make two lines of it\" splits"},
		check: "subid", text: "make two lines of it",
		before: `for f in /etc/subuid /etc/subgid; do printf '%s\n' other:100000:65536cgfixes:165536:65536 >$f; done`,
		works:  mapsIDs,
		holds:  `grep -x other:100000:65536 /etc/subuid`,
	},
	{
		name: "two lines of subordinate IDs in one, and too few", sites: []string{"fusedResult: make two lines of it, and give"},
		check: "subid", text: "make two lines of it, and give",
		before: `for f in /etc/subuid /etc/subgid; do printf '%s\n' other:100000:65536cgfixes:165536:1000 >$f; done`,
		edit:   `for f; do printf '%s\n' other:100000:65536 cgfixes:165536:65536 >$f; done`,
		works:  mapsIDs,
	},
	{
		name: "no subordinate IDs", sites: []string{"checkSubID: f.newRangeFix", "rangeFix: f.giveSubIDs(lacking"},
		check: "subid", text: "give cgfixes a free range of subordinate IDs",
		before: `rm /etc/subuid; sed -i /^cgfixes:/d /etc/subgid; printf 'other:100000:65536' >>/etc/subgid`,
		works:  mapsIDs,
	},
	{
		name: "no subordinate group IDs", sites: []string{"checkSubID: f.newRangeFix"},
		check: "subid", text: "give cgfixes a free range of subordinate IDs",
		before: `sed -i /^cgfixes:/d /etc/subgid`,
		works:  mapsIDs,
	},
	{
		name: "too few subordinate IDs", sites: []string{"checkSubID: f.newRangeFix"},
		check: "subid", text: "give cgfixes a free range of subordinate IDs",
		before: `sed -i s/^cgfixes:.*/cgfixes:100000:1000/ /etc/subuid /etc/subgid`,
		works:  mapsIDs,
	},
	{
		name: "no subordinate IDs of a user who is not in /etc/passwd", sites: []string{"rangeFix: f.giveSubIDs(lacking"},
		check: "subid", text: "give user 26001 a free range of subordinate IDs",
		before: `sed -i /^cgfixes:/d /etc/subuid /etc/subgid; printf 'other:100000:65536' >>/etc/subuid`,
		after:  `sed -i /^cgfixes:/d /etc/passwd`,
		stays:  []string{"paths"}, // whose home directory nobody knows
		holds:  `grep -x 26001:.* /etc/subuid; grep -x other:100000:65536 /etc/subuid`,
	},
	{
		name: "no free subordinate IDs", sites: []string{"rangeFix: in one piece are free here"},
		check: "subid", text: "take a range from another user, and give it to cgfixes",
		before: `for f in /etc/subuid /etc/subgid; do echo other:100000:4294867195 >$f; done`,
		edit:   `for f; do printf '%s\n' other:100000:1000000 cgfixes:2000000:65536 >$f; done`,
		works:  mapsIDs,
	},
	{
		name: "subordinate IDs that this user namespace has not", sites: []string{"unmappedResult: f.insideFix", "insideFix: a free range"},
		check: "subid", text: "and give cgfixes a free range; or outside, give this container more IDs",
		before: `echo root:0:200000 >>/etc/subuid; echo root:0:200000 >>/etc/subgid`,
		init:   inUserNamespace,
		after:  `sed -i /^root:/d /etc/subuid /etc/subgid`,
		works:  mapsIDs,
	},
	{
		name: "newuidmap of an ID that this user namespace has not", sites: []string{"checkIDMapTools: to /usr/local/bin, owned by this container's root"},
		check: "idmap-tools", text: "to /usr/local/bin, owned by this container's root and set-user-ID",
		before: `for f in /etc/subuid /etc/subgid; do printf '%s\n' root:0:200000 cgfixes:100000:65536 >$f; done`,
		init:   inUserNamespace,
		after:  `sed -i /^root:/d /etc/subuid /etc/subgid; chown 300000:300000 /usr/bin/newuidmap /usr/bin/newgidmap; chmod 4755 /usr/bin/newuidmap /usr/bin/newgidmap`,
		works:  mapsIDs,
	},
	{
		name: "subordinate IDs of which this user namespace has a part, for podman", sites: []string{"podmansResult: f.insideFix", "insideFix: Commands: drops$"},
		cannot: "it takes podman, and another user namespace",
	},
	{
		name: "subordinate IDs of another name with the same number", sites: []string{"byOtherName: as the owner in those lines"},
		cannot: "it takes podman without LXC",
	},
	{
		name: "fewer IDs in this user namespace than a container takes", sites: []string{"rangeFix: outside, give this container more IDs"},
		cannot: "it takes another container, with more IDs",
	},
	{
		name: "subordinate IDs twice", sites: []string{"checkSubIDOverlap: f.onceFix", "onceFix: with the other there are enough"},
		check: "subid-overlap", text: "remove one of the two lines: with the other there are enough",
		before: `echo cgfixes:$ids:65536 >>/etc/subuid`,
		works:  mapsIDs,
	},
	{
		name: "subordinate IDs twice, which are enough only together", sites: []string{"checkSubIDOverlap: f.onceFix", "onceFix: or take what both have"},
		check: "subid-overlap", text: "remove one of the two lines, or take what both have out of one of them",
		before: `sed -i s/^cgfixes:.*/cgfixes:$ids:40000/ /etc/subuid; echo cgfixes:$((ids + 30000)):40000 >>/etc/subuid`,
		edit:   `for f; do sed -i "s/:40000$/:30000/; \$s/:30000$/:40000/" "$f"; done`,
		works:  mapsIDs,
	},
	{
		name: "too few subordinate IDs, and those twice", sites: []string{"checkSubID: f.newRangeFix", "newRangeFix: remove the lines that give IDs twice"},
		check: "subid", text: "remove the lines that give IDs twice",
		before: `for f in /etc/subuid /etc/subgid; do sed -i s/^cgfixes:.*/cgfixes:300000:32768/ $f; echo cgfixes:316384:32768 >>$f; done`,
		works:  mapsIDs,
	},
	{
		name: "no free subordinate IDs, and those twice", sites: []string{"newRangeFix: correct the lines that give IDs twice"},
		cannot: "with no free range one is to be taken from another user, as in the row above for that",
	},
	{
		name: "own ID among the subordinate ones", sites: []string{"checkSubIDOverlap: another range, without that ID"},
		check: "subid-overlap", text: "another range, without that ID",
		before: `sed -i s/^cgfixes:.*/cgfixes:10000:65536/ /etc/subuid`,
		edit:   `sed -i s/^cgfixes:.*/cgfixes:300000:65536/ "$@"`,
		works:  mapsIDs,
	},
	{
		name: "subordinate IDs of another user too", sites: []string{"checkSubIDOverlap: give one of the two another range"},
		check: "subid-overlap", text: "give one of the two another range",
		before: `for f in /etc/subuid /etc/subgid; do echo other:$((ids + 1000)):65536 >>$f; done`,
		edit:   `sed -i s/^other:.*/other:300000:65536/ "$@"`,
	},
	{
		name: "IDs of an account among the subordinate ones", sites: []string{"checkSubIDOverlap: another range, without their IDs"},
		check: "subid-overlap", text: "give cgfixes another range",
		before: `echo other:x:$((ids + 1000)):$((ids + 1000))::/:/bin/sh >>/etc/passwd`,
		edit:   `sed -i s/^cgfixes:.*/cgfixes:2000000:65536/ "$@"`,
	},
	{
		name: "home on a mount with noexec", sites: []string{"checkPaths: f.remounted"},
		check: "paths", text: "mount it without noexec",
		before: `mount -o remount,bind,noexec /home`,
	},
	{
		name: "home closed", sites: []string{"checkPaths: let others go through these directories"},
		check: "paths", text: "let others go through these directories",
		before: `chmod 700 $home; chmod 711 /home; mkdir -p $home/.local/share; chown -R $uid:$uid $home`,
	},
	{
		name: "way to the home closed by root", sites: []string{"checkPaths: let others go through these directories"},
		check: "paths", text: "let others go through these directories",
		before: `chown 0:$uid /home; chmod 710 /home $home`,
	},
}

// mapsIDs is what newuidmap and newgidmap are for, with the user's own ranges.
const mapsIDs = `lxc-usernsexec -- true`

// kept keeps the programs of shadow's package.
const kept = `mkdir $dir/kept; cp -a /usr/bin/newuidmap /usr/bin/newgidmap $dir/kept; `

// ownSysctls puts a copy in the place of /proc/sys/kernel, as far as it can be read.
const ownSysctls = `mkdir $dir/kernel; cp /proc/sys/kernel/* $dir/kernel 2>/dev/null || true; mount --bind $dir/kernel /proc/sys/kernel; `

var lxcKinds = []kind{
	{
		name: "LXC without cgroup v1", sites: []string{
			"checkLXCv1: f.unifiedFix()", "unifiedFix: outside, ", "unifiedFix: init.line", "unifiedFix: have this machine's init mount cgroup v2",
		},
		cannot: reboot,
	},
	{
		name: "directory of another user's for locks", sites: []string{"runtimeDirFix: set XDG_RUNTIME_DIR to"},
		check: "runtime-dir", text: "set XDG_RUNTIME_DIR to the user's own directory",
		before: `mkdir -p /run/user && mount -t tmpfs -o mode=755 tmpfs /run/user && mkdir -m 700 /run/user/0 && mkdir /run/user/$uid && chown $uid:$uid /run/user/$uid`,
		typed:  `export XDG_RUNTIME_DIR=/run/user/0`,
		works:  `lxc-info -P ~ -n nosuch 2>&1 | grep "doesn't exist"`,
	},
	{
		name: "directory for locks that is not there", sites: []string{"runtimeDirFix: unset XDG_RUNTIME_DIR"},
		check: "runtime-dir", text: "unset XDG_RUNTIME_DIR",
		before: `mkdir -p /run/user && mount -t tmpfs -o mode=755 tmpfs /run/user`,
		typed:  `export XDG_RUNTIME_DIR=/run/user/0`,
		works:  `lxc-info -P ~ -n nosuch 2>&1 | grep "doesn't exist"`,
	},
	{
		name: "locks in a directory that is root's", sites: []string{"locksInHome: make \" + f.Subject.Name"},
		check: "runtime-dir", text: "make cgfixes the owner of",
		before: `mkdir -m 700 $home/.cache`,
		typed:  `unset XDG_RUNTIME_DIR`,
		works:  `lxc-info -P ~ -n nosuch 2>&1 | grep "doesn't exist"`,
	},
	{
		name: "LXC that does not know the machine's version of cgroups", sites: []string{"beforeUnified: install LXC %d.0 or later"},
		cannot: "it takes LXC before 3.0",
	},
	{
		name: "cgroups where LXC does not look", sites: []string{"mountedForLXC: text all"},
		check: "lxc-view", text: "mount them there too",
		after: `mkdir -p $dir/elsewhere && mount --rbind $cg $dir/elsewhere && umount --recursive $cg`,
	},
	{
		name: "a hierarchy where LXC does not look", sites: []string{"mountedForLXC: text f.mountsInRoot(names)"},
		check: "lxc-view", text: "mount them there too",
		after: `mkdir -p $dir/elsewhere && mount --bind $cg/memory $dir/elsewhere && umount $cg/memory`,
	},
	{
		name: "cgroups in a directory of cgroups where LXC does not look", sites: []string{"mountedForLXC: have this machine's init mount them in", "mountedForLXC: outside, have "},
		cannot: "another one starts the machine's init, or its container",
	},
	{
		name: "lxc.cgroup.use wants more than the session has", sites: []string{"fixedWith: text + also append"},
		check: "lxc-view", text: "write -c freezer,pids,memory in",
		before: `sed -i 's/pam_cgdeleg.so/& -c freezer,pids/' $su; mkdir -p $home/.config/lxc; echo 'lxc.cgroup.use = freezer,memory' >$home/.config/lxc/lxc.conf; own`,
		then:   both,
	},
	{
		name: "lxc.cgroup.use wants what there is not", sites: []string{"checkCgroupUse: text without", "fixedWith: nil also"},
		check: "lxc-view", text: "write lxc.cgroup.use = freezer in",
		before: `mkdir -p $home/.config/lxc; echo 'lxc.cgroup.use = freezer,nosuch' >$home/.config/lxc/lxc.conf; own`,
	},
	{
		name: "lxc.cgroup.use without all controllers of a hierarchy", sites: []string{"checkCgroupUse: f.edit(at.File)"},
		check: "lxc-view", text: "write lxc.cgroup.use = freezer,pids, or remove the line lxc.cgroup.use",
		before: `mkdir -p $home/.config/lxc; echo 'lxc.cgroup.use = freezer, pids' >$home/.config/lxc/lxc.conf; own`,
		edit:   `sed -i 's/ pids/pids/' "$@"`,
	},
	{
		name: "LXC that needs freezer", sites: []string{"fixedWith: make a session with"},
		cannot: "it takes LXC 3.0",
	},
	{
		name: "only a v2 without what LXC sees", sites: []string{"checkLXCView: f.openFix() \"\""},
		cannot: "it takes a cgroup v2 without controllers, and here it has one",
	},
	{
		name: "lxc.cgroup.relative on cgroup v2", sites: []string{"checkLXCView: remove the line lxc.cgroup.relative"},
		cannot: "it takes a machine with cgroup v2 alone",
	},
	{
		name: "shell beside elogind's cgroup", sites: []string{"lxcOutside: move the shell below"},
		cannot: elogind,
	},
	{
		name: "lxc.idmap that is none", sites: []string{"checkConfigIDMap: correct lxc.idmap"},
		check: "config-idmap", text: "correct lxc.idmap",
		args:   "--container c1",
		before: `box 'lxc.idmap = u zero 1 2'`,
		person: `sed -i '/zero/d' $config`,
	},
	{
		name: "no lxc.idmap", sites: []string{"noIDMap: strings.Join(lines"},
		check: "config-idmap", text: "add lines lxc.idmap",
		args:   "--container c1",
		before: `box; sed -i /idmap/d $config; printf '# no newline' >>$config`,
		holds:  `grep -q "^lxc.idmap = u 0 $ids 65536" $config && grep -q "^lxc.idmap = g 0 $ids 65536" $config`,
	},
	{
		name: "no lxc.idmap, and no ranges", sites: []string{"noIDMap: f.Config.File f.editAny", "ownRangesFor: \"\" edit", "addOwnRange: \"\" add"},
		cannot: "without ranges the check subid comes first",
	},
	{
		name: "lxc.idmap with IDs that nobody has", sites: []string{"checkIDMaps: these IDs in"},
		check: "config-idmap", text: "give cgfixes these IDs",
		args:   "--container c1",
		before: `box; sed -i s/^cgfixes:.*/cgfixes:$((ids + 1000)):30000/ /etc/subuid /etc/subgid`,
	},
	{
		name: "lxc.idmap with a group of the user's", sites: []string{"checkIDMaps: these IDs in"},
		check: "config-idmap", text: "cgfixes is in the group ",
		works:  `lxc-usernsexec -m g:0:29:1 -m u:0:$(id -u):1 -- true`,
		args:   "--container c1",
		before: `usermod -aG audio cgfixes; box; sed -i "s/g 0 $ids 65536/g 0 $ids 29\nlxc.idmap = g 29 29 1\nlxc.idmap = g 30 $((ids + 30)) 65506/" $config`,
	},
	{
		name: "lxc.idmap with IDs of others", sites: []string{"checkIDMaps: these IDs may be those of other users", "ownRangesFor: strings.Join(lines"},
		check: "config-idmap", text: "these IDs may be those of other users",
		args:   "--container c1",
		before: `box; sed -i "s/$ids/65534/" $config; chown 65534 $home/c1`,
		person: `chown $ids $home/c1`,
	},
	{
		name: "lxc.idmap with an ID twice", sites: []string{"checkMapItself: write the two lines so that they do not overlap"},
		check: "config-idmap", text: "write the two lines so that they do not overlap",
		args:   "--container c1",
		before: `box "lxc.idmap = u 1000 $uid 1"`,
		edit:   `sed -i "s/u 0 $ids 65536/u 0 $ids 1000/" "$@"; echo "lxc.idmap = u 1001 $((ids + 1001)) 64535" >>"$@"`,
	},
	{
		name: "lxc.idmap with IDs that there are not", sites: []string{"checkMapItself: outside, give this container more IDs"},
		check: "config-idmap", text: "or write only IDs into lxc.idmap that /proc/self/uid_map has here",
		args:   "--container c1",
		before: `box; sed -i "s/u 0 $ids 65536/u 0 4294960000 65536/" $config`,
		edit:   `sed -i "s/u 0 4294960000 65536/u 0 $ids 65536/" "$@"`,
	},
	{
		name: "lxc.idmap without group IDs", sites: []string{"checkMapItself: add a line with", "addOwnRange: line add"},
		check: "config-idmap", text: "add a line with cgfixes's range of group IDs",
		args:   "--container c1",
		before: `box; sed -i '/idmap = g/d' $config`,
	},
	{
		name: "limits of a controller that was not asked for", sites: []string{"fixedWith: text + also append"},
		check: "config-limits", text: "write -c freezer,pids,memory in",
		args:   "--container c1",
		before: `sed -i 's/pam_cgdeleg.so/& -c freezer,pids/' $su; box 'lxc.cgroup.memory.limit_in_bytes = 64M'`,
		then:   both,
	},
	{
		name: "limits of a controller that is not mounted", sites: []string{"lackingFix: mount the hierarchy, and run cgdeleg check again"},
		check: "config-limits", text: "mount the hierarchy, and run cgdeleg check again",
		args:   "--container c1",
		before: `box 'lxc.cgroup.memory.limit_in_bytes = 64M'; umount $cg/memory`,
		then:   newLogin,
	},
	{
		name: "limits of a controller that the session lacks on cgroup v2", sites: []string{"lackingOnV2: or remove these limits from the configuration"},
		cannot: onV2,
	},
	{
		name: "limits of a controller that is nowhere", sites: []string{"lackingFix: remove these limits from"},
		check: "config-limits", text: "remove these limits from the configuration",
		args:   "--container c1",
		before: `box 'lxc.cgroup.nosuch.limit = 1'`,
		edit:   `sed -i /nosuch/d "$@"`,
	},
	{
		name: "limits for the other version", sites: []string{"ignoredLimits: text"},
		check: "config-limits", text: "in place of these limits write, for cgroup v1: lxc.cgroup.memory.limit_in_bytes = 64M",
		args:   "--container c1",
		before: `box 'lxc.cgroup2.memory.max = 64M'`,
		edit:   `sed -i 's/lxc.cgroup2.memory.max = 64M/lxc.cgroup.memory.limit_in_bytes = 64M/' "$@"`,
	},
	{
		name: "limit by the name of the other version", sites: []string{"noLimitFile: strings.Join(lines"},
		check: "config-limits", text: " write lxc.cgroup.memory.limit_in_bytes = 64M",
		args:   "--container c1",
		before: `box 'lxc.cgroup.memory.max = 64M'`,
		edit:   `sed -i 's/memory.max/memory.limit_in_bytes/' "$@"`,
	},
	{
		name: "limit that is misspelt", sites: []string{"noLimitFile: limitKey(l.Unified, name)"},
		check: "config-limits", text: " write lxc.cgroup.memory.limit_in_bytes = 64M",
		args:   "--container c1",
		before: `box 'lxc.cgroup.memory.limit_in_byte = 64M'`,
		edit:   `sed -i 's/limit_in_byte/limit_in_bytes/' "$@"`,
	},
	{
		name: "limit that no file has", sites: []string{"noLimitFile: write the name of a file"},
		check: "config-limits", text: "or remove the line of lxc.cgroup.",
		args:   "--container c1",
		before: `box 'lxc.cgroup.memory.limt = 64M'`,
		edit:   `sed -i /limt/d "$@"`,
	},
}

var containerKinds = []kind{
	{
		name: "line of the configuration that is none", sites: []string{"lineResult: text f.editAny"},
		check: "config", text: "correct line ",
		args:   "--container c1",
		before: `box 'lxc.include = /usr/share/lxc/config/nosuch.conf'`,
		edit:   `sed -i /nosuch/d "$@"`,
	},
	{
		name: "configuration that cannot be read", sites: []string{"checkConfig: read the configuration, and go through"},
		cannot: "cgdeleg check ends with that error before any check",
	},
	{
		name: "key that LXC has not", sites: []string{"noKey: text"},
		check: "config", text: "remove the line of lxc.",
		args:   "--container c1",
		before: `box 'lxc.foo = 1'`,
		edit:   `sed -i /foo/d "$@"`,
	},
	{
		name: "key of a later LXC", sites: []string{"laterKeys: or install a later LXC"},
		check: "config", text: "remove that line",
		args:   "--container c1",
		before: `box 'lxc.environment.runtime = A=1'`,
		edit:   `sed -i /runtime/d "$@"`,
	},
	{
		name: "file that a container's configuration names and is not there", sites: []string{"checkNeededFiles: text edits"},
		check: "config", text: "make it, or correct the line",
		args:   "--container c1",
		before: `box 'lxc.mount.entry = /nosuch mnt none bind,create=dir 0 0'`,
		edit:   `sed -i /nosuch/d "$@"`,
	},
	{
		name: "configuration with carriage returns", sites: []string{"checkReturns: remove the carriage returns from"},
		cannot: "it takes LXC before 4.0",
	},
	{
		name: "value that LXC does not take", sites: []string{"checkValues: \"write \" + want"},
		check: "config", text: "write 1 in place of true",
		args:   "--container c1",
		before: `box 'lxc.start.auto = true'`,
		edit:   `sed -i 's/auto = true/auto = 1/' "$@"`,
	},
	{
		name: "log that the user may not write", sites: []string{"checkValues: \"name in \" + key"},
		check: "config", text: "or remove the line",
		args:   "--container c1",
		before: `box "lxc.log.file = $dir/logs/c1.log"; mkdir $dir/logs`,
		edit:   `sed -i /log.file/d "$@"`,
	},
	{
		name: "size that the kernel does not take", sites: []string{"checkLimitValues: \"write \" + shorter"},
		check: "config-limits", text: "write 64M in place of 64MB",
		args:   "--container c1",
		before: `box 'lxc.cgroup.memory.limit_in_bytes = 64MB'`,
		edit:   `sed -i 's/64MB/64M/' "$@"`,
	},
	{
		name: "size that is none", sites: []string{"checkLimitValues: \"write \" + number"},
		check: "config-limits", text: "write a number of bytes, or one followed by K, M or G, or -1, as the value of lxc.cgroup.memory.limit_in_bytes",
		args:   "--container c1",
		before: `box 'lxc.cgroup.memory.limit_in_bytes = much'`,
		edit:   `sed -i 's/much/64M/' "$@"`,
	},
	{
		name: "default configuration that only root's containers have", sites: []string{"inOwnCopy: fix.Text"},
		check: "config-idmap", text: "which LXC reads only for root's containers",
		args: "--lxc-config /etc/lxc/default.conf", argsAfter: "--lxc-config ~/.config/lxc/default.conf",
		before: `mkdir -p /etc/lxc; echo 'lxc.net.0.type = empty' >$dir/default.conf; [ -e /etc/lxc/default.conf ] || touch /etc/lxc/default.conf; mount --bind $dir/default.conf /etc/lxc/default.conf`,
	},
	{
		name: "no user namespace of the container's own", sites: []string{"checkConfigNamespaces: ownNamespace(user"},
		check: "config", text: "remove the line lxc.namespace.keep",
		args:   "--container c1",
		before: `box 'lxc.namespace.keep = user'`,
		edit:   `sed -i /keep/d "$@"`,
	},
	{
		name: "namespace of another container's", sites: []string{"checkConfigNamespaces: share the user namespace as well"},
		check: "config", text: "or remove the line lxc.namespace.share.net",
		args:   "--container c1",
		before: `box 'lxc.namespace.share.net = 1'`,
		edit:   `sed -i /share/d "$@"`,
	},
	{
		name: "sysfs without a network namespace of the container's own", sites: []string{"checkConfigDeeds: text f.editAny"},
		check: "config", text: "set lxc.net.0.type to empty, or to veth, with a bridge",
		args:   "--container c1",
		before: `box; sed -i 's/type = empty/type = none/' $config`,
		edit:   `sed -i 's/type = none/type = empty/' "$@"`,
	},
	{
		name: "keys of before LXC 2.1", sites: []string{"oldKeys: write the new keys"},
		check: "config", text: "have lxc-update-config write the new keys in place of the old ones",
		args:   "--container c1",
		before: `box 'lxc.utsname = c1' 'lxc.kmsg = 0' 'lxc.aa_profile = unconfined' 'lxc.tty = 1'; sed -i 's/lxc.net.0.type/lxc.network.type/; s/lxc.rootfs.path = dir:/lxc.rootfs = /; s/lxc.idmap/lxc.id_map/' $config`,
	},
	{
		name: "old key that lxc-update-config leaves", sites: []string{"oldKeys: text edit"},
		check: "config", text: "write lxc.prlimit.nofile in place of",
		args:   "--container c1",
		before: `box 'lxc.limit.nofile = 100'`,
		edit:   `sed -i s/lxc.limit/lxc.prlimit/ "$@"`,
	},
	{
		name: "old key that is gone", sites: []string{"oldKeys: text edit"},
		check: "config", text: "remove the line of lxc.",
		args:   "--container c1",
		before: `box 'lxc.kmsg = 0'; rm /usr/bin/lxc-update-config`,
		edit:   `sed -i /kmsg/d "$@"`,
	},
	{
		name: "network device of root's alone", sites: []string{"checkConfigNetwork: to veth, with a bridge, or to empty"},
		check: "config-network", text: "to veth, with a bridge, or to empty",
		args:   "--container c1",
		before: `box 'lxc.net.0.type = macvlan' 'lxc.net.0.link = lo'`,
		edit:   `sed -i 's/macvlan/empty/; /link/d' "$@"`,
	},
	{
		name: "veth without a bridge", sites: []string{"withoutBridge: name a bridge on which"},
		check: "config-network", text: "name a bridge on which cgfixes may have devices",
		args:   "--container c1",
		before: bridge + `box 'lxc.net.0.type = veth'; echo 'cgfixes veth br0 1' >/etc/lxc/lxc-usernet`,
		edit:   `echo 'lxc.net.0.link = br0' >>"$@"`,
		works:  makesDevice,
	},
	{
		name: "lxc-user-nic on a mount with nosuid", sites: []string{"checkUserNIC: f.remounted"},
		check: "config-network", text: "mount it without nosuid",
		args:   "--container c1",
		before: veth + `mount --bind /usr/libexec/lxc /usr/libexec/lxc && mount -o remount,bind,nosuid /usr/libexec/lxc`,
		works:  makesDevice,
	},
	{
		name: "lxc-user-nic without set-user-ID", sites: []string{"checkUserNIC: make lxc-user-nic set-user-ID root"},
		check: "config-network", text: "make lxc-user-nic set-user-ID root",
		args:   "--container c1",
		before: veth + `chown 1:1 /usr/libexec/lxc/lxc-user-nic`,
		works:  makesDevice,
	},
	{
		name: "no line in lxc-usernet", sites: []string{"usernetFix: f.allowDevices"},
		check: "config-network", text: "allow cgfixes 10 network devices on br0",
		args:   "--container c1",
		before: veth + `printf 'other veth br0 1' >/etc/lxc/lxc-usernet`,
		works:  makesDevice,
	},
	{
		name: "0 devices in lxc-usernet", sites: []string{"usernetFix: f.allowDevices"},
		check: "config-network", text: "allow cgfixes 10 network devices on br0",
		args:   "--container c1",
		before: veth + `echo 'cgfixes veth br0 0' >/etc/lxc/lxc-usernet`,
		works:  makesDevice,
	},
	{
		name: "more devices than lxc-usernet gives", sites: []string{"quotaFix: f.allowDevices(most, bridge) asRoot"},
		check: "config-network", text: "allow cgfixes 10 network devices on br0",
		args:   "--container c1",
		before: veth + `printf '%s\n' 'lxc.net.1.type = veth' 'lxc.net.1.link = br0' >>$config`,
		works:  makesDevice,
	},
	{
		name: "more devices than lxc-usernet gives by a line with more words", sites: []string{"quotaFix: f.allowDevices(most, bridge) f.addUsernet"},
		check: "config-network", text: "allow cgfixes 10 network devices on br0",
		args:   "--container c1",
		before: veth + `printf '%s\n' 'lxc.net.1.type = veth' 'lxc.net.1.link = br0' >>$config; echo 'cgfixes veth br0 1 # one' >/etc/lxc/lxc-usernet`,
		works:  makesDevice,
	},
	{
		name: "group in lxc-usernet to which the user was added", sites: []string{"usernetFix: may have network devices on"},
		cannot: "a login does not take the groups of the machine's own files here",
	},
	{
		name: "blank before a line of lxc-usernet", sites: []string{"usernetFix: remove the blank before line"},
		check: "config-network", text: "remove the blank before line ",
		args:   "--container c1",
		before: veth + `echo ' cgfixes veth br0 1' >/etc/lxc/lxc-usernet`,
		works:  makesDevice,
	},
	{
		name: "no line in lxc-usernet, and no such bridge", sites: []string{"usernetFix: f.allowDevices"},
		check: "config-network", text: "allow cgfixes 10 network devices on br1; and make the bridge",
		args:   "--container c1",
		before: veth + `sed -i s/br0/br1/ $config`,
		edit:   `sed -i s/br1/br0/ "$@"`,
	},
	{
		name: "no lxcbr0 where a service makes it", sites: []string{"bridgeThere: start the service that makes"},
		check: "config-network", text: "start the service that makes lxcbr0",
		args:   "--container c1",
		before: "rm -rf /run/lxc; " + veth + `sed -i s/br0/lxcbr0/ $config /etc/lxc/lxc-usernet`,
		holds:  `ls /etc/rc2.d/S*lxc-net && ip -brief address show lxcbr0 | grep 10.0.3.1`,
	},
	{
		name: "no lxcbr0 where a service is told to make none", sites: []string{"bridgeOff: have lxc-net make it"},
		check: "config-network", text: "have lxc-net make it",
		args:   "--container c1",
		before: "rm -rf /run/lxc; " + veth + `sed -i s/br0/lxcbr0/ $config /etc/lxc/lxc-usernet; echo 'USE_LXC_BRIDGE="false"' >/etc/default/lxc-net`,
		holds:  `ls /etc/rc2.d/S*lxc-net && ip -brief address show lxcbr0 | grep 10.0.3.1`,
	},
	{
		name: "no lxcbr0 where a service makes another", sites: []string{"bridgeOff: name in its place"},
		check: "config-network", text: "name in its place br0",
		args:   "--container c1",
		before: veth + `sed -i s/br0/lxcbr0/ $config; echo 'cgfixes veth lxcbr0 1' >>/etc/lxc/lxc-usernet; echo LXC_BRIDGE=br0 >/etc/default/lxc-net`,
		edit:   `sed -i s/lxcbr0/br0/ "$@"`,
	},
	{
		name: "no such bridge", sites: []string{"bridgeThere: make the bridge, or name one that is there"},
		check: "config-network", text: "make the bridge, or name one that is there",
		args:   "--container c1",
		before: veth + `ip link del br0; ip link add br1 type bridge; echo 'cgfixes veth br1 1' >>/etc/lxc/lxc-usernet`,
		edit:   `sed -i s/br0/br1/ "$@"`,
	},
	{
		name: "a generated profile", sites: []string{"checkConfigAppArmor: write lxc.apparmor.profile = unconfined"},
		check: "config-apparmor", text: "write lxc.apparmor.profile = unconfined",
		args:   "--container c1",
		before: apparmor,
	},
	{
		name: "limit of processes that LXC does not understand", sites: []string{"checkPrlimits: write SOFT:HARD"},
		check: "config", text: "write SOFT:HARD",
		args:   "--container c1",
		before: `box 'lxc.prlimit.nofile = many'`,
		edit:   `sed -i s/many/1024:1024/ "$@"`,
	},
	{
		name: "overlay where no user may mount it", sites: []string{"checkRootfsOverlay: make the container again in a directory"},
		check: "config-rootfs", text: "make the container again in a directory",
		args: "--container c1",
		before: `box; mkdir -p $home/lower $home/upper; sed -i "s,^lxc.rootfs.path.*,lxc.rootfs.path = overlay:$home/lower:$home/upper," $config
			echo 5.10.0 >$dir/release; mount --bind $dir/release /proc/sys/kernel/osrelease; echo Linux version 5.10.0 >$dir/version; mount --bind $dir/version /proc/version`,
		edit: `sed -i "s,^lxc.rootfs.path.*,lxc.rootfs.path = dir:$home/c1," "$@"`,
	},
	{
		name: "limit of swap that is not counted", sites: []string{"noSwapFiles: this kernel does not count swap", "noSwapFiles: or, if the kernel is to count swap"},
		cannot: "it takes a kernel before 6.1 that does not count swap",
	},
	{
		name: "root file system in an image", sites: []string{"mountedByRoot: make the container again in a directory"},
		check: "config-rootfs", text: "or unpack its root file system in a directory, and name that in",
		args:   "--container c1",
		before: `box; touch $home/c1.img; sed -i "s,^lxc.rootfs.path.*,lxc.rootfs.path = loop:$home/c1.img," $config`,
		edit:   `sed -i 's,loop:\(.*\).img,dir:\1,' "$@"`,
	},
	{
		name: "no root file system", sites: []string{"rootfsGone: or, if it is gone, make the container again by lxc-create"},
		check: "config-rootfs", text: "or, if it is gone, make the container again by lxc-create",
		args:   "--container c1",
		before: `box; rmdir $home/c1`,
		edit:   `: the container is made again`,
		types:  `cd; grep -v rootfs .local/share/lxc/c1/config >c1.conf; rm -r .local/share/lxc/c1; lxc-create -n c1 -f c1.conf -t busybox`,
	},
	{
		name: "root file system beside the one that is named", sites: []string{"rootfsGone: if that is the container's"},
		check: "config-rootfs", text: "if that is the container's",
		args:   "--container c1",
		before: `box; sed -i "s,^lxc.rootfs.path.*,lxc.rootfs.path = dir:$home/c2," $config; mv $home/c1 $home/rootfs`,
	},
	{
		name: "root file system of others", sites: []string{"checkConfigRootfs: or change the owners of its files to the container's IDs"},
		check: "config-rootfs", text: "or change the owners of its files to the container's IDs",
		args:   "--container c1",
		before: `box; chown 0:0 $home/c1`,
		person: `chown -R $ids:$ids $home/c1`,
	},
}

// bridge makes one in the machine's own network; veth has the container want a device on it.
const (
	bridge = `own_sysfs; ip link add br0 type bridge; `
	veth   = bridge + `box 'lxc.net.0.type = veth' 'lxc.net.0.link = br0'; echo 'cgfixes veth br0 1' >/etc/lxc/lxc-usernet; `
)

// makesDevice is what lxc-user-nic is for: a device in a network namespace of the user's.
const makesDevice = `unshare --user --net --map-root-user sleep 30 & sleep 0.2
/usr/libexec/lxc/lxc-user-nic create ~/.local/share/lxc c1 $! veth br0 eth0; made=$?; kill $!; test $made = 0`

// apparmor is a kernel with AppArmor, to those who ask in /sys, and a container that wants it.
const apparmor = `mount -t tmpfs tmpfs /sys/module; mkdir -p /sys/module/apparmor/parameters; echo Y >/sys/module/apparmor/parameters/enabled; box; sed -i 's/apparmor.profile = unconfined/apparmor.profile = generated/' $config; `
