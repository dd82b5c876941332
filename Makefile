# make          build/pam_cgdeleg.so and build/cgdeleg
# make demo     as root: a session for an ordinary user, shown from open to close
# make test     as root: all tests on this machine's own cgroups
# make test-vm  as root: systemd and none, cgroup v2 and v1, in virtual machines
# make vm-images  as root: builds these machines' images ahead, and starts none
# make test-clients  as root: of these two only LXC, podman, runc and the like
# make musl     build/musl: the module and its worker for musl, as on Alpine
# make test-musl  as root: in an Alpine-like root, built from sources with musl-gcc
# make man      the manual pages in build/man; needs scdoc
# make bench    as root: the tables of docs/performance.md; BENCH=Growth one part, SHORT=1 a quick look
# make lint     gofmt, go vet, staticcheck, golangci-lint, shellcheck, gcc -fanalyzer
# make completions  for bash, zsh and fish in build/completions
# make deb      the Debian packages in build/deb; needs tests/packages/setup.sh
# make test-packages  as root: they are installed, upgraded, removed, in a fresh root and, but for VM=0, a machine
# make install  into DESTDIR, under PREFIX and PAMDIR; the manual pages, too, if scdoc is there
# make uninstall  what make install put there, with the same DESTDIR, PREFIX and PAMDIR
# make packages deb, rpm, apk and Arch packages in dist, for ARCHES; needs tests/release/setup.sh
# make release  these, the sources, their checksums and a bill of materials in dist
# make test-release  as root: the packages, the module under qemu-user, reproducible builds
#
# bench, demo, test, test-musl, test-vm, test-clients, test-packages and lint install what they need first (Debian and Ubuntu).

GO       ?= $(if $(wildcard build/.toolchain/bin/go),$(CURDIR)/build/.toolchain/bin/go,go)
export GO
CC       ?= gcc
PREFIX   ?= /usr
PAMDIR   ?= $(or $(firstword $(wildcard /lib/$(shell $(CC) -print-multiarch)/security /usr/lib64/security /usr/lib/security)),/lib/security)
DESTDIR  ?=
VERSION  := $(shell cat VERSION)

# Quoted for cmd/go: the linker gets the script that keeps the Go runtime from
# starting in the application, and the list of the only symbols to export.
MODULE_EXTLDFLAGS = -Wl,-T,$(CURDIR)/pam/start.ld -Wl,--version-script=$(CURDIR)/pam/exports.map \
                    -Wl,-z,defs -Wl,-z,relro -Wl,-z,now -Wl,-z,nodelete -Wl,--build-id=sha1
# Counts the tests, and prints each that was skipped with its reason.
GOTEST   = $(GO) run gotest.tools/gotestsum@v1.13.0 --format pkgname-and-test-fails --
GOBUILD  = $(GO) build -trimpath -buildvcs=false
# Go's own build ID would have the linker script's folder in it.
GOMODULE = $(GOBUILD) -buildmode=c-shared -ldflags="-s -w -buildid= -extldflags '$(MODULE_EXTLDFLAGS)'"
GOCLI    = $(GOBUILD) -ldflags="-s -w -X main.version=$(VERSION)"
SOURCES  = go.mod go.sum VERSION Makefile $(shell find pam delegate cmd -type f)

.PHONY: all demo man test test-vm vm-images test-clients unit lint fuzz bench bench-vm setup install uninstall clean completions deb deb-next test-packages

all: build/pam_cgdeleg.so build/cgdeleg build/trylogin

build/pam_cgdeleg.so: $(SOURCES)
	CGO_ENABLED=1 $(GOMODULE) -o $@ ./pam
	rm -f build/pam_cgdeleg.h

build/cgdeleg: $(SOURCES)
	CGO_ENABLED=0 $(GOCLI) -o $@ ./cmd/cgdeleg

# With -rdynamic, modules find its syslog(3).
TRYLOGIN_FLAGS = -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -fPIE -pie -rdynamic -Wl,-z,relro -Wl,-z,now
CFLAGS        ?= -O2 -g

build/trylogin: cmd/trylogin/trylogin.c Makefile
	mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(TRYLOGIN_FLAGS) $(LDFLAGS) -o $@ $< -lpam -ldl

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
	cd tests && $(GOTEST) -count=1 -timeout 10m ./...

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
MUSL_MODULE = $(addprefix pam/,child.c enter.c module.c server.c spawn_exec.c supervise.c systemd.c told.c)
MUSL_SHARED = -std=gnu11 -D_GNU_SOURCE -DCGDELEG_WORKER='"$(LIBEXECDIR)/cgdeleg/worker"' -Wall -Wextra -fPIC -shared \
              -Wl,--version-script=pam/exports.map -Wl,-z,defs -Wl,-z,relro -Wl,-z,now -Wl,-z,nodelete

.PHONY: musl install-musl test-musl
musl: build/musl/pam_cgdeleg.so build/musl/worker build/musl/trylogin

build/musl/trylogin: cmd/trylogin/trylogin.c Makefile
	mkdir -p $(@D)
	$(MUSL_CC) $(CPPFLAGS) $(MUSL_CFLAGS) $(TRYLOGIN_FLAGS) $(LDFLAGS) -o $@ $< -lpam

build/musl/pam_cgdeleg.so: $(SOURCES)
	mkdir -p build/musl
	$(MUSL_CC) $(CPPFLAGS) $(MUSL_CFLAGS) $(MUSL_SHARED) $(LDFLAGS) -o $@ $(MUSL_MODULE) -lpam

build/musl/worker: $(SOURCES)
	CGO_ENABLED=0 $(GOBUILD) -ldflags="-s -w" -o $@ ./pam/helper

install-musl: musl build/cgdeleg
	install -D -m 0644 build/musl/pam_cgdeleg.so $(DESTDIR)$(PAMDIR)/pam_cgdeleg.so
	install -D -m 0755 build/musl/worker $(DESTDIR)$(LIBEXECDIR)/cgdeleg/worker
	install -D -m 0755 build/cgdeleg $(DESTDIR)$(PREFIX)/bin/cgdeleg
	install -D -m 0755 build/musl/trylogin $(DESTDIR)$(LIBEXECDIR)/cgdeleg/trylogin
	install -D -m 0755 contrib/openrc/cgdeleg-serve.initd $(DESTDIR)/etc/init.d/cgdeleg-serve
	install -D -m 0644 contrib/openrc/cgdeleg-serve.confd $(DESTDIR)/etc/conf.d/cgdeleg-serve
	$(INSTALL_MACHINE)

test-musl:
	tests/require-root.sh test-musl
	tests/setup.sh
	tests/musl/setup.sh
	$(MAKE) all
	tests/musl/run.sh
	tests/musl/openrc.sh

lint: setup
	tests/lint.sh

fuzz:
	tests/fuzz.sh

# The tables of docs/performance.md and its plot, with LXC's module beside ours. BENCH
# names the parts, SHORT=1 measures a tenth.
BENCH ?= .
bench:
	tests/require-root.sh bench
	tests/setup.sh
	tests/bench/setup.sh
	$(MAKE) all
	cd tests && $(GO) test -run '^$$' -bench '$(BENCH)' -benchtime 1x -timeout 1h $(if $(SHORT),-short) ./bench

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

deb: build/deb/.built
deb-next: build/deb-next/.built

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
	lintian --allow-root --fail-on error,warning build/deb/*.changes
	cd tests && CGDELEG_PACKAGES=1 $(GOTEST) -count=1 -timeout 30m ./packages/...
ifneq ($(VM),0)
	tests/vm/setup.sh
	$(MAKE) all
	cd tests/vm && CGDELEG_VM=1 $(GO) test -count=1 -timeout 30m -run 'TestScenarios/^packages'
endif

HAS_SCDOC = $(shell command -v scdoc)

# A recorded machine to try the tool on: `cgdeleg --root`.
MACHINE_FILES = $(shell find contrib/machine -type f)
define INSTALL_MACHINE
	for file in $(MACHINE_FILES:contrib/machine/%=%); do \
		install -D -m 0644 contrib/machine/$$file $(DESTDIR)$(PREFIX)/share/cgdeleg/machine/$$file || exit; done
endef

install: all $(if $(HAS_SCDOC),man)
	install -D -m 0644 build/pam_cgdeleg.so $(DESTDIR)$(PAMDIR)/pam_cgdeleg.so
	install -D -m 0755 build/cgdeleg $(DESTDIR)$(PREFIX)/bin/cgdeleg
	install -D -m 0755 build/trylogin $(DESTDIR)$(LIBEXECDIR)/cgdeleg/trylogin
	install -D -m 0644 contrib/systemd/session-.scope.d/50-cgdeleg.conf $(DESTDIR)$(PREFIX)/lib/systemd/system/session-.scope.d/50-cgdeleg.conf
	install -D -m 0644 contrib/systemd/user-runtime-dir@.service.d/50-cgdeleg-limits.conf $(DESTDIR)$(PREFIX)/lib/systemd/system/user-runtime-dir@.service.d/50-cgdeleg-limits.conf
	$(INSTALL_MACHINE)
	for page in $(if $(HAS_SCDOC),$(MANPAGES)); do \
		install -D -m 0644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/} || exit; done

# The PAM lines are an administrator's: without the module they are logged and ignored.
uninstall:
	rm -f $(DESTDIR)$(PAMDIR)/pam_cgdeleg.so $(DESTDIR)$(PREFIX)/bin/cgdeleg $(DESTDIR)$(LIBEXECDIR)/cgdeleg/trylogin
	rm -f $(DESTDIR)$(PREFIX)/lib/systemd/system/session-.scope.d/50-cgdeleg.conf
	rm -f $(DESTDIR)$(PREFIX)/lib/systemd/system/user-runtime-dir@.service.d/50-cgdeleg-limits.conf
	rm -rf $(DESTDIR)$(PREFIX)/share/cgdeleg/machine
	for page in $(notdir $(MANPAGES)); do rm -f $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$$page; done
	rmdir --ignore-fail-on-non-empty $(wildcard $(DESTDIR)$(LIBEXECDIR)/cgdeleg $(DESTDIR)$(PREFIX)/share/cgdeleg $(DESTDIR)$(PREFIX)/lib/systemd/system/session-.scope.d $(DESTDIR)$(PREFIX)/lib/systemd/system/user-runtime-dir@.service.d) /dev/null 2>/dev/null || true

clean:
	rm -rf build/pam_cgdeleg.so build/cgdeleg build/trylogin build/musl
