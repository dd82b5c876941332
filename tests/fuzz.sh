#!/bin/sh
# fuzz.sh [TIME [NAME]]: runs the fuzz targets of the module for TIME each (as go test
# -fuzztime takes it: 30s, 5m, 1000x; 20s if not given), FUZZ_AT_ONCE of them at a time (2),
# each with one process. NAME is a part of the names PACKAGE.TARGET of those that are to be
# run. It goes on after a target that fails and then fails itself; what failed is in that
# package's testdata/fuzz, where plain "go test" runs it again. What it finds that leads to
# other code stays in build/fuzz/corpus, for the next time.
set -eu
cd "$(dirname "$0")/.."
GO=${GO:-go}
time=${1:-20s}
wanted=${2:-.}
at_once=${FUZZ_AT_ONCE:-2}
mkdir -p build/fuzz/corpus
here=$PWD

# one target, in the folder of its package
if [ "${FUZZ_ONE:-}" ]; then
	binary=${FUZZ_ONE%:*}
	target=${FUZZ_ONE#*:}
	name=$(basename "$binary" .test)
	cd "$(cat "$binary.dir")"
	status=0
	GOMAXPROCS=1 "$binary" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "$time" -test.parallel 1 \
		-test.fuzzcachedir "$here/build/fuzz/corpus/$name" >"$binary.$target.log" 2>&1 || status=$?
	# Who waits long for a processor is taken for one that hangs. What fails is kept in
	# testdata/fuzz, and fails again.
	if [ $status != 0 ] && "$binary" -test.run "^$target\$" -test.timeout 2m >>"$binary.$target.log" 2>&1; then
		echo "fuzz: $name.$target failed, and does not when it is run again:"
		sed "s|^|$name.$target: |" "$binary.$target.log"
		status=0
	fi
	grep '^fuzz: elapsed' "$binary.$target.log" | tail -n 1 | sed "s|^fuzz: |fuzz: $name.$target: |"
	[ $status = 0 ] || sed "s|^|$name.$target: |" "$binary.$target.log"
	exit $status
fi

# Each package with targets is compiled once, with what tells which input leads to other code.
rm -rf build/fuzz/bin
mkdir -p build/fuzz/bin
for dir in $(grep -rl --include='*_test.go' '^func Fuzz' cmd delegate pam | xargs -n 1 dirname | sort -u); do
	binary=$here/build/fuzz/bin/$(echo "$dir" | tr / -).test
	$GO test -c -fuzz=Fuzz -o "$binary" "./$dir"
	echo "$here/$dir" >"$binary.dir"
	(cd "$dir" && "$binary" -test.list '^Fuzz') | sed "s|^|$binary:|"
done >build/fuzz/targets
grep -e "$wanted" build/fuzz/targets >build/fuzz/wanted || { echo "fuzz: no target found" >&2; exit 1; }
failed=0
xargs -P "$at_once" -I TARGET env FUZZ_ONE=TARGET "$here/tests/fuzz.sh" "$time" <build/fuzz/wanted || failed=1
echo "fuzz: $(wc -l <build/fuzz/wanted) targets for $time each, $([ $failed = 0 ] && echo none || echo some) failed"
exit $failed
