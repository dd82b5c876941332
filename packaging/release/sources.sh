#!/bin/sh
# sources.sh FILE.tar.gz: the files that git knows, as they are in the working
# tree, with the Go modules in vendor/ so that packages build without a network, and
# their licences in vendor/LICENCES. FILE-vendor.tar.gz has vendor/ alone, for who takes
# the other files from git. Makes build/release/pam_cgdeleg-VERSION, too.
# SOURCE_DATE_EPOCH is the time of all files.
set -eu
cd "$(dirname "$0")/../.."
name=pam_cgdeleg-$(cat VERSION)
tree=build/release/$name

if [ ! -e .git ]; then # of a checkout above it would be another project's
	echo "sources.sh: git says which files are sources, and $PWD is no git checkout" >&2
	exit 1
fi
rm -rf "$tree"
mkdir -p "$tree" "$(dirname "$1")"
# No pipes: of those the shell sees only the last command fail.
git -c safe.directory='*' ls-files -z >"$tree.files"
tar --null -T "$tree.files" -cf "$tree.tar"
tar -C "$tree" -xf "$tree.tar"
rm "$tree.files"
(cd "$tree" && "${GO:-go}" mod vendor)
licences=$("${GO:-go}" run ./packaging/release/sbom -licences -vendor "$tree/vendor")
printf '%s\n' "$licences" >"$tree/vendor/LICENCES"
# pack FILE.tar.gz PATH
pack() {
	tar -C build/release --sort=name --format=gnu --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
		--mode=u=rwX,go=rX -cf "$tree.tar" "$2"
	gzip -9nc "$tree.tar" >"$1"
	rm "$tree.tar"
}
pack "$1" "$name"
pack "${1%.tar.gz}-vendor.tar.gz" "$name/vendor"
