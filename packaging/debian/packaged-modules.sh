#!/bin/sh
# packaged-modules.sh DIR: makes DIR/go.work, a workspace whose vendor/ has the Go
# modules that Debian packages, of whatever version, in the place of go.mod's. Nothing
# changes outside of DIR.
set -eu
gocode=${GOCODE:-/usr/share/gocode/src}
mkdir -p "$1/vendor"
printf 'go %s\n\nuse %s\n' "$(sed -n 's/^go //p' go.mod)" "$(pwd)" >"$1/go.work"
{
	echo '## workspace'
	# A module that is not packaged may be one that nothing here imports.
	sed -n 's/^\t\([^ ]*\) \(v[^ ]*\).*/\1 \2/p' go.mod | while read -r module version; do
		printf '# %s %s\n## explicit; go 1.24\n' "$module" "$version"
		from=$gocode/$module
		[ -d "$from" ] || from=${from%/v[0-9]} # godbus's v5 has no folder of its own
		[ -d "$from" ] || continue
		mkdir -p "$1/vendor/$module"
		cp -r "$from/." "$1/vendor/$module"
		(cd "$1/vendor" && find "$module" -name '*.go' -printf '%h\n' | sort -u)
	done
} >"$1/vendor/modules.txt"
