#!/bin/sh
# fuzz.sh [TIME]: runs every fuzz target of the module for TIME each (as go test
# -fuzztime takes it: 30s, 5m, 1000x; 10s if not given). It goes on after a
# target that fails and then fails itself; what failed is in that package's
# testdata/fuzz, where plain "go test" runs it again.
set -eu
cd "$(dirname "$0")/.."
GO=${GO:-go}
time=${1:-10s}

packages=$($GO list ./...)
failed=
count=0
for package in $packages; do
	targets=$($GO test -list '^Fuzz' "$package")
	for target in $targets; do
		case $target in
		Fuzz*) ;;
		*) continue ;; # the "ok PACKAGE 0.01s" below the names
		esac
		count=$((count + 1))
		echo "fuzz: $target of $package"
		$GO test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package" || failed="$failed $target"
	done
done
[ "$count" -gt 0 ] || { echo "fuzz: no target found" >&2; exit 1; }
[ -z "$failed" ] || { echo "fuzz: failed:$failed" >&2; exit 1; }
echo "fuzz: $count targets, none failed"
