#!/bin/bash
# pages.sh follows a page of docs/getting-started as somebody who types what it prints, and
# nothing else.
#
# A page's commands are in blocks that are indented by four blanks:
#
#     # apt install lxc          root types what comes after "# "
#     alice$ lxc-start -n c1     alice, in her login, what comes after "alice$ "
#     1.2.3                      what stands below is what the command prints, among other lines
#     [...]
#
# "..." in such a line stands for anything. A command must end with 0. A line that ends
# with a backslash goes on in the next one. The command "ssh alice@localhost" of root's is
# alice's login, in which all that is alice's is typed from there on.
#
# A block with a comment "<!-- not run: REASON -->" before it, with no other text between them,
# is not typed. Any other block must begin with a command.

typed=0 # how many commands were typed

# follow PAGE: types the page's commands, and asserts each.
follow() {
	local line who='' command='' want='' skip='' more=''
	while IFS= read -r line || [ -n "$line" ]; do
		case $line in
		"<!-- not run: "*" -->") skip=yes ;;
		"    "*)
			if [ "$skip" ]; then
				skip=block
			elif [ "$more" ]; then
				command+=$'\n'${line#    }
			elif [[ $line == "    # "* || $line == '    alice$ '* ]]; then
				step
				case $line in
				"    # "*) who=root command=${line#    # } ;;
				*) who=alice command=${line#    alice\$ } ;;
				esac
			elif [ "$who" ]; then
				want+=${line#    }$'\n'
			else
				not_ok "a block of the page begins with a command" "$line"
			fi
			case $line in *\\) more=yes ;; *) more= ;; esac
			;;
		"") ;;
		*)
			step
			if [ "$skip" = block ]; then skip=; fi
			;;
		esac
	done <"$1"
	step
}

# step: types the command that follow has come to, if there is one.
step() {
	local said status begun=$SECONDS
	[ "$who" ] || return 0
	typed=$((typed + 1))
	said=$("type_as_$who" "$command" 2>&1)
	status=$?
	note "$who, $((SECONDS - begun)) s: $command"
	printf '%s\n' "$said" | sed 's/^/#   /'
	if [ $status != 0 ]; then
		not_ok "$who: $command" "ended with $status: $said"
	elif [ -n "$want" ] && ! prints "$said" "$want"; then
		not_ok "$who: $command" "prints «$said», and not «$want»"
	else
		ok "$who: $command"
	fi
	who='' command='' want=''
}

# prints SAID WANT: SAID has WANT's lines, in this order.
prints() {
	local line want=()
	mapfile -t want < <(printf %s "$2" | grep -vFx -e '[...]' -e '')
	while IFS= read -r line && [ ${#want[@]} -gt 0 ]; do
		# shellcheck disable=SC2053 # a pattern
		if [[ $(trimmed "$line") == $(as_pattern "${want[0]}") ]]; then want=("${want[@]:1}"); fi
	done <<<"$1"
	[ ${#want[@]} = 0 ]
}

# trimmed LINE: without the blanks at its end.
trimmed() { printf %s "${1%"${1##*[![:space:]]}"}"; }

# as_pattern LINE: a pattern of [[ for the line.
as_pattern() { trimmed "$1" | sed 's/[][\\*?]/\\&/g; s/\.\.\./*/g'; }

# type_as_root COMMAND: in one folder all the time. Questions are answered with yes, and
# those of passwd with alice's password.
type_as_root() {
	case $1 in
	"ssh alice@localhost") log_in ;;
	passwd*) printf 'wonderland\nwonderland\n' | bash -c "$1" ;;
	*) yes 2>/dev/null | bash -c "$1" ;;
	esac
}

type_as_alice() { in_login newcomer "$1"; }

# log_in: as `ssh alice@localhost` does when somebody says yes to the key, and types the
# password.
log_in() {
	cat >/root/askpass <<-'END'
		#!/bin/sh
		case $1 in *'(yes/no'*) echo yes ;; *) echo wonderland ;; esac
	END
	chmod 755 /root/askpass
	SSH_ASKPASS=/root/askpass SSH_ASKPASS_REQUIRE=force DISPLAY=none timeout "$PATIENCE" \
		ssh -o KexAlgorithms=curve25519-sha256 -M -S "$CONTROL/newcomer" -N -f alice@localhost
}
