# shellcheck shell=sh
# steps.sh, sourced: the steps of a build from sources into $dir, each with its log
# there, and the ends of the logs of those that failed when the script ends.
dir=${dir:?}

# step NAME COMMAND...: in a process of its own, with what it says in a file. Not
# after || or !, where the shell would go on after an error inside.
step() {
	(
		log=$dir/$1.log
		shift
		exec >"$log" 2>&1
		"$@"
		mv "$log" "$log.done"
	)
}

# forget_variables: those of the make that calls the script are for other builds.
forget_variables() { unset MAKEFLAGS DESTDIR AR AS CC CFLAGS CPP CPPFLAGS LD LDFLAGS LIBS NM OBJDUMP RANLIB STRIP; }

show_failed() {
	for log in "$dir"/*.log; do
		[ ! -e "$log" ] || {
			echo "${0##*/}: the end of $log:"
			tail -n 30 "$log"
		} >&2
	done
}
trap show_failed EXIT
