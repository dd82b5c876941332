#!/bin/sh
# install.sh PACKAGE...: installs those that are missing, on Debian and Ubuntu. It
# calls apt-get only for them, and starts no service.
set -eu
missing=
for p; do
	dpkg-query -W -f '${db:Status-Abbrev}\n' "$p" 2>/dev/null | grep -q '^ii' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null; then
	echo "install.sh knows only Debian's packages; install the equivalents of:$missing" >&2
	exit 1
fi
if [ "$(id -u)" != 0 ]; then
	echo "these packages are missing; install them as root: apt-get install$missing" >&2
	exit 1
fi
if [ ! -e /usr/sbin/policy-rc.d ]; then
	# sshd, cron and lxc are wanted as programs, not as services
	printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
	chmod 755 /usr/sbin/policy-rc.d
	trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
apt-get update -qq
# shellcheck disable=SC2086 # a list of words
DEBIAN_FRONTEND=noninteractive apt-get install -qqy --no-install-recommends $missing >/dev/null
