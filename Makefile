# make          the programs in build: pam_cgdeleg.so, cgdeleg, trylogin
# make help     this list
# make demo     as root: a session for an ordinary user, shown from open to close
# make install  all that the packages bring, of what make built, and says what is left to do; under DESTDIR, PREFIX and PAMDIR, with the services of INIT ("systemd cron", openrc, runit, s6), by default this machine's
# make uninstall  takes it away, with the same words
# make install-musl, uninstall-musl  as these, where the C library is musl
# make man      the manual pages in build/man; needs scdoc
# make completions  for bash, zsh and fish in build/completions
# make doc      the documents as they are installed in build/doc
# make clean    removes the programs
#
# make test     as root: all tests on this machine's own cgroups
# make faults   as root: every fault of docs/faults.md, of which make test has a sample
# make unit     those of them that need no root
# make lint     gofmt, go vet, staticcheck, golangci-lint, shellcheck, gcc -fanalyzer, clang-tidy, cppcheck
# make fuzz     every fuzz target for FUZZ_TIME (20s), two at a time; needs clang
# make sanitize  as root: the C side under sanitizers and valgrind, serve under the race detector
# make storms   as root: many logins at once, with pam_cgfs beside: the tables of docs/storms.md
# make soak     as root: 100,000 sessions, and a day's worth of cron and sudo in an hour
# make test-vm  as root: systemd and none, cgroup v2 and v1, in virtual machines
# make vm-images  as root: builds these machines' images ahead, and starts none
# make test-clients  as root: of these two only LXC, podman, runc and the like
# make test-packages  as root: Debian's are installed, upgraded, removed, in a fresh root and, but for VM=0, a machine
# make test-musl  as root: in an Alpine-like root, built from sources with musl-gcc
# make test-release  as root: the packages, the module under qemu-user, reproducible builds
# make bench    as root: the tables of docs/performance.md; BENCH=Growth one part, SHORT=1 a quick look
# make bench-vm  as root: the same of whole programs in virtual machines
# make setup    as root: installs what building and testing need
#
# make deb      the Debian packages in build/deb
# make deb-next  those of a next version in build/deb-next, for tests
# make musl     build/musl: the module and its worker for musl, as on Alpine
# make cross    build/cross: the programs for ARCHES; needs tests/release/setup.sh
# make packages deb, rpm, apk and Arch packages in dist, for ARCHES
# make release  these, the sources, their checksums and a bill of materials in dist
#
# bench, deb, demo, faults, sanitize, soak, storms, test, test-musl, test-vm, test-clients, test-packages and lint install what they need first (Debian and Ubuntu).

GO       ?= $(if $(wildcard build/.toolchain/bin/go),$(CURDIR)/build/.toolchain/bin/go,go)
export GO
CC       ?= gcc
PREFIX   ?= /usr
PAMDIR   ?= $(or $(firstword $(wildcard /lib/$(shell $(CC) -print-multiarch)/security /usr/lib64/security /usr/lib/security)),/lib/security)
SYSCONFDIR ?= /etc
DESTDIR  ?=
VERSION  := $(shell cat VERSION)

# How all C is compiled: with what distributions have by default, and these do not all.
# $(1) is the compiler. It says for which architecture, and so which kind of marks for
# indirect jumps there is. _FORTIFY_SOURCE only where no packager has said a value.
HARDENING = -fstack-protector-strong -fstack-clash-protection $(call hardening_jumps,$(firstword $(subst -, ,$(shell $(1) -dumpmachine)))) \
            $(if $(findstring _FORTIFY_SOURCE,$(CPPFLAGS) $(CFLAGS) $(CGO_CPPFLAGS) $(CGO_CFLAGS)),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
hardening_jumps = $(if $(filter x86_64 i%86,$(1)),-fcf-protection) $(if $(filter aarch64,$(1)),-mbranch-protection=standard)
LINK_HARDENED = -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack

# Quoted for cmd/go: the linker gets the script that keeps the Go runtime from
# starting in the application, and the list of the only symbols to export.
MODULE_EXTLDFLAGS = -Wl,-T,$(CURDIR)/pam/start.ld -Wl,--version-script=$(CURDIR)/pam/exports.map \
                    -Wl,-z,defs $(LINK_HARDENED) -Wl,-z,nodelete -Wl,--build-id=sha1
# Counts the tests, and prints each that was skipped with its reason.
GOTEST   = $(GO) run gotest.tools/gotestsum@v1.13.0 --format pkgname-and-test-fails --
GOBUILD  = $(GO) build -trimpath -buildvcs=false
# Go's own build ID would have the linker script's folder in it.
GOMODULE = $(GOBUILD) -buildmode=c-shared -ldflags="-s -w -buildid= -extldflags '$(MODULE_EXTLDFLAGS)'"
SOURCES  = go.mod go.sum VERSION Makefile $(shell find pam delegate cmd -type f)

# The static programs, cgdeleg and musl's worker: position-independent, and with nothing of the
# C library's but its start and its threads, so that they run everywhere. Go's own linker
# makes such a program only with a dynamic linker of one C library. Where the compiler's C
# library has no start for one (rcrt1.o), they are at a fixed address. $(1) is the compiler,
# $(2) are more flags of the linker.
GOSTATIC   = $(if $(wildcard $(shell $(1) -print-file-name=rcrt1.o)),$(STATIC_PIE),CGO_ENABLED=0 $(GOBUILD) -ldflags="-s -w $(2)")
STATIC_PIE = CC="$(1)" CGO_ENABLED=1 CGO_CFLAGS="$(or $(CGO_CFLAGS),-O2 -g) $(call HARDENING,$(1))" $(GOBUILD) -buildmode=pie -tags=osusergo,netgo \
             -ldflags="-s -w $(2) -buildid= -linkmode=external -extldflags '-static-pie $(LINK_HARDENED) -Wl,--build-id=sha1'"

.PHONY: all help demo man doc test faults test-vm vm-images test-clients unit lint fuzz sanitize bench bench-vm setup install install-musl uninstall uninstall-musl clean completions deb deb-next test-packages

all: build/pam_cgdeleg.so build/cgdeleg build/trylogin

# In the order of their sections at the top of this file, which is all that is said of targets.
help:
	@sed -n '/^#/!q; s/^#$$//p; s/^# //p' Makefile

build/pam_cgdeleg.so: $(SOURCES)
	CC="$(CC)" CGO_ENABLED=1 CGO_CFLAGS="$(or $(CGO_CFLAGS),-O2 -g) $(call HARDENING,$(CC))" $(GOMODULE) -o $@ ./pam
	rm -f build/pam_cgdeleg.h

build/cgdeleg: $(SOURCES)
	$(call GOSTATIC,$(CC),-X main.version=$(VERSION)) -o $@ ./cmd/cgdeleg

# With -rdynamic, modules find its syslog(3).
TRYLOGIN_FLAGS = -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -fPIE -pie -rdynamic $(LINK_HARDENED)
CFLAGS        ?= -O2 -g

build/trylogin: cmd/trylogin/trylogin.c Makefile
	mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(call HARDENING,$(CC)) $(TRYLOGIN_FLAGS) $(LDFLAGS) -o $@ $< -lpam -ldl

MANPAGES = $(patsubst docs/man/%.scd,build/man/%,$(wildcard docs/man/*.scd))

man: $(MANPAGES)

build/man/%: docs/man/%.scd
	mkdir -p build/man
	scdoc <$< >$@

setup:
	tests/setup.sh

demo:
	tests/require-root.sh demo
	tests/setup.sh build
	$(MAKE) all
	cd tests && $(GO) run ./demo

# Packages: packages, release, test-release.
include packaging/release/release.mk

# Tier 1: no root, any machine. The tests copy recorded machines, thousands of small
# files: in memory that takes a third of the time. With the race detector (RACE=-race,
# and in tier 2) it takes twice as long, and that would wait for a second at the end of
# each program.
unit:
	GORACE="$${GORACE-atexit_sleep_ms=10}" tests/in-memory.sh $(GOTEST) $(RACE) ./delegate/... ./cmd/... ./pam/worker/...

# Tiers 1 and 2.
test:
	tests/require-root.sh test
	tests/setup.sh
	$(MAKE) all unit RACE=-race
	cd tests && $(GOTEST) -count=1 -timeout 30m ./...
	@cat build/faults/*.count 2>/dev/null || true

# Each system call of a worker, an application and a server fails or is the last one. The
# counts are those of docs/faults.md.
faults:
	tests/require-root.sh faults
	tests/setup.sh
	$(MAKE) all
	rm -f build/faults/*.count
	cd tests && CGDELEG_FAULTS=all $(GOTEST) -count=1 -timeout 5h ./faults/...
	@cat build/faults/*.count

# Tier 4: says when each machine has ended. The first time it builds them. Each
# of the VM_PARALLEL machines wants a processor and 1 GiB.
VM_PARALLEL ?= $(shell nproc)
VM_SKIP     ?= ^$$
test-vm:
	tests/setup.sh
	tests/vm/setup.sh
	tests/packages/setup.sh
	$(MAKE) all deb deb-next
	cd tests/vm && CGDELEG_VM=1 $(GO) test -count=1 -timeout 90m -parallel $(VM_PARALLEL) -skip '$(VM_SKIP)'

vm-images:
	tests/vm/setup.sh
	cd tests/vm && CGDELEG_VM=1 $(GO) test -count=1 -timeout 90m -run TestImages

# Real clients here and in machines. test and test-vm have them, too: with
# CGDELEG_UPDATE=1 each of the three writes what it saw to docs/clients/table.md.
test-clients:
	tests/require-root.sh test-clients
	tests/setup.sh
	tests/vm/setup.sh
	$(MAKE) all
	cd tests && $(GOTEST) -count=1 -timeout 10m ./clients/...
	cd tests/vm && CGDELEG_VM=1 $(GO) test -count=1 -timeout 90m -parallel $(VM_PARALLEL) -run 'TestScenarios/^(clients|nested)'

# The module for a C library that cannot load a Go library, beside the static
# program that it starts (docs/musl.md). On Alpine MUSL_CC is gcc; elsewhere
# tests/musl/setup.sh makes a compiler that knows a PAM built with musl.
MUSL_CC     ?= $(or $(wildcard build/musl/cc),musl-gcc)
LIBEXECDIR  ?= $(PREFIX)/libexec
MUSL_CFLAGS ?= -O2 -g
MUSL_DIR    ?= build/musl
MUSL_MODULE = $(addprefix pam/,child.c enter.c module.c server.c spawn_exec.c supervise.c systemd.c told.c)
MUSL_SHARED = -std=gnu11 -D_GNU_SOURCE -DCGDELEG_WORKER='"$(LIBEXECDIR)/cgdeleg/worker"' -Wall -Wextra -fPIC -shared \
              -Wl,--version-script=pam/exports.map -Wl,-z,defs $(LINK_HARDENED) -Wl,-z,nodelete

.PHONY: musl test-musl
musl: $(addprefix $(MUSL_DIR)/,pam_cgdeleg.so worker trylogin)

$(MUSL_DIR)/trylogin: cmd/trylogin/trylogin.c Makefile
	mkdir -p $(@D)
	$(MUSL_CC) $(CPPFLAGS) $(MUSL_CFLAGS) $(call HARDENING,$(MUSL_CC)) $(TRYLOGIN_FLAGS) $(LDFLAGS) -o $@ $< -lpam

$(MUSL_DIR)/pam_cgdeleg.so: $(SOURCES)
	mkdir -p $(@D)
	$(MUSL_CC) $(CPPFLAGS) $(MUSL_CFLAGS) $(call HARDENING,$(MUSL_CC)) $(MUSL_SHARED) $(LDFLAGS) -o $@ $(MUSL_MODULE) -lpam

$(MUSL_DIR)/worker: $(SOURCES)
	$(call GOSTATIC,$(CC)) -o $@ ./pam/helper

test-musl:
	tests/require-root.sh test-musl
	tests/setup.sh
	tests/musl/setup.sh
	$(MAKE) all
	tests/musl/run.sh
	tests/musl/openrc.sh

lint: setup
	tests/lint.sh

# FUZZ_TIME for each target; FUZZ has a part of the names of those that are to be run.
FUZZ_TIME ?= 20s
FUZZ      ?= .
fuzz:
	tests/in-memory.sh tests/fuzz.sh $(FUZZ_TIME) '$(FUZZ)'
	tests/sanitizers/run.sh replies

# The C side under sanitizers and valgrind, and cgdeleg serve under Go's race detector.
sanitize:
	tests/require-root.sh sanitize
	tests/setup.sh
	$(MAKE) all
	tests/sanitizers/run.sh

# The tables of docs/performance.md and its plot, with LXC's module beside ours. BENCH
# names the parts, SHORT=1 measures a tenth.
BENCH ?= .
bench:
	tests/require-root.sh bench
	tests/setup.sh
	tests/bench/setup.sh
	$(MAKE) all
	cd tests && $(GO) test -run '^$$' -bench '$(BENCH)' -benchtime 1x -timeout 1h $(if $(SHORT),-short) ./bench

# The tables of docs/storms.md. SCALE=10 has a tenth of the logins.
SCALE    ?= 1
SESSIONS ?= 100000
DAY      ?= 1h
.PHONY: storms soak
storms:
	tests/require-root.sh storms
	tests/setup.sh
	tests/bench/setup.sh
	$(MAKE) all
	cd tests && $(GO) test -count=1 -v -timeout 5h -run TestStorms ./storms -storms $(SCALE)

soak:
	tests/require-root.sh soak
	tests/setup.sh
	$(MAKE) all
	cd tests && $(GO) test -count=1 -v -timeout 20h -run 'TestSoak|TestDay' ./storms -soak $(SESSIONS) -day $(DAY)

# The same of whole programs in virtual machines, one after the other: on v2 and with
# systemd.
bench-vm:
	tests/setup.sh
	tests/vm/setup.sh
	$(MAKE) all
	cd tests/vm && CGDELEG_VM=1 $(GO) test -count=1 -timeout 90m -parallel 1 -v -run TestScenarios -scenarios bench

# Native also where the rest is built for another architecture.
COMPLETIONS = build/completions/bash/cgdeleg build/completions/zsh/_cgdeleg build/completions/fish/cgdeleg.fish

completions: $(COMPLETIONS)

$(COMPLETIONS): build/completions/%: $(SOURCES)
	mkdir -p $(@D)
	env -u GOOS -u GOARCH CGO_ENABLED=0 $(GO) run ./cmd/cgdeleg completion $(firstword $(subst /, ,$*)) >$@

# Debian packages, and those of a next version, to which tests upgrade.
DEB_SOURCES = $(SOURCES) LICENSE $(shell find packaging contrib docs -type f)

# With the toolchain that the first of these fetches, if it has to, make begins again.
deb deb-next:
	tests/packages/setup.sh
	$(MAKE) build/$@/.built

build/deb/.built: $(DEB_SOURCES)
	packaging/deb.sh
	touch $@

build/deb-next/.built: $(DEB_SOURCES) tests/packages/next.sh
	tests/packages/next.sh
	touch $@

test-packages:
	tests/require-root.sh test-packages
	tests/setup.sh
	tests/packages/setup.sh
	$(MAKE) deb deb-next
	lintian --allow-root --pedantic --info --fail-on error,warning,info,pedantic build/deb/*.changes
	cd tests && CGDELEG_PACKAGES=1 $(GOTEST) -count=1 -timeout 30m ./packages/...
ifneq ($(VM),0)
	tests/vm/setup.sh
	$(MAKE) all
	cd tests/vm && CGDELEG_VM=1 $(GO) test -count=1 -timeout 30m -run 'TestScenarios/^packages'
endif

# The documents with links that lead somewhere where they are installed.
doc: build/doc/.built

build/doc/.built: README.md NEWS.md packaging/doc.sh $(shell find contrib docs -type f)
	packaging/doc.sh build/doc
	touch $@

# PART=module or PART=tool is one of the two packages.
INSTALL  = DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" LIBEXECDIR="$(LIBEXECDIR)" SYSCONFDIR="$(SYSCONFDIR)" PAMDIR="$(PAMDIR)" \
           INIT="$(INIT)" ZSHDIR="$(ZSHDIR)" $(1) packaging/install.sh $(2) $(PART)
GNU_LIBC = MODULE=build/pam_cgdeleg.so TRYLOGIN=build/trylogin
MUSL     = MODULE=$(MUSL_DIR)/pam_cgdeleg.so TRYLOGIN=$(MUSL_DIR)/trylogin WORKER=$(MUSL_DIR)/worker
HAS_SCDOC = $(shell command -v scdoc)

install: all completions doc $(if $(HAS_SCDOC),man)
	$(call INSTALL,$(GNU_LIBC),install)

install-musl: musl build/cgdeleg completions doc $(if $(HAS_SCDOC),man)
	$(call INSTALL,$(MUSL),install)

# The PAM lines are an administrator's: without the module they are logged and ignored.
uninstall: completions doc
	$(call INSTALL,$(GNU_LIBC),uninstall)

uninstall-musl: completions doc
	$(call INSTALL,$(MUSL),uninstall)

clean:
	rm -rf build/pam_cgdeleg.so build/cgdeleg build/trylogin build/doc build/musl
