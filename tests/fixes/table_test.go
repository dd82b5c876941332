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
		name: "root asks", sites: []string{"checkUser: check a user's login instead"},
		check: "user", text: "check a user's login instead",
		args: "--pid 1", argsAfter: "--user cgfixes",
	},
	{
		name: "no cgroups mounted", sites: []string{"mountResult: \"mount what the kernel has; \" + manager f.mountAll()"},
		check: "mode", text: "mount what the kernel has",
		after: `umount --recursive /sys/fs/cgroup`,
		then:  both,
	},
	{
		name: "no cgroups mounted, and cgmanager", sites: []string{"cgmanagerResult: ask cgmanager"},
		cannot: "it takes LXC before 3.0 and its cgmanager",
	},
	{
		name: "no place for cgroups", sites: []string{"mountResult: \"mount what the kernel has; \" + manager$"},
		check: "mode", text: "mount what the kernel has",
		after:  `umount --recursive /sys/fs/cgroup && mount -t tmpfs tmpfs /sys/fs`,
		person: `mkdir /sys/fs/cgroup && mount -t tmpfs cgroup /sys/fs/cgroup && mkdir $cg/memory $cg/pids && mount -t cgroup -o memory cgroup $cg/memory && mount -t cgroup -o pids cgroup $cg/pids`,
		then:   both,
	},
	{
		name: "something in the place of cgroups", sites: []string{"mountResult: \"mount what the kernel has as this machine's init does that"},
		check: "mode", text: "as this machine's init does that",
		after:  `umount --recursive /sys/fs/cgroup && mount -t tmpfs tmpfs /sys/fs/cgroup && mkdir $cg/other $cg/memory $cg/pids`,
		person: `mount -t cgroup -o memory cgroup $cg/memory && mount -t cgroup -o pids cgroup $cg/pids`,
		then:   both,
	},
	{
		name: "hierarchy covered", sites: []string{"checkMounts: take away what is mounted over them"},
		check: "mounts", text: "take away what is mounted over them",
		after: `mount -t tmpfs tmpfs $cg/pids; mount -t tmpfs tmpfs $cg/freezer`,
	},
	{
		name: "all hierarchies covered", sites: []string{"checkMounts: take away what is mounted over them"},
		check: "mounts", text: "take away what is mounted over them",
		after: `mount -t tmpfs tmpfs $cg`,
	},
	{
		name: "hierarchy of another cgroup namespace", sites: []string{"checkMounts: mount them again"},
		check: "mounts", text: "mount them again",
		init: inNamespace,
		then: newLogin,
	},
	{
		name: "hierarchies read-only", sites: []string{"checkReadOnly: mount them writable"},
		check: "mounts", text: "mount them writable",
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
		check: "pam-line", text: "correct them",
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
		name: "controller not mounted", sites: []string{"checkHierarchies: mount them, or take them off"},
		check: "hierarchies", text: "mount them, or take them off -c",
		before: `sed -i 's/pam_cgdeleg.so/& -c memory,pids,cpuset/' $su; umount $cg/cpuset`,
		then:   newLogin,
	},
	{
		name: "processes in the base", sites: []string{"checkBase: move them to a leaf, before anybody logs in"},
		check: "base", text: "move them to a leaf",
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
		name: "list after -c of cgroup v1", sites: []string{"checkHierarchies: \"take them off -c in"},
		cannot: "it takes a machine with cgroup v2 alone",
	},
	{
		name: "hierarchies that Docker mounted read-only", sites: []string{"checkReadOnly: dockerText"},
		cannot: "it takes Docker",
	},
	{
		name: "shell outside of its cgroup namespace", sites: []string{"checkNamespace: log in to the container, or enter"},
		cannot: "the command is an example, with PID in the place of a number",
	},
	{
		name: "container without cgroups", sites: []string{"checkContainer: outside, start it from a login that has cgroups", "checkContainer: outside, start it from a login that has \" + strings.Join"},
		elsewhere: "clients/nested_test.go",
	},
}

var pamKinds = []kind{
	{
		name: "shell from outside of the container", sites: []string{"checkLogin: \"log in by ssh or the console\" f.openFix()"},
		check: "login", text: "log in by ssh or the console; until then make a session for this shell",
		way: outside,
	},
	{
		name: "shell past PAM", sites: []string{"checkLogin: \"log in by ssh or the console\" f.openFix()", "openFix: make a session for this shell"},
		check: "login", text: "log in by ssh or the console; until then make a session for this shell",
		way: withoutPAM,
	},
	{
		name: "unknown application", sites: []string{"strangersResult: see whether its PAM service has a line"},
		check: "login", text: "see whether its PAM service has a line",
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
		name: "module not installed", sites: []string{"checkModule: \"for every login \" + install f.openFix()"},
		check: "module", text: "for every login install pam_cgdeleg",
		before: `rm $security/pam_cgdeleg.so; sed -i /pam_cgdeleg/d $su`,
		person: `cp $built/pam_cgdeleg.so $security; echo 'session optional pam_cgdeleg.so' >>$su`,
		then:   both,
	},
	{
		name: "module not installed, for a user", sites: []string{"checkModule: \", for the next login\""},
		check: "module", text: ", for the next login",
		args:   "--user cgfixes",
		before: `rm $security/pam_cgdeleg.so; sed -i /pam_cgdeleg/d /etc/pam.d/sshd`,
		person: `cp $built/pam_cgdeleg.so $security; echo 'session optional pam_cgdeleg.so' >>/etc/pam.d/sshd`,
	},
	{
		name: "no PAM", sites: []string{"noPAMResult: every f.openFix()"},
		check: "module", text: "for every login have root call cgdeleg open",
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
		check: "pam-line", text: "for every login add the line",
		before: `printf '%s\n' 'auth sufficient pam_rootok.so' 'account required pam_permit.so' >$su; printf 'session required pam_permit.so' >>$su`,
		then:   both,
	},
	{
		name: "PAM line missing, for a user", sites: []string{"fixedForAll: text command"},
		check: "pam-line", text: "for every login add the line",
		args:   "--user cgfixes",
		before: `sed -i /pam_cgdeleg/d /etc/pam.d/sshd`,
	},
	{
		name: "PAM line missing, in a session", sites: []string{"fixedForAll: text command"},
		check: "pam-line", text: "for every login add the line",
		before: `sed -i /pam_cgdeleg/d $su`,
		after:  `cgdeleg open --user $name --pid $pid`,
		then:   both,
	},
	{
		name: "PAM line missing, service of a vendor", sites: []string{"lineForAll: text byHand"},
		check: "pam-line", text: "/etc/pam.d/su, a copy of /usr/lib/pam.d/su",
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
		name: "PAM line missing, profile and a file that was edited", sites: []string{"lineForAll: for every login switch its profile on"},
		check: "pam-line", text: "if pam-auth-update leaves a file alone that was edited, add the line",
		before: `profile; sed -i '/pam_unix/d' /etc/pam.d/common-session`,
		person: `grep pam_cgdeleg /etc/pam.d/common-session || echo 'session optional pam_cgdeleg.so' >>/etc/pam.d/common-session`,
		then:   both,
		holds:  `test "$(grep -c pam_cgdeleg /etc/pam.d/common-session)" = 1`,
	},
	{
		name: "PAM line missing, profile", sites: []string{"lineForAll: for every login switch its profile on"},
		check: "pam-line", text: "for every login switch its profile on",
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
		name: "pam_cgfs instead of the module, service of a vendor", sites: []string{"renamed: made of"},
		check: "pam-line", text: "made of /usr/lib/pam.d/su",
		before: `sed -i s/pam_cgdeleg/pam_cgfs/ $su; mv $su /usr/lib/pam.d/su`,
		then:   both,
		holds:  `grep pam_cgfs /usr/lib/pam.d/su`,
	},
	{
		name: "pam_cgfs instead of the module, profile", sites: []string{"renamed: for every login take pam_cgfs's line out"},
		check: "pam-line", text: "take pam_cgfs's line out of /etc/pam.d/common-session",
		before: `profile; echo 'session optional pam_cgfs.so -c freezer,memory,name=systemd' >>/etc/pam.d/common-session`,
		then:   both,
		holds:  `test "$(grep -c pam_cgdeleg /etc/pam.d/common-session)" = 1`,
	},
	{
		name: "system account", sites: []string{"leftOutResult: text"},
		check: "pam-line", text: "add min_uid=26001 to the line",
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
		name: "line that always skips the module's", sites: []string{"checkPAMReached: put the line of pam_cgdeleg.so before it"},
		check: "pam-reached", text: "put the line of pam_cgdeleg.so before it, write ignore there in place of the jump 1",
		before: `sed -i '/pam_cgdeleg/i session [success=1 default=ignore] pam_permit.so' $su`,
		edit:   `line=$(grep pam_cgdeleg "$@"); sed -i /pam_cgdeleg/d "$@"; sed -i "/success=1/s/^/$line\n/; s/success=1/success=ignore/" "$@"`,
		then:   newLogin,
	},
	{
		name: "line that always ends the stack before the module's", sites: []string{"checkPAMReached: put the line of pam_cgdeleg.so before it"},
		check: "pam-reached", text: "put the line of pam_cgdeleg.so before it, and log in again",
		before: `sed -i '/pam_cgdeleg/i session sufficient pam_permit.so' $su`,
		edit:   `line=$(grep pam_cgdeleg "$@"); sed -i /pam_cgdeleg/d "$@"; sed -i "/sufficient pam_permit/s/^session/$line\nsession/" "$@"`,
		then:   newLogin,
	},
	{
		name: "line that may skip the module's", sites: []string{"checkPAMReached: see whether it does"},
		check: "pam-reached", text: "see whether it does",
		before: `sed -i '/pam_cgdeleg/i session sufficient pam_succeed_if.so quiet uid >= 1000' $su`,
		says:   "A login of cgfixes by su gets no cgroup in which cgfixes can make others.",
		person: `sed -i /pam_succeed_if/d $su`,
		then:   newLogin,
	},
	{
		name: "order of the PAM lines", sites: []string{"checkPAMOrder: put the line of pam_cgdeleg.so after it"},
		check: "pam-order", text: "put the line of pam_cgdeleg.so after it",
		before: `echo 'session optional pam_systemd.so' >>$su`,
		edit:   `line=$(grep pam_cgdeleg "$@"); sed -i /pam_cgdeleg/d "$@"; echo "$line" >>"$@"`,
		then:   newLogin,
	},
	{
		name: "pam_cgfs as well", sites: []string{"checkPAMCgfs: take its line out, or its package away"},
		check: "pam-cgfs", text: "take its line out, or its package away",
		before: `for service in su cron; do echo 'session optional pam_cgfs.so' >>/etc/pam.d/$service; done`,
		edit:   `sed -i /pam_cgfs/d "$@"`,
	},
	{
		name: "pam_cgfs's package", sites: []string{"checkPAMCgfs: take its package away"},
		cannot: "libpam-cgfs is not installed here: apt-get remove would do nothing",
	},
}

// noPAM leaves no PAM on the machine, but a dropbear that starts shells.
const noPAM = `
rm -r /etc/pam.d /etc/pam.conf /usr/lib/pam.d $security/pam_cgdeleg.so
printf '%s\n' '#!/bin/sh' 'setpriv --reuid $uid --regid $uid --clear-groups sh' : >$dir/bin/dropbear
chmod 755 $dir/bin/dropbear`

var sessionKinds = []kind{
	{
		name: "elogind's cgroup of another login", sites: []string{"leftAloneResult: log in by ssh or the console"},
		cannot: elogind,
	},
	{
		name: "no scope of systemd's", sites: []string{"waysToScope: text commands"},
		cannot: noSystemd,
	},
	{
		name: "what LXC asks systemd's user manager for", sites: []string{
			"askerUntold: see that it names the user's own bus", "lackedByManager: without edit", "lackedByManager: text + \"; or \" + without",
		},
		cannot: noSystemd,
	},
	{
		name: "a shell of WSL's init", sites: []string{"wslResult: f.openFix()", "wslResult: text login"},
		cannot: "it takes the init of WSL",
	},
	{
		name: "no drop-in", sites: []string{"delegationResult: install it", "delegationResult: build the machine anew"},
		elsewhere: "vm/scenarios/check.sh",
	},
	{
		name: "drop-in that systemd has not read", sites: []string{"delegationResult: \"have systemd read it"},
		elsewhere: "vm/scenarios/breakages.sh",
	},
	{
		name: "drop-in that takes Delegate away", sites: []string{"delegationResult: take that line out of"},
		elsewhere: "vm/scenarios/breakages.sh",
	},
	{
		name: "systemd without cgroup v1", sites: []string{"checkSystemdV1: f.unifiedFix()", "unifiedFix: fix.Commands"},
		cannot: reboot,
	},
	{
		name: "realtime processes", sites: []string{"checkRealtime: stop them, or move them to the root cgroup", "keptByRealtime: see the check realtime"},
		cannot: onV2,
	},
	{
		name: "controller that cgroup v1 has", sites: []string{"onV1: ask for it there", "lackingResult: c.fix.Text"},
		check: "controllers", text: "ask for it there, by -c",
		before: `sed -i 's/pam_cgdeleg.so/& -c unified,memory/' $su`,
		person: `sed -i 's/unified,memory/unified,memory,cpu,pids/' $su`,
		then:   newLogin,
	},
	{
		name: "controller turned off on the kernel's command line", sites: []string{
			"commandLineFix: text + \", and start the machine again\" Commands", "commandLineFix: in cmdline.txt on the boot partition",
			"commandLineFix: in the boot loader's configuration", "checkHierarchies: fix.Text fix.Commands",
			"commandLineFix: outside, on the machine",
		},
		cannot: reboot,
	},
	{
		name: "controller that is not given on", sites: []string{
			"giveOnFix: enable it there (and log in again)", "giveOnFix: look whether processes are in", "giveOnFix: have systemd look again",
			"giveOnFix: add %s to Delegate=", "giveOnFix: Text: text Commands: commands", "causeOf: log in again, and look in the system's log", "notInKernel: outside, start this container",
			"boundElsewhere: take away what mounts it as cgroup v1", "notGivenOn: end all that runs in it",
		},
		cannot: onV2,
	},
	{
		name: "moved out of the session", sites: []string{"checkSession: also f.openFix()"},
		check: "session", text: "make a session for this shell",
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
		name: "way to the session closed", sites: []string{"checkParents: open them"},
		check: "parents", text: "open them",
		after: `chmod 700 $cg/pids/user/$name`,
	},
	{
		name: "processes in the session itself", sites: []string{"checkLeaf: move them to a leaf"},
		check: "leaf", text: "move them to a leaf",
		typed: `echo -hugetlb >/sys/fs/cgroup/unified/user/cgfixes/0/cgroup.subtree_control; echo $$ >/sys/fs/cgroup/unified/user/cgfixes/0/cgroup.procs`,
	},
	{
		name: "threaded session", sites: []string{"checkLeaf: and then log in again: what made it so cannot be taken back"},
		check: "leaf", text: "and then log in again: what made it so cannot be taken back",
		after: `cd $cg/unified/user/$name; for p in $(cat 0/init.scope/cgroup.procs); do echo $p >$cg/unified/cgroup.procs; done
			echo -hugetlb >0/cgroup.subtree_control; echo -hugetlb >cgroup.subtree_control
			echo threaded >0/cgroup.type; echo $pid >0/cgroup.procs`,
		then: afterEnd,
	},
	{
		name: "scope of the user manager", sites: []string{"checkLeaf: start containers from a scope that it delegates"},
		cannot: noSystemd,
	},
	{
		name: "too few processes", sites: []string{"liftFix: text commands"},
		check: "limits", text: "raise them where they are set",
		after: `echo 20 >$cg/pids/user/$name/pids.max`,
	},
	{
		name: "too little memory", sites: []string{"liftFix: text commands"},
		check: "limits", text: "raise them where they are set",
		after: `echo 30M >$cg/memory/user/$name/memory.limit_in_bytes`,
	},
	{
		name: "too few cgroups and processes", sites: []string{"liftFix: text commands"},
		check: "limits", text: "raise them where they are set",
		after: `echo 2 >$cg/unified/user/$name/cgroup.max.descendants; echo 20 >$cg/pids/user/$name/pids.max`,
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
		check: "session", text: "has logins moved out of it, as pam_cgfs did",
		before: limited + `echo '* pids cgfixes-other' >/etc/cgrules.conf`,
		way:    `sh -c 'echo $$ >/sys/fs/cgroup/pids/cgfixes-other/cgroup.procs; exec su cgfixes -c "exec sh"'`,
		person: `sed -i 's/pam_cgdeleg.so/& confined=move/' $su`,
		then:   newLogin,
	},
	{
		name: "moved on by cgrules", sites: []string{"moverResult: or that program away"},
		check: "session", text: "take cgfixes out of /etc/cgrules.conf",
		before: `echo "$name pids cgfixes-other" >/etc/cgrules.conf
			cp "$(command -v sleep)" $dir/bin/cgrulesengd; $dir/bin/cgrulesengd 1000 </dev/null >/dev/null 2>&1 &`,
		after: `move pids cgfixes-other`,
		edit:  `sed -i /cgfixes/d "$@"`,
		then:  newLogin,
	},
	{
		name: "sshd without PAM", sites: []string{"withoutPAMResult: \"for every login \" + set open"},
		check: "session", text: "for every login set UsePAM yes in /etc/ssh/sshd_config",
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
		name: "sshd without PAM, by a file that is included", sites: []string{"withoutPAMResult: \"for every login \" + set open"},
		check: "session", text: "for every login set UsePAM yes in /etc/ssh/sshd_config.d/own.conf",
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
		check: "userns", text: "allow them",
		// Other users of this machine are to keep theirs: the file is one of the test's.
		before: `echo 0 >$dir/max; mount --bind $dir/max /proc/sys/user/max_user_namespaces`,
	},
	{
		name: "user namespaces restricted by AppArmor", sites: []string{"profileFix: a profile that allows them"},
		check: "apparmor", text: "give LXC a profile that allows them",
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
		name: "user namespaces restricted by AppArmor, and nothing that starts containers", sites: []string{"checkAppArmor: give what starts containers a profile"},
		cannot: "it takes a machine without LXC",
	},
	{
		name: "kernel without user namespaces", sites: []string{
			"checkUserNamespaces: f.kernelFix()", "kernelFix: outside, on the machine", "kernelFix: Text: \"take a kernel that was built with it\"$",
		},
		cannot: reboot,
	},
	{
		name: "no newuidmap", sites: []string{"checkIDMapTools: f.installIDMapTools()", "installIDMapTools: later"},
		check: "idmap-tools", text: "install it",
		// apt only looks whether there is that package, and then what it has is put back.
		before: kept + `rm /usr/bin/newuidmap /usr/bin/newgidmap
			printf '%s\n' '#!/bin/sh' '[ "$1" = install ] && shift && apt-get -s install "$@" && cp -a $dir/kept/* /usr/bin' >$dir/bin/apt; chmod 755 $dir/bin/apt`,
		works: mapsIDs,
	},
	{
		name: "no newuidmap, on a distribution that is not known", sites: []string{"installIDMapTools: Text: \"install it\"$"},
		check: "idmap-tools", text: "install it",
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
		name: "newuidmap of somebody's in PATH", sites: []string{"checkIDMapTools: take them out of PATH"},
		check: "idmap-tools", text: "take them out of PATH",
		before: `mkdir $home/bin; cp /usr/bin/newuidmap /usr/bin/newgidmap $home/bin; chown -R $uid $home/bin`,
		typed:  `PATH=$HOME/bin:$PATH`,
		types:  `PATH=${PATH#*:}`,
		works:  mapsIDs,
	},
	{
		name: "newuidmap that is another user's", sites: []string{"checkIDMapTools: install their package again"},
		check: "idmap-tools", text: "install their package again",
		before: kept + `chown 1:1 /usr/bin/newuidmap`,
		person: `cp -a $dir/kept/* /usr/bin`, // as apt-get install --reinstall does
		works:  mapsIDs,
	},
	{
		name: "newuidmap without set-user-ID", sites: []string{"checkIDMapTools: make them set-user-ID root"},
		check: "idmap-tools", text: "make them set-user-ID root",
		before: `chmod 755 /usr/bin/newuidmap /usr/bin/newgidmap`,
		works:  mapsIDs,
	},
	{
		name: "no_new_privs", sites: []string{"noNewPrivsResult: log in again, or take NoNewPrivileges="},
		check: "idmap-tools", text: "log in again",
		before: sshd + `echo 'Port 22' >>/etc/ssh/sshd_config; start_sshd
			mkdir $home/.ssh; cp $dir/ssh/client $home/.ssh/config; cp $dir/ssh/user $home/.ssh/id_ed25519; sed -i "s,$dir/ssh/user,~/.ssh/id_ed25519," $home/.ssh/config; chown -R $uid:$uid $home/.ssh`,
		way:   `su $name -c 'exec setpriv --no-new-privs sh'`,
		works: mapsIDs,
	},
	{
		name: "subordinate IDs of a directory service", sites: []string{"asksServiceResult: ask for them", "asksServiceResult: look there whether"},
		cannot: "it takes a directory service, whose answer this does not read",
	},
	{
		name: "subordinate IDs under a name that is spelt otherwise", sites: []string{"checkSubID: correct that line"},
		check: "subid", text: "correct that line",
		before: `sed -i 's/^cgfixes:/CGfixes:/' /etc/subuid /etc/subgid`,
		edit:   `sed -i 's/^CGfixes:/cgfixes:/' "$@"`,
		works:  mapsIDs,
	},
	{
		name: "no subordinate IDs", sites: []string{"checkSubID: f.newRangeFix", "rangeFix: f.giveSubIDs(lacking"},
		check: "subid", text: "give it a free range",
		before: `rm /etc/subuid; sed -i /^cgfixes:/d /etc/subgid; printf 'other:100000:65536' >>/etc/subgid`,
		works:  mapsIDs,
	},
	{
		name: "no subordinate group IDs", sites: []string{"checkSubID: f.newRangeFix"},
		check: "subid", text: "give it a free range",
		before: `sed -i /^cgfixes:/d /etc/subgid`,
		works:  mapsIDs,
	},
	{
		name: "too few subordinate IDs", sites: []string{"checkSubID: f.newRangeFix"},
		check: "subid", text: "give it a free range",
		before: `sed -i s/^cgfixes:.*/cgfixes:100000:1000/ /etc/subuid /etc/subgid`,
		works:  mapsIDs,
	},
	{
		name: "no subordinate IDs of a user who is not in /etc/passwd", sites: []string{"rangeFix: f.giveSubIDs(lacking"},
		check: "subid", text: "give it a free range",
		before: `sed -i /^cgfixes:/d /etc/subuid /etc/subgid; printf 'other:100000:65536' >>/etc/subuid`,
		after:  `sed -i /^cgfixes:/d /etc/passwd`,
		stays:  []string{"paths"}, // whose home directory nobody knows
		holds:  `grep -x 26001:.* /etc/subuid; grep -x other:100000:65536 /etc/subuid`,
	},
	{
		name: "no free subordinate IDs", sites: []string{"rangeFix: give it a range that nobody has"},
		check: "subid", text: "give it a range that nobody has",
		before: `for f in /etc/subuid /etc/subgid; do echo other:100000:4294867195 >$f; done`,
		edit:   `for f; do printf '%s\n' other:100000:1000000 cgfixes:2000000:65536 >$f; done`,
		works:  mapsIDs,
	},
	{
		name: "subordinate IDs that this user namespace has not", sites: []string{"unmappedResult: f.insideFix", "insideFix: and give the user a free range"},
		check: "subid", text: "and give the user a free range; or outside, give this container more IDs",
		before: `echo root:0:200000 >>/etc/subuid; echo root:0:200000 >>/etc/subgid`,
		init:   inUserNamespace,
		after:  `sed -i /^root:/d /etc/subuid /etc/subgid`,
		works:  mapsIDs,
	},
	{
		name: "newuidmap of an ID that this user namespace has not", sites: []string{"checkIDMapTools: copy them to where they are this container's root's"},
		check: "idmap-tools", text: "copy them to where they are this container's root's",
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
		name: "subordinate IDs of another name with the same number", sites: []string{"byOtherName: or its number in those lines"},
		cannot: "it takes podman without LXC",
	},
	{
		name: "fewer IDs in this user namespace than a container takes", sites: []string{"rangeFix: outside, give this container more IDs"},
		cannot: "it takes another container, with more IDs",
	},
	{
		name: "subordinate IDs twice", sites: []string{"checkSubIDOverlap: f.onceFix", "onceFix: with the other there are enough"},
		check: "subid-overlap", text: "take one of the lines out: with the other there are enough",
		before: `echo cgfixes:$ids:65536 >>/etc/subuid`,
		works:  mapsIDs,
	},
	{
		name: "subordinate IDs twice, which are enough only together", sites: []string{"checkSubIDOverlap: f.onceFix", "onceFix: or what both have"},
		check: "subid-overlap", text: "take one of the lines out, or what both have",
		before: `sed -i s/^cgfixes:.*/cgfixes:$ids:40000/ /etc/subuid; echo cgfixes:$((ids + 30000)):40000 >>/etc/subuid`,
		edit:   `for f; do sed -i "s/:40000$/:30000/; \$s/:30000$/:40000/" "$f"; done`,
		works:  mapsIDs,
	},
	{
		name: "too few subordinate IDs, and those twice", sites: []string{"checkSubID: f.newRangeFix", "newRangeFix: take the lines away that give IDs twice"},
		check: "subid", text: "take the lines away that give IDs twice",
		before: `for f in /etc/subuid /etc/subgid; do sed -i s/^cgfixes:.*/cgfixes:300000:32768/ $f; echo cgfixes:316384:32768 >>$f; done`,
		works:  mapsIDs,
	},
	{
		name: "no free subordinate IDs, and those twice", sites: []string{"newRangeFix: correct the lines that give IDs twice"},
		cannot: "with no free range one is to be taken from another user, as in the row above for that",
	},
	{
		name: "own ID among the subordinate ones", sites: []string{"checkSubIDOverlap: give it another range, without its own ID"},
		check: "subid-overlap", text: "give it another range, without its own ID",
		before: `sed -i s/^cgfixes:.*/cgfixes:10000:65536/ /etc/subuid`,
		edit:   `sed -i s/^cgfixes:.*/cgfixes:300000:65536/ "$@"`,
		works:  mapsIDs,
	},
	{
		name: "subordinate IDs of another user too", sites: []string{"checkSubIDOverlap: give one of them another range"},
		check: "subid-overlap", text: "give one of them another range",
		before: `for f in /etc/subuid /etc/subgid; do echo other:$((ids + 1000)):65536 >>$f; done`,
		edit:   `sed -i s/^other:.*/other:300000:65536/ "$@"`,
	},
	{
		name: "home on a mount with noexec", sites: []string{"checkPaths: f.remounted"},
		check: "paths", text: "mount it without noexec",
		before: `mount -o remount,bind,noexec /home`,
	},
	{
		name: "home closed", sites: []string{"checkPaths: open the way"},
		check: "paths", text: "open the way",
		before: `chmod 700 $home; chmod 711 /home; mkdir -p $home/.local/share; chown -R $uid:$uid $home`,
	},
	{
		name: "way to the home closed by root", sites: []string{"checkPaths: open the way"},
		check: "paths", text: "open the way",
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
			"checkLXCv1: f.unifiedFix()", "unifiedFix: outside, ", "unifiedFix: init.line", "unifiedFix: have this machine's init mount it",
		},
		cannot: reboot,
	},
	{
		name: "lxc.cgroup.use wants more than the session has", sites: []string{"fixedWith: text + also append"},
		check: "lxc-view", text: "for every login write -c freezer,pids,memory in",
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
		check: "lxc-view", text: "write lxc.cgroup.use = freezer,pids, or take that line out",
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
		name: "lxc.cgroup.relative on cgroup v2", sites: []string{"checkLXCView: take that line out"},
		cannot: "it takes a machine with cgroup v2 alone",
	},
	{
		name: "shell beside elogind's cgroup", sites: []string{"lxcOutside: move the shell below"},
		cannot: elogind,
	},
	{
		name: "lxc.idmap that is none", sites: []string{"checkConfigIDMap: correct that line"},
		check: "config-idmap", text: "correct that line",
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
		name: "lxc.idmap with IDs that nobody has", sites: []string{"checkIDMaps: give the user these IDs"},
		check: "config-idmap", text: "give the user these IDs",
		args:   "--container c1",
		before: `box; sed -i s/^cgfixes:.*/cgfixes:$((ids + 1000)):30000/ /etc/subuid /etc/subgid`,
	},
	{
		name: "lxc.idmap with IDs of others", sites: []string{"checkIDMaps: they may be other people's", "ownRangesFor: strings.Join(lines"},
		check: "config-idmap", text: "they may be other people's",
		args:   "--container c1",
		before: `box; sed -i "s/$ids/65534/" $config; chown 65534 $home/c1`,
		person: `chown $ids $home/c1`,
	},
	{
		name: "lxc.idmap with an ID twice", sites: []string{"checkMapItself: write them so that they do not overlap"},
		check: "config-idmap", text: "write them so that they do not overlap",
		args:   "--container c1",
		before: `box "lxc.idmap = u 1000 $uid 1"`,
		edit:   `sed -i "s/u 0 $ids 65536/u 0 $ids 1000/" "$@"; echo "lxc.idmap = u 1001 $((ids + 1001)) 64535" >>"$@"`,
	},
	{
		name: "lxc.idmap with IDs that there are not", sites: []string{"checkMapItself: outside, give this container more IDs"},
		check: "config-idmap", text: "or write IDs into lxc.idmap that it has",
		args:   "--container c1",
		before: `box; sed -i "s/u 0 $ids 65536/u 0 4294960000 65536/" $config`,
		edit:   `sed -i "s/u 0 4294960000 65536/u 0 $ids 65536/" "$@"`,
	},
	{
		name: "lxc.idmap without group IDs", sites: []string{"checkMapItself: add one with the user's range", "addOwnRange: line add"},
		check: "config-idmap", text: "add one with the user's range",
		args:   "--container c1",
		before: `box; sed -i '/idmap = g/d' $config`,
	},
	{
		name: "limits of a controller that was not asked for", sites: []string{"fixedWith: text + also append"},
		check: "config-limits", text: "for every login write -c freezer,pids,memory in",
		args:   "--container c1",
		before: `sed -i 's/pam_cgdeleg.so/& -c freezer,pids/' $su; box 'lxc.cgroup.memory.limit_in_bytes = 64M'`,
		then:   both,
	},
	{
		name: "limits of a controller that is not mounted", sites: []string{"lackingFix: mount the hierarchy, and look again"},
		check: "config-limits", text: "mount the hierarchy, and look again",
		args:   "--container c1",
		before: `box 'lxc.cgroup.memory.limit_in_bytes = 64M'; umount $cg/memory`,
		then:   newLogin,
	},
	{
		name: "limits of a controller that is nowhere", sites: []string{"lackingFix: take these limits out"},
		check: "config-limits", text: "take these limits out",
		args:   "--container c1",
		before: `box 'lxc.cgroup.nosuch.limit = 1'`,
		edit:   `sed -i /nosuch/d "$@"`,
	},
	{
		name: "limits for the other version", sites: []string{"ignoredLimits: text"},
		check: "config-limits", text: "in their place write for cgroup v1: lxc.cgroup.memory.limit_in_bytes = 64M",
		args:   "--container c1",
		before: `box 'lxc.cgroup2.memory.max = 64M'`,
		edit:   `sed -i 's/lxc.cgroup2.memory.max = 64M/lxc.cgroup.memory.limit_in_bytes = 64M/' "$@"`,
	},
	{
		name: "limit by the name of the other version", sites: []string{"noLimitFile: strings.Join(lines"},
		check: "config-limits", text: "in its place write lxc.cgroup.memory.limit_in_bytes = 64M",
		args:   "--container c1",
		before: `box 'lxc.cgroup.memory.max = 64M'`,
		edit:   `sed -i 's/memory.max/memory.limit_in_bytes/' "$@"`,
	},
	{
		name: "limit that is misspelt", sites: []string{"noLimitFile: limitKey(l.Unified, name)"},
		check: "config-limits", text: "in its place write lxc.cgroup.memory.limit_in_bytes = 64M",
		args:   "--container c1",
		before: `box 'lxc.cgroup.memory.limit_in_byte = 64M'`,
		edit:   `sed -i 's/limit_in_byte/limit_in_bytes/' "$@"`,
	},
	{
		name: "limit that no file has", sites: []string{"noLimitFile: write the name of a file"},
		check: "config-limits", text: "or take that line out",
		args:   "--container c1",
		before: `box 'lxc.cgroup.memory.limt = 64M'`,
		edit:   `sed -i /limt/d "$@"`,
	},
}

var containerKinds = []kind{
	{
		name: "line of the configuration that is none", sites: []string{"checkConfig: correct that line, or install what has the file"},
		check: "config", text: "correct that line",
		args:   "--container c1",
		before: `box 'lxc.include = /usr/share/lxc/config/nosuch.conf'`,
		edit:   `sed -i /nosuch/d "$@"`,
	},
	{
		name: "key that LXC has not", sites: []string{"noKey: text"},
		check: "config", text: "take that line out",
		args:   "--container c1",
		before: `box 'lxc.foo = 1'`,
		edit:   `sed -i /foo/d "$@"`,
	},
	{
		name: "keys of before LXC 2.1", sites: []string{"oldKey: write the new keys"},
		check: "config", text: "write the new keys in place of the old ones",
		args:   "--container c1",
		before: `box 'lxc.utsname = c1' 'lxc.kmsg = 0' 'lxc.aa_profile = unconfined' 'lxc.tty = 1'; sed -i 's/lxc.net.0.type/lxc.network.type/; s/lxc.rootfs.path = dir:/lxc.rootfs = /; s/lxc.idmap/lxc.id_map/' $config`,
	},
	{
		name: "old key that lxc-update-config leaves", sites: []string{"oldKey: name + \" in its place\""},
		check: "config", text: "write lxc.prlimit.nofile in its place",
		args:   "--container c1",
		before: `box 'lxc.limit.nofile = 100'`,
		edit:   `sed -i s/lxc.limit/lxc.prlimit/ "$@"`,
	},
	{
		name: "old key that is gone", sites: []string{"oldKey: take that line out"},
		check: "config", text: "take that line out",
		args:   "--container c1",
		before: `box 'lxc.kmsg = 0'; rm /usr/bin/lxc-update-config`,
		edit:   `sed -i /kmsg/d "$@"`,
	},
	{
		name: "network device of root's alone", sites: []string{"checkConfigNetwork: take type veth with a bridge, or empty"},
		check: "config-network", text: "take type veth with a bridge, or empty",
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
		name: "lxc-user-nic without set-user-ID", sites: []string{"checkUserNIC: make it so"},
		check: "config-network", text: "make it so",
		args:   "--container c1",
		before: veth + `chown 1:1 /usr/libexec/lxc/lxc-user-nic`,
		works:  makesDevice,
	},
	{
		name: "no line in lxc-usernet", sites: []string{"usernetFix: give the user some (10 here)"},
		check: "config-network", text: "give the user some (10 here)",
		args:   "--container c1",
		before: veth + `printf 'other veth br0 1' >/etc/lxc/lxc-usernet`,
		works:  makesDevice,
	},
	{
		name: "0 devices in lxc-usernet", sites: []string{"usernetFix: give the user some (10 here)"},
		check: "config-network", text: "give the user some (10 here)",
		args:   "--container c1",
		before: veth + `echo 'cgfixes veth br0 0' >/etc/lxc/lxc-usernet`,
		works:  makesDevice,
	},
	{
		name: "blank before a line of lxc-usernet", sites: []string{"usernetFix: take the blank before that line out"},
		check: "config-network", text: "take the blank before that line out",
		args:   "--container c1",
		before: veth + `echo ' cgfixes veth br0 1' >/etc/lxc/lxc-usernet`,
		works:  makesDevice,
	},
	{
		name: "no line in lxc-usernet, and no such bridge", sites: []string{"usernetFix: give the user some (10 here)"},
		check: "config-network", text: "give the user some (10 here); and make the bridge",
		args:   "--container c1",
		before: veth + `sed -i s/br0/br1/ $config`,
		edit:   `sed -i s/br1/br0/ "$@"`,
	},
	{
		name: "no lxcbr0 where systemd makes it", sites: []string{"bridgeThere: start what makes it"},
		cannot: noSystemd,
	},
	{
		name: "no such bridge", sites: []string{"bridgeThere: make the bridge, or name one that is there"},
		check: "config-network", text: "make the bridge, or name one that is there",
		args:   "--container c1",
		before: veth + `ip link del br0; ip link add br1 type bridge; echo 'cgfixes veth br1 1' >>/etc/lxc/lxc-usernet`,
		edit:   `sed -i s/br0/br1/ "$@"`,
	},
	{
		name: "no apparmor_parser", sites: []string{"checkConfigAppArmor: tools + later + without + item.File"},
		check: "config-apparmor", text: "install AppArmor's tools",
		args:   "--container c1",
		before: apparmor + `printf '%s\n' '#!/bin/sh' 'cp /bin/true /usr/bin/apparmor_parser' >$dir/bin/apt; chmod 755 $dir/bin/apt`,
	},
	{
		name: "no apparmor_parser, on a distribution that is not known", sites: []string{"checkConfigAppArmor: tools + without + item.File"},
		check: "config-apparmor", text: "lxc.apparmor.profile = unconfined in",
		args:   "--container c1",
		before: apparmor + `rm /etc/os-release; echo ID=ours >/etc/os-release`,
		person: `sed -i 's/apparmor.profile = generated/apparmor.profile = unconfined/' $config`,
	},
	{
		name: "apparmor_parser not in PATH", sites: []string{"checkConfigAppArmor: add it to PATH"},
		check: "config-apparmor", text: "add it to PATH",
		args:   "--container c1",
		before: apparmor + `cp /bin/true /usr/sbin/apparmor_parser`,
		typed:  `PATH=/usr/local/bin:/usr/bin:/bin`,
	},
	{
		name: "no root file system", sites: []string{"checkConfigRootfs: make the container again by lxc-create, as \" + f.Subject.Name$"},
		check: "config-rootfs", text: "make the container again by lxc-create",
		args:   "--container c1",
		before: `box; rmdir $home/c1`,
		types:  `cd; grep -v rootfs .local/share/lxc/c1/config >c1.conf; rm -r .local/share/lxc/c1; lxc-create -n c1 -f c1.conf -t busybox`,
	},
	{
		name: "root file system of others", sites: []string{"checkConfigRootfs: or give its files to the container's IDs"},
		check: "config-rootfs", text: "or give its files to the container's IDs",
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
