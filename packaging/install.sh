#!/bin/sh
# install.sh install|uninstall|list [PART...]: puts what was built where it belongs, takes
# it away again, or lists the files. The Makefile calls it, and sets these:
#
#	DESTDIR PREFIX LIBEXECDIR SYSCONFDIR PAMDIR	where to
#	MODULE TRYLOGIN WORKER	the built files; WORKER is musl's, else empty
#	INIT	whose files come along, of systemd, openrc, runit, s6 and cron; empty:
#		those of this machine
#
# The parts are the two packages that there are everywhere: module and tool. Without one
# it is both, with the documents of the tool.
set -eu
cd "$(dirname "$0")/.."
verb=$1
shift
: "${DESTDIR=}" "${PREFIX:=/usr}" "${SYSCONFDIR:=/etc}" "${LIBEXECDIR:=$PREFIX/libexec}" "${INIT=}" "${WORKER=}"
units=$PREFIX/lib/systemd/system
share=$PREFIX/share

# has PROGRAM: a program of an init, which need not be in PATH.
has() {
	for dir in /sbin /usr/sbin /bin /usr/bin /usr/lib/systemd /lib/systemd; do
		[ ! -x "$dir/$1" ] || return 0
	done
	return 1
}

# What of INIT's words is this machine's. cron removes dead sessions where systemd's
# timer does not.
inits() {
	! has systemd || echo systemd
	! has openrc-run || echo openrc
	! has runsvdir || echo runit
	! has s6-svscan || echo s6
	has systemd || [ ! -d /etc/cron.d ] || echo cron
}
[ -n "$INIT" ] || INIT=$(inits)

# with INIT: its files come along.
with() {
	for word in $INIT; do
		[ "$word" != "$1" ] || return 0
	done
	return 1
}

# below MODE FROM TO: all files in a folder. Those that can be run here can be there.
below() {
	(cd "$2" && find . -type f | LC_ALL=C sort) | sed 's#^\./##' | while read -r file; do
		mode=$1
		[ ! -x "$2/$file" ] || mode=0755
		echo "$mode $2/$file $3/$file"
	done
}

pages() {
	for page; do
		[ ! -e "build/man/$page" ] || echo "0644 build/man/$page $share/man/man${page##*.}/$page"
	done
}

# The tables: mode, file here, file there. A mode of conf is 0644, of a file that
# administrators change.
module() {
	echo "0644 $MODULE $PAMDIR/pam_cgdeleg.so"
	[ -z "$WORKER" ] || echo "0755 $WORKER $LIBEXECDIR/cgdeleg/worker"
	! with systemd || {
		below 0644 contrib/systemd/session-.scope.d "$units/session-.scope.d"
		echo "0644 contrib/tmpfiles.d/cgdeleg.conf $PREFIX/lib/tmpfiles.d/cgdeleg.conf"
	}
	pages cgdeleg-limits.conf.5 pam_cgdeleg.8
}
tool() {
	echo "0755 build/cgdeleg $PREFIX/bin/cgdeleg"
	echo "0755 $TRYLOGIN $LIBEXECDIR/cgdeleg/trylogin"
	below 0644 contrib/machine "$share/cgdeleg/machine"
	pages cgdeleg.1 cgdeleg-cleanup.8 cgdeleg-serve.8
	echo "0644 build/completions/bash/cgdeleg $share/bash-completion/completions/cgdeleg"
	echo "0644 build/completions/fish/cgdeleg.fish $share/fish/vendor_completions.d/cgdeleg.fish"
	echo "0644 build/completions/zsh/_cgdeleg ${ZSHDIR:-$share/zsh/site-functions}/_cgdeleg"
	! with systemd || {
		for unit in contrib/systemd/*.service contrib/systemd/*.socket contrib/systemd/*.timer; do
			echo "0644 $unit $units/${unit##*/}"
		done
		below 0644 contrib/systemd/user-runtime-dir@.service.d "$units/user-runtime-dir@.service.d"
	}
	! with cron || echo "conf contrib/cron/cgdeleg $SYSCONFDIR/cron.d/cgdeleg"
	! with openrc || {
		echo "0755 contrib/openrc/cgdeleg-serve.initd $SYSCONFDIR/init.d/cgdeleg-serve"
		echo "conf contrib/openrc/cgdeleg-serve.confd $SYSCONFDIR/conf.d/cgdeleg-serve"
		echo "conf contrib/logrotate/cgdeleg-serve $SYSCONFDIR/logrotate.d/cgdeleg-serve"
	}
	! with runit || below 0644 contrib/runit/cgdeleg-serve "$SYSCONFDIR/sv/cgdeleg-serve"
	! with s6 || below 0644 contrib/s6/cgdeleg-serve "$SYSCONFDIR/s6/sv/cgdeleg-serve"
}
files() {
	case "$*" in
	"")
		module
		tool
		below 0644 build/doc/tool "$share/doc/cgdeleg"
		;;
	module)
		module
		below 0644 build/doc/module "$share/doc/pam_cgdeleg"
		;;
	tool)
		tool
		below 0644 build/doc/tool "$share/doc/cgdeleg"
		;;
	*)
		echo "install.sh: the parts are module and tool, and not $*" >&2
		return 1
		;;
	esac
}

# as_installed FILE: what is in it there. Services and the like name the tool's path.
as_installed() {
	case $1 in
	contrib/systemd/* | contrib/cron/* | contrib/openrc/*) sed "s#/usr/bin/cgdeleg#$PREFIX/bin/cgdeleg#g" "$1" ;;
	*) cat "$1" ;;
	esac
}

install_files() {
	[ "$*" = tool ] || install -d -m 0755 "$DESTDIR$SYSCONFDIR/cgdeleg" # the module's
	while read -r mode from to; do
		if [ "$mode" = conf ] && [ -e "$DESTDIR$to" ]; then
			as_installed "$from" | cmp -s - "$DESTDIR$to" || echo "$to was changed, and is left as it is: compare $from"
			continue
		fi
		[ "$mode" != conf ] || mode=0644
		case $from in
		contrib/systemd/* | contrib/cron/* | contrib/openrc/*)
			install -d -m 0755 "$DESTDIR${to%/*}"
			as_installed "$from" >"$DESTDIR$to.new"
			chmod "$mode" "$DESTDIR$to.new"
			mv "$DESTDIR$to.new" "$DESTDIR$to"
			;;
		*) install -D -m "$mode" "$from" "$DESTDIR$to" ;; # a new file: an open session keeps the old module
		esac
	done
}

# Folders that get empty go, up to those that others have files in.
uninstall_files() {
	while read -r mode from to; do
		[ -e "$DESTDIR$to" ] || continue
		if [ "$mode" = conf ] && ! as_installed "$from" | cmp -s - "$DESTDIR$to"; then
			echo "$to was changed, and is left as it is"
			continue
		fi
		rm -f "$DESTDIR$to"
		dir=${to%/*}
		while [ -n "$dir" ] && [ "$dir" != "$PREFIX" ] && rmdir "$DESTDIR$dir" 2>/dev/null; do
			dir=${dir%/*}
		done
	done
	rmdir "$DESTDIR$SYSCONFDIR/cgdeleg" 2>/dev/null || true
}

# What only the machine's administrator can do.
left_to_do() {
	echo
	echo "pam_cgdeleg is installed. What is left to do, as root:"
	if [ -d /run/systemd/system ]; then
		echo "  systemctl daemon-reload"
		echo "  systemd-tmpfiles --create cgdeleg.conf"
		echo "  systemctl enable --now cgdeleg-cleanup.timer    # removes dead sessions every hour"
	elif with openrc; then
		echo "  rc-update add cgdeleg-serve && rc-service cgdeleg-serve start    # removes dead sessions"
	elif with runit; then
		echo "  ln -s $SYSCONFDIR/sv/cgdeleg-serve /var/service/    # removes dead sessions; on Debian /etc/service"
	elif with s6; then
		echo "  have s6 supervise $SYSCONFDIR/s6/sv/cgdeleg-serve    # removes dead sessions"
	fi
	doc=$share/doc/cgdeleg/examples
	if has pam-auth-update; then
		echo "  install -m 644 $doc/pam/debian /usr/share/pam-configs/cgdeleg"
		echo "  pam-auth-update --enable cgdeleg"
	else
		echo "  add this line to the PAM files of the services that people log in by, after"
		echo "  pam_systemd.so or pam_elogind.so ($doc/README.md says which files):"
		echo "    session optional pam_cgdeleg.so"
	fi
	echo "Then log in again, and ask: cgdeleg check"
}

table=$(files "$@")
case $verb in
list) printf '%s\n' "$table" ;;
install)
	printf '%s\n' "$table" | install_files "$@"
	[ -n "$DESTDIR" ] || left_to_do
	;;
uninstall)
	printf '%s\n' "$table" | uninstall_files
	[ -n "$DESTDIR" ] || echo "Take the line of pam_cgdeleg.so out of the files in /etc/pam.d, if it is there."
	;;
*)
	echo "install.sh: install, uninstall or list, and not $verb" >&2
	exit 1
	;;
esac
