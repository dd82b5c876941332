#!/bin/sh
# openrc.sh: contrib/openrc's service under Debian's OpenRC: started, seen to
# listen and to clean up a dead session, brought back when it dies, stopped. OpenRC is
# unpacked, not installed; it runs over this machine's files, in mount and PID
# namespaces of its own. Alpine's OpenRC cannot be had here.
set -eu
cd "$(dirname "$0")/../.."
here=$PWD
scratch=$(mktemp -d /var/tmp/cgdeleg-openrc.XXXXXX)
trap 'rm -rf --one-file-system "$scratch"' EXIT

mkdir "$scratch/debs" "$scratch/unpacked"
(
	cd "$scratch/debs"
	download() { TMPDIR=$scratch apt-get -qq -o APT::Sandbox::User=root download openrc libeinfo1 librc1; }
	# an image comes without apt's lists, or with old ones
	download 2>/dev/null || {
		apt-get -qq update
		download
	}
	for deb in *.deb; do
		dpkg-deb -x "$deb" "$scratch/unpacked"
	done
)
# on a machine with one /usr
for dir in bin sbin lib; do
	[ ! -d "$scratch/unpacked/$dir" ] || {
		mkdir -p "$scratch/unpacked/usr/$dir"
		cp -a "$scratch/unpacked/$dir/." "$scratch/unpacked/usr/$dir"
		rm -r "${scratch:?}/unpacked/$dir"
	}
done
install -D -m 0755 build/cgdeleg "$scratch/unpacked/usr/bin/cgdeleg"
install -D -m 0755 contrib/openrc/cgdeleg-serve.initd "$scratch/unpacked/etc/init.d/cgdeleg-serve"
install -D -m 0644 contrib/openrc/cgdeleg-serve.confd "$scratch/unpacked/etc/conf.d/cgdeleg-serve"
sed -i 's/^#cgdeleg_serve_args=/cgdeleg_serve_args=/' "$scratch/unpacked/etc/conf.d/cgdeleg-serve"

cat >"$scratch/inside" <<'END'
set -eu
scratch=$1
mount --make-rprivate /
mkdir "$scratch/tmpfs"
mount -t tmpfs tmpfs "$scratch/tmpfs"
mkdir "$scratch/tmpfs/work" "$scratch/tmpfs/root"
cp -a "$scratch/unpacked" "$scratch/tmpfs/upper"
root=$scratch/tmpfs/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$scratch/tmpfs/upper,workdir=$scratch/tmpfs/work" "$root"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/run"
for state in starting started stopping inactive wasinactive failed hotplugged daemons options exclusive scheduled tmp; do
	mkdir -p "$root/run/openrc/$state" # as openrc makes them at boot
done
: >"$root/etc/insserv.conf" # Debian's OpenRC wants one
echo default >"$root/run/openrc/softlevel"
chroot "$root" /bin/sh -eu -c '
	say() { echo "openrc: $*"; }
	fail() { echo "openrc: FAILED: $*"; cat /var/log/cgdeleg-serve.log || true; exit 1; }
	await() { what=$1; shift; n=0; while ! "$@"; do n=$((n + 1)); [ $n -lt 150 ] || fail "waited in vain: $what"; sleep 0.2; done; }
	daemon() { pgrep -x cgdeleg >/dev/null; }
	no_daemon() { ! daemon; }
	service() { rc-service --nodeps cgdeleg-serve "$@"; }

	service status && fail "status says that it runs before it was started"
	service start
	await "cgdeleg runs" daemon
	service status || fail "status does not say that it runs"
	await "it has its socket" test -S /run/cgdeleg/serve.sock
	tr "\0" " " </proc/$(pgrep -x cgdeleg)/cmdline | grep -qx "/usr/bin/cgdeleg serve --json " || fail "another command line"

	point=$(awk "\$3 == \"cgroup\" && \$4 ~ /freezer/ { print \$2; exit }" /proc/mounts)
	[ -n "$point" ] || point=$(awk "\$3 == \"cgroup2\" { print \$2; exit }" /proc/mounts)
	mkdir -p "$point/user/cgopenrc/0"
	gone() { [ ! -e "$point/user/cgopenrc" ]; }
	await "the dead session is removed" gone
	await "the removal is logged as JSON" grep -q "^{.*cgopenrc" /var/log/cgdeleg-serve.log
	say "$(cat /var/log/cgdeleg-serve.log)"

	first=$(pgrep -x cgdeleg)
	kill -KILL "$first"
	another() { now=$(pgrep -x cgdeleg) && [ "$now" != "$first" ]; }
	await "supervise-daemon starts it again" another

	service stop
	await "it ends at stop" no_daemon
	service status && fail "status says that it runs when it was stopped"
	[ ! -e /run/cgdeleg/serve.sock ] || fail "its socket is left"
	say "started, cleaned up, started again, stopped"
'
END
cd /
unshare --mount --pid --fork --kill-child -- sh "$scratch/inside" "$scratch"
cd "$here"
