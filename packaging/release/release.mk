# Packages for other machines than this one: docs/release.md.
ARCHES       ?= amd64 arm64 riscv64 s390x
TEST_ARCHES  ?= $(ARCHES)
# Of this checkout, not of one in which these sources were unpacked.
SOURCE_DATE_EPOCH ?= $(or $(if $(wildcard .git),$(shell git -c safe.directory='*' log -1 --format=%ct)),$(shell stat -c %Y VERSION))
export SOURCE_DATE_EPOCH
gnu_arch      = $(patsubst arm64,aarch64,$(patsubst amd64,x86_64,$(1)))
CROSS         = build/cross
SYSROOT       = $(CURDIR)/$(CROSS)/$*/sysroot
CROSS_GCC     = $(call gnu_arch,$*)-linux-gnu-gcc
CROSS_MODULES = $(ARCHES:%=$(CROSS)/%/pam_cgdeleg.so)
CROSS_BUILT   = $(foreach f,cgdeleg trylogin worker musl/pam_cgdeleg.so musl/trylogin,$(ARCHES:%=$(CROSS)/%/$(f))) $(CROSS_MODULES)

.PHONY: cross packages release test-release
.SECONDARY: $(CROSS)/sources/.done $(ARCHES:%=$(CROSS)/%/sysroot/.done)

cross: $(CROSS_BUILT)

$(CROSS)/sources/.done: packaging/cross/debian-sources.sh packaging/cross/configure.sh packaging/cross/steps.sh
	rm -rf $(@D)
	packaging/cross/debian-sources.sh $(@D) pam musl && packaging/cross/configure.sh $(@D) && touch $@

$(CROSS)/%/sysroot/.done: packaging/cross/sysroot.sh packaging/cross/steps.sh $(CROSS)/sources/.done
	@command -v $(CROSS_GCC) >/dev/null || { echo "$(CROSS_GCC) is missing: run tests/release/setup.sh, or leave $* out of ARCHES" >&2; exit 1; }
	packaging/cross/sysroot.sh $* $(CROSS)/sources $(CROSS)/$*/sysroot

$(CROSS)/%/pam_cgdeleg.so: $(SOURCES) $(CROSS)/%/sysroot/.done
	GOARCH=$* CC=$(CROSS_GCC) CGO_ENABLED=1 CGO_CFLAGS="-O2 -g $(call HARDENING,$(CROSS_GCC)) -isystem $(SYSROOT)/include" \
		CGO_LDFLAGS="-O2 -g -L$(SYSROOT)/lib" $(GOMODULE) -o $@ ./pam
	rm -f $(@D)/pam_cgdeleg.h

$(CROSS)/%/cgdeleg: $(SOURCES)
	GOARCH=$* $(call GOSTATIC,$(CROSS_GCC),-X main.version=$(VERSION)) -o $@ ./cmd/cgdeleg

$(CROSS)/%/worker: $(SOURCES)
	GOARCH=$* $(call GOSTATIC,$(CROSS_GCC)) -o $@ ./pam/helper

# As build/musl/pam_cgdeleg.so, by a compiler for another C library.
$(CROSS)/%/musl/pam_cgdeleg.so: $(SOURCES) $(CROSS)/%/sysroot/.done
	mkdir -p $(@D)
	packaging/cross/musl-cc.sh $(call gnu_arch,$*) $(SYSROOT) $(MUSL_CFLAGS) $(call HARDENING,$(CROSS_GCC)) -ffile-prefix-map=$(CURDIR)=. -s \
		$(MUSL_SHARED) -Wl,--build-id=sha1 -o $@ $(MUSL_MODULE) -lpam

$(CROSS)/%/trylogin: cmd/trylogin/trylogin.c Makefile $(CROSS)/%/sysroot/.done
	$(CROSS_GCC) -O2 -g $(call HARDENING,$(CROSS_GCC)) -ffile-prefix-map=$(CURDIR)=. -s -isystem $(SYSROOT)/include -L$(SYSROOT)/lib $(TRYLOGIN_FLAGS) \
		-Wl,--build-id=sha1 -o $@ $< -lpam -ldl

# The start files that musl-cc.sh leaves out, in their order, and musl's loader.
$(CROSS)/%/musl/trylogin: cmd/trylogin/trylogin.c Makefile $(CROSS)/%/sysroot/.done
	mkdir -p $(@D)
	packaging/cross/musl-cc.sh $(call gnu_arch,$*) $(SYSROOT) $(MUSL_CFLAGS) $(call HARDENING,$(CROSS_GCC)) -ffile-prefix-map=$(CURDIR)=. -s \
		$(TRYLOGIN_FLAGS) -Wl,--build-id=sha1 -Wl,--dynamic-linker=/lib/ld-musl-$(call gnu_arch,$*).so.1 -o $@ \
		$(addprefix $(SYSROOT)/musl/lib/,Scrt1.o crti.o) $< -lpam $(SYSROOT)/musl/lib/crtn.o

packages: $(CROSS_BUILT) completions
	rm -rf build/man # they have SOURCE_DATE_EPOCH's day in them
	$(MAKE) man
	packaging/nfpm/packages.sh dist $(ARCHES)

release:
	packaging/release/release.sh dist $(ARCHES)

# As root, because it also opens and closes a session under qemu-user.
test-release:
	tests/require-root.sh test-release
	tests/setup.sh
	CGDELEG_ARCHES="$(TEST_ARCHES)" tests/release/setup.sh
	$(MAKE) -j$(shell nproc) packages ARCHES="$(TEST_ARCHES)"
	packaging/release/sources.sh build/release/pam_cgdeleg-$(VERSION).tar.gz
	cd tests && CGDELEG_ARCHES="$(TEST_ARCHES)" $(GOTEST) -count=1 -timeout 20m ./release/...
