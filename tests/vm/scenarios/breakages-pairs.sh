#!/bin/bash
# The breakages of breakages.sh two by two, each with the next one of the table: check
# names both causes, the second one after the fix of the first if that hid it.
# machines: bookworm-systemd-v2 bookworm-systemd-hybrid bookworm-no-systemd-v2 bookworm-no-systemd-hybrid trixie-systemd-v2 trixie-no-systemd-v2
# limit: 3600
# shellcheck source=tests/vm/guest/breakages.sh
. /in/breakages.sh

set_up
as_it_was before
for i in "${!names[@]}"; do
	try "${names[i]}" "${names[(i + 1) % ${#names[@]}]}"
done
leave_login
as_it_was after
leave_login
note "the module's log: $(module_log)"
finish
