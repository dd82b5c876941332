# Copyright 2026 Gentoo Authors
# Distributed under the terms of the GNU General Public License v2

EAPI=8

inherit go-module pam tmpfiles toolchain-funcs

DESCRIPTION="PAM module that gives every login cgroups of its own"
HOMEPAGE="https://github.com/cgdeleg/pam_cgdeleg"
# The second has vendor/ of the first.
SRC_URI="
	https://github.com/cgdeleg/pam_cgdeleg/archive/v${PV}.tar.gz -> ${P}.tar.gz
	https://github.com/cgdeleg/pam_cgdeleg/releases/download/v${PV}/${P}-vendor.tar.gz
"

# The last three are of modules that are linked in: vendor/LICENCES.
LICENSE="Apache-2.0 BSD BSD-2 MIT"
SLOT="0"
KEYWORDS="~amd64 ~arm64 ~riscv"
IUSE="elibc_musl"

DEPEND="sys-libs/pam"
RDEPEND="${DEPEND}"
BDEPEND="
	>=dev-lang/go-1.24
	app-text/scdoc
"

# Go links the programs stripped.
QA_PRESTRIPPED="
	usr/bin/cgdeleg
	usr/lib.*/security/pam_cgdeleg.so
	usr/libexec/cgdeleg/worker
"

# The words of every make, so that src_install finds everything up to date.
cgdeleg_make() {
	local -x GOFLAGS="-mod=vendor" GOPROXY=off GOTOOLCHAIN=local
	local -x CGO_CFLAGS="${CFLAGS}" CGO_LDFLAGS="${LDFLAGS}"
	emake CC="$(tc-getCC)" MUSL_CC="$(tc-getCC)" MUSL_CFLAGS="${CFLAGS}" \
		PREFIX="${EPREFIX}/usr" PAMDIR="${EPREFIX}$(getpam_mod_dir)" VERSION="${PV}" "$@"
}

src_compile() {
	if use elibc_musl; then
		cgdeleg_make musl build/cgdeleg
	else
		cgdeleg_make all
	fi
	cgdeleg_make man completions doc
}

src_test() {
	GOFLAGS=-mod=vendor ego test ./delegate/... ./cmd/... ./pam/worker/...
}

src_install() {
	local target=install
	use elibc_musl && target=install-musl
	cgdeleg_make ${target} INIT="systemd openrc" DESTDIR="${D}"
	mv "${ED}"/usr/share/doc/{cgdeleg,${PF}} || die
	keepdir /etc/cgdeleg
	dodoc vendor/LICENCES
	newdoc contrib/pam/gentoo pam-line
}

pkg_postinst() {
	tmpfiles_process cgdeleg.conf
	elog "Add the line of ${EROOT}/usr/share/doc/${PF}/pam-line to /etc/pam.d/system-login,"
	elog "and log in again. cgdeleg check says whether that is enough."
}
