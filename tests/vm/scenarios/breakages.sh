#!/bin/bash
# What can be wrong, one thing after the other (guest/breakages.sh): check names it in a
# login, or to root where there can be none, and its fix, applied as it is printed, has the
# container start with its limits.
# machines: bookworm-systemd-v2 bookworm-systemd-hybrid bookworm-no-systemd-v2 bookworm-no-systemd-hybrid trixie-systemd-v2 trixie-no-systemd-v2
# limit: 1200
# shellcheck source=tests/vm/guest/breakages.sh
. /in/breakages.sh

set_up
as_it_was before
for name in "${names[@]}"; do try "$name"; done
works "there are 20 breakages or more" test $rows -ge 20
leave_login
as_it_was after
leave_login
note "the module's log: $(module_log)"
finish
