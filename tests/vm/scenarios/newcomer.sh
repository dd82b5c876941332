#!/bin/bash
# Somebody who comes from nothing types what the page for this kind of machine prints, on a
# fresh Debian, and ends with a container that has its limit.
# machines: bookworm-systemd-v2 bookworm-no-systemd-v2 trixie-systemd-v2 trixie-no-systemd-v2
# image: fresh
# limit: 1500

page=debian-sysvinit.md
if booted_systemd; then page=debian-systemd.md; fi
# shellcheck source=tests/vm/guest/newcomer.sh
. /in/newcomer.sh $page
