#!/bin/sh
# doc.sh DIR: makes the documents as they are installed: DIR/tool with all that users
# read, and the rest of contrib/ as examples, and DIR/module with what the module's own
# package has of them. A link to a file that is not there leads to the project's page.
set -eu
cd "$(dirname "$0")/.."
out=$1
page=https://github.com/cgdeleg/pam_cgdeleg/blob/main

# with_links FILE LIST: the text of FILE. LIST has what else is installed, a line each:
# the path here, and the one there.
with_links() {
	awk -v file="$1" -v list="$2" -v page="$page" '
		# from the folder of a file to a path, both from the top
		function relative(file, path,    from, to, n, m, i, result) {
			n = split(file, from, "/")
			m = split(path, to, "/")
			for (i = 1; i < n && i < m && from[i] == to[i]; i++)
				;
			for (n = n - i; n > 0; n--)
				result = result "../"
			for (; i < m; i++)
				result = result to[i] "/"
			return result to[m]
		}
		# the path from the top of what a file names by a path from its folder
		function named(file, path,    steps, n, i, depth, result) {
			sub(/[^\/]*$/, "", file)
			n = split(file path, steps, "/")
			for (i = 1; i <= n; i++)
				if (steps[i] == "..") depth--
				else if (steps[i] != "") steps[++depth] = steps[i]
			for (i = 1; i <= depth; i++)
				result = result (i > 1 ? "/" : "") steps[i]
			return result
		}
		function link(target,    at, fragment, path) {
			if (target ~ /^(#|[a-z]+:)/)
				return target
			at = index(target, "#")
			if (at > 0) {
				fragment = substr(target, at)
				target = substr(target, 1, at - 1)
			}
			path = named(file, target)
			if (path in there)
				return relative(there[file], there[path]) fragment
			return page "/" path fragment
		}
		BEGIN {
			while ((getline line <list) > 0) {
				split(line, words, " ")
				there[words[1]] = words[2]
			}
		}
		{
			text = ""
			while (match($0, /\]\([^)]*\)/)) {
				text = text substr($0, 1, RSTART + 1) link(substr($0, RSTART + 2, RLENGTH - 3)) ")"
				$0 = substr($0, RSTART + RLENGTH)
			}
			print text $0
		}' "$1"
}

# The paths here and there, of each half.
tool_files() {
	for file in README.md NEWS.md; do echo "$file $file"; done
	find docs -path docs/man -prune -o -type f -print | sed 's#^docs/\(.*\)#& \1#'
	find contrib -path contrib/machine -prune -o ! -type d -print | sed -e 's#^contrib/examples/\(.*\)#& examples/\1#;t' \
		-e 's#^contrib/\(.*\)#& examples/\1#'
}
module_files() {
	for file in README.md NEWS.md; do echo "$file $file"; done
	for file in limits.md limits.svg migration.md security.md tree.svg; do echo "docs/$file $file"; done
	find contrib/examples -type f | sed 's#^contrib/\(.*\)#& \1#'
	find contrib/pam ! -type d | sed 's#^contrib/\(.*\)#& examples/\1#' # Debian's is a link
}

rm -rf "$out"
for half in tool module; do
	mkdir -p "$out/$half"
	list=$out/$half.list
	"${half}_files" >"$list"
	"${half}_files" | while read -r from to; do
		mkdir -p "$out/$half/$(dirname "$to")"
		case $from in
		*.md) with_links "$from" "$list" >"$out/$half/$to" ;;
		*) cp "$from" "$out/$half/$to" ;;
		esac
	done
	rm "$list"
	find "$out/$half" -type f -exec chmod u=rw,go=r {} +
	find "$out/$half" -path '*/examples/*' -type f -exec sh -c 'for f; do ! head -c 3 "$f" | grep -q "^#!/" || chmod 755 "$f"; done' sh {} +
done
