#!/bin/sh
# setup.sh: installs what `make deb` and `make test-packages` need beside what
# tests/setup.sh installs, on Debian and Ubuntu: what builds packages, what looks
# at them, and what makes the root file system that they are tested in.
set -eu
"$(dirname "$0")/../setup.sh" build
"$(dirname "$0")/../install.sh" build-essential libpam0g-dev dpkg-dev debhelper dh-golang fakeroot scdoc lintian mmdebstrap debian-archive-keyring
