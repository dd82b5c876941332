#!/bin/bash
# In a container the base holds processes and is not the real root, so it can
# give its children no controllers (cgroup v2). Logins work there, in sessions
# without controllers, and one line of the log says so.
# machines: bookworm-no-systemd-v2

# The containers end with their logins, and all their processes with them: a worker that
# nobody waits for would be killed.
install_module close=wait
cg=/sys/fs/cgroup
session=/user/alice/0
mkdir $cg/box

# What a container has: namespaces, and a first process in the base.
cat >/tmp/container.sh <<'CONTAINER'
mount --make-rprivate /
umount /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs /run
if [ "$LEAF" ]; then
	while mapfile -t procs </sys/fs/cgroup/cgroup.procs && [ ${#procs[@]} -gt 1 ]; do sleep 0.1; done # unshare
	mkdir /sys/fs/cgroup/$LEAF && echo 1 >/sys/fs/cgroup/$LEAF/cgroup.procs
fi
"$@"
CONTAINER

# in_container COMMAND...
in_container() { (echo $BASHPID >$cg/box/cgroup.procs && exec unshare --cgroup --mount --pid --fork --mount-proc bash /tmp/container.sh "$@"); }

# in_leaf LEAF COMMAND...: the same with the first process in a leaf, and nobody in
# the base: unshare, which waits, goes back to where it came from.
in_leaf() {
	local outer leaf=$1
	shift
	(echo $BASHPID >$cg/box/cgroup.procs && LEAF=$leaf exec unshare --cgroup --mount --pid --fork --mount-proc bash /tmp/container.sh "$@") &
	outer=$!
	until pgrep -P $outer >/dev/null || ! kill -0 $outer 2>/dev/null; do sleep 0.1; done
	echo $outer >$cg/cgroup.procs
	wait $outer
}

# su_in_container COMMAND: a login of alice's in the container.
su_in_container() { in_container su - alice -c "$1"; }

offered=$(tr ' ' , <$cg/box/cgroup.controllers)
has_words "the base could have controllers" "${offered//,/ }" cpu memory pids
equal "the container's first process is in the base" "$(in_container cat /proc/1/cgroup)" 0::/

said=$(module_says su_in_container "cat /proc/self/cgroup >/tmp/in; cat $cg$session/cgroup.type >/tmp/type; stat -c %U $cg$session >/tmp/owner
	mkdir $cg$session/mine && echo 1 >$cg$session/mine/cgroup.freeze && cat $cg$session/mine/cgroup.freeze >/tmp/freeze")
equal "the login is in its session's leaf" "$(cat /tmp/in)" 0::$session/init.scope
equal "which is a cgroup like others" "$(cat /tmp/type)" domain
equal "and alice's" "$(cat /tmp/owner)" alice
equal "she can freeze a cgroup of her own" "$(cat /tmp/freeze)" 1
like "one line of the log names the controllers and the reason" "$said" \
	"(su-l:session): user \"alice\": session without $offered: there are processes in the cgroup that holds user/"
equal "it is the only one" "$(wc -l <<<"$said")" 1
equal "no controller is enabled" "$(cat $cg/box/cgroup.subtree_control)" ""
equal "the logout leaves nothing" "$(cd $cg/box && find . -mindepth 1 -type d)" ./user

# The kernel enables cpu in a cgroup that has processes, and then no login can
# enter a child of it.
module_options "close=wait -c cpu"
like "threaded controllers are left out too" "$(module_says su_in_container 'cat /proc/self/cgroup >/tmp/in')" "*session without cpu: *"
equal "and the login is in its session's leaf" "$(cat /tmp/in)" 0::$session/init.scope
equal "cpu is not enabled" "$(cat $cg/box/cgroup.subtree_control)" ""
works "by hand it can be" sh -c "echo \$\$ >$cg/box/cgroup.procs && echo +cpu >$cg/box/cgroup.subtree_control"
echo -cpu >$cg/box/cgroup.subtree_control

module_options "close=wait -c freezer"
equal "what needs no controller needs no line" "$(module_says su_in_container 'cat /proc/self/cgroup >/tmp/in')" ""
equal "with the login in its session's leaf" "$(cat /tmp/in)" 0::$session/init.scope

# As systemd and OpenRC leave the base for a leaf. There, too, neither what closes
# the session nor its application must stay in it.
module_options close=wait
for leaf in init.scope rc.init; do
	equal "with the first process in $leaf nothing is to be said" \
		"$(module_says in_leaf $leaf su - alice -c "cat /proc/self/cgroup >/tmp/in; cat $cg$session/cgroup.controllers >/tmp/has")" ""
	equal "the login is in its session's leaf ($leaf)" "$(cat /tmp/in)" 0::$session/init.scope
	has_words "which has controllers ($leaf)" "$(cat /tmp/has)" cpu memory pids
	equal "the logout leaves nothing ($leaf)" "$(cd $cg/box && find . -mindepth 1 -type d -not -name $leaf)" ./user
	rmdir $cg/box/$leaf $cg/box/user
	enabled=$(cat $cg/box/cgroup.subtree_control)
	echo "-${enabled// / -}" >$cg/box/cgroup.subtree_control # or else nobody can enter
done
equal "of alice's in any cgroup" "$(not_roots $cg)" ""
finish
