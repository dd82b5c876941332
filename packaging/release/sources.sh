#!/bin/sh
# sources.sh FILE.tar.gz: the files that git knows, as they are in the working
# tree, with the Go modules in vendor/ so that packages build without a network.
# Makes build/release/pam_cgdeleg-VERSION, too. SOURCE_DATE_EPOCH is the time of
# all files.
set -eu
cd "$(dirname "$0")/../.."
name=pam_cgdeleg-$(cat VERSION)
tree=build/release/$name

rm -rf "$tree"
mkdir -p "$tree" "$(dirname "$1")"
git -c safe.directory='*' ls-files -z | tar --null -T - -cf - | tar -C "$tree" -xf -
(cd "$tree" && "${GO:-go}" mod vendor)
tar -C build/release --sort=name --format=gnu --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
	--mode=u=rwX,go=rX -cf - "$name" | gzip -9n >"$1"
