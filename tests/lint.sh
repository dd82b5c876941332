#!/bin/sh
# lint.sh: every static check, over both Go modules, the C files and the shell
# scripts. The Go tools are built from the module proxy, in the versions here.
set -eu
cd "$(dirname "$0")/.."
STATICCHECK=honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOLANGCI=github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GO=${GO:-go}

unformatted=$(gofmt -l cmd delegate packaging pam tests)
[ -z "$unformatted" ] || { echo "gofmt -w: $unformatted"; exit 1; }
# what packages run, with the variables that makepkg sets and reads
shellcheck -s sh packaging/nfpm/scripts/*
shellcheck -s bash -e SC2034,SC2128,SC2154,SC2164 packaging/arch/PKGBUILD packaging/arch/*.install
for module in . tests; do
	(
		cd "$module"
		$GO mod tidy -diff
		$GO vet ./...
		$GO run "$STATICCHECK" ./...
		$GO run "$GOLANGCI" run ./...
	)
done
find contrib -type f -name run -print0 | xargs -0 shellcheck # runit and s6 want that name
for source in pam/*.c cmd/trylogin/*.c tests/applications/*/*.c tests/bench/floor/*.c tests/commands/*/*.c tests/hostile/nss/*.c tests/release/testdata/*.c; do
	gcc -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -fanalyzer -O2 -c -o /dev/null "$source"
	cppcheck -q --std=c11 -D_GNU_SOURCE --enable=warning,performance,portability --inline-suppr --suppress=missingIncludeSystem --error-exitcode=1 "$source"
done
# .clang-tidy says what it looks for
for source in pam/*.c cmd/trylogin/*.c; do
	clang-tidy --quiet "$source" -- -std=gnu11 -D_GNU_SOURCE
done
find contrib packaging pam tests -name '*.sh' -print0 | xargs -0 shellcheck .ci/run packaging/debian/tests/ssh-login
shellcheck packaging/alpine/*.post-install
# what xbps-src and portage set, read or split
shellcheck -s bash -e SC2034,SC2086,SC2154,SC2164 contrib/void/srcpkgs/*/template contrib/gentoo/*/*/*.ebuild
# variables that abuild and openrc-run read, or set
shellcheck -s ash -e SC2034,SC2154 packaging/alpine/APKBUILD contrib/openrc/*.initd
echo "lint: all clean"
