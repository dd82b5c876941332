#!/bin/sh
# run.sh [address|thread|valgrind|replies|race]...: the C side of the module, and what is in
# `cgdeleg serve` at the same time, under tools that look at each access to memory. Without
# words all but replies, which is a fuzzer (FUZZ_SECONDS), and thread: the C side has no threads
# of its own, and a fork by an application with threads, which is what could be looked at,
# hangs in the sanitizer itself now and then. As root, after make.
#
# The module is the one with a worker that is a program (MUSL_MODULE in the Makefile), since
# no Go library can be loaded where the C library is a sanitizer's. All else is the same
# code. The application is built likewise, and is that of tests/applications.
set -eu
cd "$(dirname "$0")/../.."
GO=${GO:-go}
here=$PWD
out=$here/build/sanitized
FUZZ_SECONDS=${FUZZ_SECONDS:-20}
[ $# -gt 0 ] || set -- address valgrind race
mkdir -p "$out"

# What the C side does in an application, of which most is in these tests: reading replies, forks,
# signals, descriptors, detached closes, threads. Those of memory and of page faults say
# nothing here: a sanitizer has its own. That of threads has a thread of its own, too, so
# that only applications with threads look as they do without.
tests='^(TestApplicationShapes|TestNestedSessions|TestCloseInChild|TestCloseAfterNumberIsTaken|TestWorkersWords|TestWorkersArguments|TestSessionVariable|TestLoginIsLateByTwiceTheTimeout|TestDescriptorsCannotBeArranged|TestSessionWithOpenDescriptors|TestClosesAreDetached|TestLimitsAreOnTheHandle|TestReturnValues|TestUserNames|TestForksOfAnotherThreadKeepThePipe|TestLowestFreeNumber)$'
threads='^TestApplicationShapes$/^threads|^TestForksOfAnotherThreadKeepThePipe$'

# module DIR [FLAG...]: into that folder of build/sanitized
module() {
	dir=build/sanitized/$1
	shift
	make -s MUSL_CC=gcc MUSL_DIR="$dir" LIBEXECDIR="$out" MUSL_CFLAGS="-g -O1 -fno-omit-frame-pointer $*" "$dir/pam_cgdeleg.so"
	make -s MUSL_DIR=build/sanitized/cgdeleg build/sanitized/cgdeleg/worker
}

applications() { # a build, the tests, and the variables that go with it
	dir=$1 wanted=$2
	shift 2
	(cd tests && env CGDELEG_BUILT="$out/$dir" "$@" "$GO" test -count=1 -timeout 20m -run "$wanted" -skip "${skipped:-^$}" ./applications)
}

for what; do
	echo "sanitizers: $what"
	case $what in
	address)
		flags="-fsanitize=address,undefined -fno-sanitize-recover=undefined"
		# shellcheck disable=SC2086 # a list of words
		module address $flags
		# shellcheck disable=SC2086 # a list of words
		gcc -std=gnu11 -D_GNU_SOURCE -g -O1 $flags -DREPLAY -o "$out/replay" tests/sanitizers/replies/replies.c pam/systemd.c
		"$out/replay" tests/sanitizers/replies/corpus/*
		applications address "$tests" CGDELEG_CFLAGS="$flags -fno-omit-frame-pointer" \
			ASAN_OPTIONS=detect_leaks=0:exitcode=99:detect_stack_use_after_return=1
		;;
	thread)
		module thread -fsanitize=thread
		applications thread "$threads" CGDELEG_CFLAGS=-fsanitize=thread TSAN_OPTIONS=die_after_fork=0:report_thread_leaks=0:exitcode=99
		;;
	valgrind)
		module valgrind
		skipped='/^worker.dies$' # by seccomp(2), which valgrind does not know
		applications valgrind '^(TestSessionVariable|TestReturnValues)$' \
			CGDELEG_UNDER="valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --child-silent-after-fork=yes"
		skipped=
		;;
	replies)
		mkdir -p "$out/corpus"
		clang -std=gnu11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
			-o "$out/replies" tests/sanitizers/replies/replies.c pam/systemd.c
		"$out/replies" -max_total_time="$FUZZ_SECONDS" -max_len=4096 -verbosity=0 -print_final_stats=1 \
			-artifact_prefix="$out/" "$out/corpus" tests/sanitizers/replies/corpus
		;;
	race)
		mkdir -p "$out/race"
		CGO_ENABLED=1 $GO build -race -o "$out/race/cgdeleg" ./cmd/cgdeleg
		rm -f "$out"/race/report.*
		(cd tests && CGDELEG_BUILT="$out/race" GORACE="log_path=$out/race/report exitcode=66 atexit_sleep_ms=0" \
			"$GO" test -count=1 -timeout 20m -run '^(TestServed|TestServedAtOnce|TestServerDies|TestTold|TestOddAnswers)$' ./served)
		if cat "$out"/race/report.* 2>/dev/null; then exit 1; fi
		;;
	*)
		echo "run.sh: what is $what?" >&2
		exit 2
		;;
	esac
done
echo "sanitizers: $* found nothing"
