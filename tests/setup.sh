#!/bin/sh
# setup.sh [build]: installs what building and testing need, or building alone, on
# Debian and Ubuntu, and a Go toolchain where the machine has none that is new
# enough. It calls apt-get only when something is missing, and starts no service.
set -eu
cd "$(dirname "$0")/.."
packages="gcc libc6-dev make libpam0g-dev"
[ "${1:-}" = build ] || packages="$packages openssh-server openssh-client sudo cron busybox-static login dbus shellcheck rsync strace jq less bash-completion zsh fish apparmor checkpolicy
	valgrind clang clang-tidy cppcheck
	$(sed 's/#.*//' tests/clients/packages)"
GO_VERSION=1.26.8 # fetched where there is no Go, or one that cannot fetch by itself

command -v go >/dev/null || [ -x build/.toolchain/bin/go ] || packages="$packages golang-go ca-certificates"
# shellcheck disable=SC2086 # a list of words
tests/install.sh $packages

# From 1.21 on, go fetches the toolchain that go.mod asks for by itself.
[ ! -x build/.toolchain/bin/go ] || exit 0
case $(go env GOVERSION) in
go1.[0-9] | go1.[0-9].* | go1.1[0-9]* | go1.20*) ;;
*) exit 0 ;;
esac
echo "setup: fetching Go $GO_VERSION from the module proxy" >&2
module=golang.org/toolchain@v0.0.1-go$GO_VERSION.$(go env GOOS)-$(go env GOARCH)
scratch=$(mktemp -d)
(cd "$scratch" && go mod init scratch >/dev/null 2>&1 && go mod download "$module")
mkdir -p build # .toolchain: a folder that ./... ignores
cp -r "$(go env GOMODCACHE)/$module" build/.toolchain
rm -r "$scratch"
chmod -R u+w build/.toolchain
chmod 755 build/.toolchain/bin/* build/.toolchain/pkg/tool/*/*
