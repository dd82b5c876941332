#!/bin/sh
# run.sh [GO-TEST-FLAG...]: the tests of tier 2 in the Alpine-like root that
# tests/musl/setup.sh built: its sshd, login and su, its PAM, the module and the
# tool as the Alpine package has them. The root is entered by pivot_root, in a mount
# namespace of its own; the cgroups are this machine's. It has the machine's
# processes too: the module looks at the first one's cgroup.
#
# MUSL_TESTS has the packages of tests/ that are run there.
set -eu
cd "$(dirname "$0")/../.."
here=$PWD
GO=${GO:-go}
# shellcheck disable=SC2086 # a list of words
set -- ${MUSL_TESTS:-applications logins sessions commands} -- "$@"

scratch=$(mktemp -d /var/tmp/cgdeleg-musl-run.XXXXXX)
trap 'rm -rf --one-file-system "$scratch"' EXIT
stage=$scratch/root
cp -a build/musl/root/. "$stage"

# The packages, as apk add would put them there, and what they must hold.
tests/musl/package.sh "$scratch/packages"
(cd "$scratch/packages" && find . -path ./.src -prune -o -type f -printf '%m %P\n' | sort -k 2) >"$scratch/files"
diff -u tests/musl/package.files "$scratch/files"
for package in "$scratch"/packages/*; do
	cp -a "$package/." "$stage"
done

# What the tests look for in the source tree.
mkdir -p "$stage/src/pam" "$stage/src/build/musl" "$stage/src/tests"
cp pam/module.c "$stage/src/pam"
cp -a docs cmd delegate "$stage/src"
ln -s /usr/lib/security/pam_cgdeleg.so "$stage/src/build/pam_cgdeleg.so"
ln -s /usr/bin/cgdeleg "$stage/src/build/cgdeleg"
ln -s /usr/libexec/cgdeleg/trylogin "$stage/src/build/trylogin"
flags="-std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -O1"
# shellcheck disable=SC2086 # a list of words
build/musl/cc $flags -o "$stage/src/build/musl/pamapp" tests/applications/pamapp/pamapp.c -lpam
for module in tests/applications/pamargs/pam_args.c tests/applications/pamdata/pam_data.c tests/commands/pamroot/pam_root.c; do
	# shellcheck disable=SC2086 # a list of words
	build/musl/cc $flags -shared -fPIC -o "$stage/src/build/musl/$(basename $module .c)" $module -lpam
done

packages=
while [ "$1" != -- ]; do
	mkdir -p "$stage/src/tests/$1"
	(cd "tests/$1" && CGO_ENABLED=0 "$GO" test -c -o "$stage/src/tests/$1/$1.test" .)
	packages="$packages $1"
	shift
done
shift

cat >"$scratch/inside" <<'END'
set -eu
stage=$1 package=$2
shift 2
mount --make-rprivate /
mount --bind "$stage" "$stage"
mount --rbind /sys "$stage/sys"
mount --rbind /dev "$stage/dev"
mount -t proc proc "$stage/proc"
mkdir "$stage/old"
cd "$stage"
pivot_root . old
umount -l /old
rmdir /old
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root CGDELEG_PREBUILT=/src/build/musl
cd "/src/tests/$package"
exec "./$package.test" -test.v=test2json -test.timeout=15m "$@"
END
# As `make test`, it counts the tests and prints each that was skipped.
gotestsum=$scratch/bin/gotestsum
GOBIN=${gotestsum%/*} GOFLAGS="" "$GO" install gotest.tools/gotestsum@v1.13.0
cd /
failed=0
for package in $packages; do
	"$gotestsum" --format pkgname-and-test-fails --raw-command -- "$GO" tool test2json -t -p "$package, in the Alpine-like root" \
		unshare --mount --fork --kill-child -- sh "$scratch/inside" "$stage" "$package" "$@" || failed=1
done
cd "$here"
exit $failed
