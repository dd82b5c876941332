#!/bin/bash
# main.sh is what runs in the fresh root file system: the libraries, sshd, the
# scenario.
# shellcheck disable=SC1091 # all come beside it
. /in/lib.sh
. /in/packages.sh
/usr/sbin/sshd
. /in/scenario.sh
