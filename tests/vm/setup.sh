#!/bin/sh
# setup.sh: installs what `make test-vm` needs beside what tests/setup.sh
# installs, on Debian and Ubuntu: what builds the machines, QEMU, and Ansible.
set -eu
"$(dirname "$0")/../install.sh" mmdebstrap debian-archive-keyring e2fsprogs cpio zstd xz-utils dpkg-dev qemu-system-x86 ansible-core
