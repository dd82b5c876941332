#!/bin/sh
# packages.sh DIR ARCH...: packages both halves, the module and the tool, for
# Debian, Fedora, Arch and Alpine, of what `make cross man completions` built.
#
# It sets what the configurations beside it leave open:
#
#	MODULE_NAME	what the module's package is called; as in `cgdeleg fix`
#	MODULE		which build of the module: glibc's or musl's
#	PAMDIR		where PAM looks for modules
#	GLIBC		the newest version of glibc that the module asks for
#	SYSTEMD ZSHDIR	where units and zsh's completions go
#
# The same sources and SOURCE_DATE_EPOCH give the same bytes.
set -eu
cd "$(dirname "$0")/../.."
NFPM=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.44.1
dist=$1
shift
mkdir -p "$dist" build/tools
dist=$(cd "$dist" && pwd)
rm -f "$dist"/*.deb "$dist"/*.rpm "$dist"/*.apk "$dist"/*.pkg.tar.zst
root=$PWD
stage=$root/build/packages
[ -x build/tools/nfpm ] || GOBIN=$root/build/tools GOFLAGS="" CGO_ENABLED=0 "${GO:-go}" install "$NFPM"
nfpm=$root/build/tools/nfpm
VERSION=${VERSION:-$(cat VERSION)}
SYSTEMD=/usr/lib/systemd/system
export VERSION SYSTEMD

# Everything that is packaged, with modes and times that no checkout changes.
rm -rf "$stage"
mkdir -p "$stage"
cp LICENSE contrib/systemd/*.d/50-cgdeleg*.conf contrib/systemd/cgdeleg-cleanup.* contrib/systemd/cgdeleg-containers@.service contrib/systemd/cgdeleg-serve.* \
	contrib/tmpfiles.d/cgdeleg.conf contrib/openrc/cgdeleg-serve.* packaging/debian/copyright \
	packaging/rpm/authselect.sh packaging/alpine/pam-cgdeleg.post-install packaging/nfpm/scripts/* \
	build/completions/zsh/_cgdeleg build/completions/fish/cgdeleg.fish "$stage"
cp -r contrib/machine "$stage/machine"
packaging/doc.sh "$stage/doc"
cp contrib/logrotate/cgdeleg-serve "$stage/cgdeleg-serve.logrotate"
cp build/completions/bash/cgdeleg "$stage/cgdeleg.bash"
cp contrib/cron/cgdeleg "$stage/cgdeleg.cron"
cp packaging/debian/pam-configs/cgdeleg "$stage/pam-config"
for page in build/man/*.[1-8]; do
	gzip -9nc "$page" >"$stage/${page##*/}.gz"
done
gzip -9nc packaging/debian/changelog >"$stage/changelog.Debian.gz"
sed -e '/#DEBHELPER#/!b' -e 'r packaging/nfpm/scripts/tmpfiles.deb' -e d \
	packaging/debian/libpam-cgdeleg.postinst >"$stage/libpam-cgdeleg.postinst"
sed '/#DEBHELPER#/d' packaging/debian/libpam-cgdeleg.prerm >"$stage/libpam-cgdeleg.prerm"
for arch; do
	mkdir "$stage/$arch"
	for file in cgdeleg trylogin worker pam_cgdeleg.so; do
		cp "build/cross/$arch/$file" "$stage/$arch"
	done
	cp "build/cross/$arch/musl/pam_cgdeleg.so" "$stage/$arch/pam_cgdeleg.musl.so"
	cp "build/cross/$arch/musl/trylogin" "$stage/$arch/trylogin.musl"
done
find "$stage" -type d -exec chmod 755 {} +
find "$stage" -path "$stage/doc" -prune -o -type f -exec chmod 644 {} +
chmod 755 "$stage"/*/cgdeleg "$stage"/*/trylogin* "$stage"/*/worker "$stage"/*.initd "$stage"/authselect.sh
find "$stage" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

# package FORMAT: both packages for $ARCH
package() {
	for config in module cgdeleg; do
		(cd "$stage" && "$nfpm" package -f "$root/packaging/nfpm/$config.yaml" -p "$1" -t "$dist/" >/dev/null)
	done
}

for ARCH; do
	gnu=$ARCH
	case $ARCH in amd64) gnu=x86_64 ;; arm64) gnu=aarch64 ;; esac
	GLIBC=$(objdump -T "$stage/$ARCH/pam_cgdeleg.so" | sed -n 's/.*GLIBC_\([0-9.]*\).*/\1/p' | sort -Vu | tail -n 1)
	[ -n "$GLIBC" ] || { echo "packages.sh: objdump finds no symbols of glibc in $ARCH's module" >&2; exit 1; }
	MODULE=pam_cgdeleg.so ZSHDIR=/usr/share/zsh/site-functions
	export ARCH GLIBC MODULE ZSHDIR PAMDIR MODULE_NAME
	MODULE_NAME=pam_cgdeleg
	PAMDIR=/usr/lib64/security && package rpm
	PAMDIR=/usr/lib/security && package archlinux
	MODULE_NAME=libpam-cgdeleg ZSHDIR=/usr/share/zsh/vendor-completions
	PAMDIR=/usr/lib/$gnu-linux-gnu/security && package deb
	MODULE_NAME=pam-cgdeleg ZSHDIR=/usr/share/zsh/site-functions MODULE=pam_cgdeleg.musl.so
	PAMDIR=/usr/lib/security && package apk
done
