#!/bin/sh
# cgdeleg-textfile.sh [DIR]: writes cgdeleg.prom into the folder of node_exporter's
# textfile collector (docs/monitoring.md).
#
# The collector must never read half a file: it is written under a name that the
# collector ignores, and renamed. If cgdeleg fails the last good file stays,
# and its age tells. The folder may belong to node_exporter's user, so nothing
# there is opened that this script did not make (set -C: O_EXCL), and a link to
# another folder is replaced, not followed (mv -T).
# With CGDELEG_PER_USER=yes in the environment there are metrics of each user, by name.
# Cron mails whatever is said: what cgdeleg left out is a metric too, and no mail
# every minute.
set -euC
dir=${1:-/var/lib/prometheus/node-exporter}
new=$dir/.cgdeleg.$$

umask 022
rm -f "$new"
trap 'rm -f "$new"' EXIT
trap 'exit 1' HUP INT TERM # dash leaves without EXIT's trap
users=
[ "${CGDELEG_PER_USER:-}" != yes ] || users=--per-user
# shellcheck disable=SC2086 # no word, or one
said=$(cgdeleg status --format prometheus $users 2>&1 >"$new") || {
	echo "$said" >&2
	exit 1
}
mv -fT "$new" "$dir/cgdeleg.prom"
