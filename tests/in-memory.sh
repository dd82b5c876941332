#!/bin/sh
# in-memory.sh COMMAND [ARGUMENT...]: runs it with its temporary files in memory, if
# there is room and programs may be run from there, and TMPDIR is not set. The unit
# tests make tens of thousands of small files and directories; the compiler's own files
# need most of the room.
set -eu
if [ -n "${TMPDIR:-}" ] || [ "$(stat -fc %T /dev/shm 2>/dev/null)" != tmpfs ] ||
	[ "$(df -Pk /dev/shm | awk 'END { print $4 }')" -lt 4194304 ] ||
	! dir=$(mktemp -d /dev/shm/cgdeleg.XXXXXX 2>/dev/null); then
	exec "$@"
fi
trap 'rm -rf "$dir"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
chmod 755 "$dir" # some tests look as another user
cp /bin/sh "$dir/sh"
if "$dir/sh" -c : 2>/dev/null; then
	export TMPDIR="$dir" # and no GOTMPDIR elsewhere: testing's TempDir follows that
fi
"$@"
