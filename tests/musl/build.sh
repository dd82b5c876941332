#!/bin/sh
# build.sh DIR BUSYBOX-CONFIG: an Alpine-like root in DIR/root, every program of
# it built with musl from Debian 12's sources: libxcrypt, Linux-PAM with the modules
# of Alpine's PAM files, busybox, the login, su and runuser of util-linux, sshd
# and ssh. DIR/cc is the compiler, for what is to be run in it.
#
# Alpine's own packages cannot be had here. What differs from them: the versions,
# ssh without OpenSSL (so it knows only Ed25519 keys), and musl without its crypt(3),
# which Debian takes out; libxcrypt has that.
set -eu
dir=$1 config=$2
root=$dir/root
cross=$(cd "$(dirname "$0")/../../packaging/cross" && pwd)
mkdir -p "$root/usr/lib"
# shellcheck source=packaging/cross/steps.sh
. "$cross/steps.sh"
cd "$dir"

make_compiler() {
	mkdir -p headers
	ln -s /usr/include/linux /usr/include/asm-generic "/usr/include/$(gcc -print-multiarch)/asm" headers
	cat >cc <<-END
		#!/bin/sh
		exec musl-gcc -idirafter $dir/headers -isystem $root/usr/include \\
			-L$root/usr/lib -Wl,-rpath-link,$root/usr/lib "\$@"
	END
	chmod 755 cc
}

configure() {
	CC=$dir/cc ./configure --host="$(uname -m)-linux-musl" --build="$(uname -m)-linux-gnu" \
		--prefix=/usr --libdir=/usr/lib --sysconfdir=/etc "$@"
}

build_libxcrypt() {
	cd "$dir/libxcrypt"
	# only its tests want that macro, of a package of its own
	sed -i '/^LT_SYS_SYMBOL_USCORE/d' configure.ac
	autoreconf -fi
	configure --enable-hashes=sha512crypt --enable-obsolete-api=no --disable-failure-tokens --disable-static --disable-werror
	make -s -j2 libcrypt.la
	make -s install-libLTLIBRARIES install-nodist_includeHEADERS DESTDIR="$root"
	ln -s libcrypt.so.2 "$root/usr/lib/libcrypt.so.1"
}

build_pam() {
	cd "$dir/pam"
	configure --enable-securedir=/usr/lib/security --disable-nls --disable-doc --disable-selinux --disable-audit \
		--disable-nis --disable-econf --disable-prelude --enable-db=no
	for part in libpam libpamc libpam_misc modules/pam_permit modules/pam_deny modules/pam_rootok modules/pam_unix \
		modules/pam_env modules/pam_limits modules/pam_nologin modules/pam_exec; do
		make -s -j2 -C "$part"
		make -s -C "$part" install DESTDIR="$root"
	done
	find "$root/usr/lib" -name '*.la' -delete
}

build_util_linux() {
	cd "$dir/util-linux"
	configure --bindir=/bin --sbindir=/sbin --disable-all-programs --enable-login --enable-su --enable-runuser \
		--disable-nls --disable-shared --without-systemd --without-udev --without-ncurses --without-ncursesw \
		--without-tinfo --without-audit --without-selinux --without-python
	make -s -j2 login su runuser
	install -D -m 0755 -t "$root/bin" login runuser
	install -D -m 4755 -t "$root/bin" su
}

build_openssh() {
	cd "$dir/openssh"
	configure --sysconfdir=/etc/ssh --libexecdir=/usr/lib/ssh --with-pam --without-openssl --without-zlib \
		--without-libedit --disable-lastlog --disable-wtmp --disable-utmp --disable-utmpx --disable-strip \
		--with-privsep-path=/var/empty --with-privsep-user=sshd --with-pid-dir=/run
	make -s -j2 sshd ssh
	install -D -m 0755 -t "$root/usr/sbin" sshd
	install -D -m 0755 -t "$root/usr/bin" ssh
}

build_busybox() {
	cd "$dir/busybox"
	make -s allnoconfig
	sed -n 's|^\(CONFIG_[A-Z0-9_]*\)=.*|s/^# \1 is not set$/&/|p' "$config" >chosen.sed
	sed -i -f chosen.sed .config
	yes '' | make -s oldconfig
	make -s -j2 CC="$dir/cc" SKIP_STRIP=y busybox
	make -s CC="$dir/cc" SKIP_STRIP=y busybox.links
	mkdir -p "$root/bin" "$root/usr/bin" "$root/sbin" "$root/usr/sbin"
	install -m 0755 busybox "$root/bin/busybox"
	while read -r link; do
		ln -sf /bin/busybox "$root$link"
	done <busybox.links
}

# The files of Alpine's alpine-baselayout, linux-pam and openssh-server-pam that
# matter here, in their order of modules.
furnish() {
	loader=ld-musl-$(uname -m).so.1
	install -D -m 0755 "$(readlink -f "/lib/$loader")" "$root/lib/$loader"
	cd "$root"
	mkdir -p dev proc sys run tmp root home etc/pam.d etc/profile.d var/log var/empty var/mail var/spool/cron var/lib mnt
	chmod 1777 tmp
	ln -s ../run var/run
	printf '%s\n' root:x:0:0:root:/root:/bin/sh daemon:x:2:2::/sbin:/bin/false nobody:x:65534:65534::/:/bin/false \
		sshd:x:22:22:sshd:/dev/null:/bin/false >etc/passwd
	printf '%s\n' root:x:0: daemon:x:2: tty:x:5: shadow:x:42: sshd:x:22: nobody:x:65534: >etc/group
	printf '%s\n' 'root:*::0:::::' 'sshd:!::0:::::' >etc/shadow
	chmod 640 etc/shadow
	printf '/bin/sh\n/bin/bash\n' >etc/shells
	: >etc/environment
	cat >etc/pam.d/base-auth <<-END
		auth required pam_env.so
		auth required pam_nologin.so successok
		auth required pam_unix.so nullok
	END
	printf 'account required pam_nologin.so\naccount required pam_unix.so\n' >etc/pam.d/base-account
	printf 'password required pam_unix.so nullok sha512 shadow\n' >etc/pam.d/base-password
	printf 'session required pam_limits.so\nsession required pam_env.so\nsession required pam_unix.so\n' >etc/pam.d/base-session-noninteractive
	cat >etc/pam.d/base-session <<-END
		session include base-session-noninteractive
		-session optional pam_rundir.so
		-session optional pam_elogind.so
		-session optional pam_turnstile.so
	END
	for service in login sshd; do
		printf '%s include base-%s\n' auth auth account account password password session session >"etc/pam.d/$service"
	done
	cat >etc/pam.d/su <<-END
		auth sufficient pam_rootok.so
		auth include base-auth
		account include base-account
		password include base-password
		session include base-session-noninteractive
	END
	printf '%s required pam_deny.so\n' auth account password session >etc/pam.d/other
}

echo "musl: fetching sources" >&2
step fetch "$cross/debian-sources.sh" "$dir" libxcrypt pam util-linux openssh busybox
step compiler make_compiler
echo "musl: building libxcrypt and Linux-PAM" >&2
step libxcrypt build_libxcrypt
step pam build_pam
echo "musl: building util-linux, openssh, busybox" >&2
step util-linux build_util_linux &
first=$!
step openssh build_openssh &
second=$!
step busybox build_busybox
wait "$first"
wait "$second"
step furnish furnish
rm -rf --one-file-system libxcrypt pam util-linux openssh busybox
echo "musl: $root" >&2
