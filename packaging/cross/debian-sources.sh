#!/bin/sh
# debian-sources.sh DIR PACKAGE...: the upstream sources of Debian 12's packages, in
# DIR/PACKAGE, signed by Debian as its packages are.
#
# Of Debian 12 on every machine: Linux-PAM from 1.7 on has no configure. Not other
# architectures' packages: an archive has a point release's lists for some of them
# before others, and apt takes none that differs from what is signed. The machine's
# own lists stay as they are; its proxy counts, but not its hooks of apt-get update
# (an image's docker-clean removes packages) nor its release, which no list here has.
set -eu
dir=$1
shift
mkdir -p "$dir"
cd "$dir"
# shellcheck disable=SC2016 # apt-get expands it
archive=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' | sed '/security/d;q')
mkdir -p apt/lists/partial apt/cache/archives/partial apt/parts files
echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${archive:-http://deb.debian.org/debian} bookworm main" >apt/sources.list
cat >apt/apt.conf <<END
#clear APT::Default-Release;
#clear APT::Update;
Acquire::Retries "3";
APT::Sandbox::User "root";
Dir::Cache "$PWD/apt/cache";
Dir::Etc::sourcelist "$PWD/apt/sources.list";
Dir::Etc::sourceparts "$PWD/apt/parts";
Dir::State::lists "$PWD/apt/lists";
Dir::State::status "/dev/null";
END
(
	export TMPDIR="$PWD/apt"
	conf=$PWD/apt/apt.conf # -c is read after the machine's, APT_CONFIG before
	apt-get -c "$conf" -qq update --error-on=any
	cd files
	apt-get -c "$conf" -qq source --download-only "$@" >/dev/null
)
for package; do
	mkdir -p "$package"
	upstream=$(find files -name "${package}_*.orig.tar.*" ! -name '*.asc')
	tar -C "$package" --strip-components=1 -xf "$upstream"
done
rm -r apt files
