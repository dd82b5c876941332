#!/bin/bash
# The same as newcomer.sh where OpenRC starts the services, which mounts the cgroups.
# machines: trixie-no-systemd-v2
# image: openrc
# limit: 1500

# shellcheck source=tests/vm/guest/newcomer.sh
. /in/newcomer.sh openrc.md
