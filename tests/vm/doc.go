// Package vm runs tests on machines of their own: Debian systems with systemd
// and without, on cgroup v2 and v1, which this machine's kernel and init are
// not.
//
// The machines run under QEMU in plain emulation, because test machines are
// often virtual themselves and have no KVM. One needs 10 to 40 seconds to boot,
// so the tests run only where CGDELEG_VM=1 asks for them, as `make test-vm`
// does.
//
// A machine is made of a disk image (image/, built once and kept in the cache
// folder), of the kernel's command line, which chooses init and cgroups, and of
// the files of a run, which it finds on a second disk. It runs one scenario
// (scenarios/*.sh, written in guest/lib.sh) and turns itself off. The module is
// a file of the run, so a changed module needs no new image.
//
// A scenario's second comment line, "# machines:", names the machines on which
// it runs. One that says "# controller:" has a program of this machine's on its
// network, and nothing else. One that says "# image: fresh" runs on stock Debian
// machines, on which no client was ever installed: their init is systemd or
// sysvinit, AppArmor is on, and apt has an archive of their own. "# image: selinux" is
// such a one with SELinux, which enforces Debian's policy, "# image: openrc" one without
// systemd on which OpenRC starts the services.
//
// What a run leaves is in build/vm/SCENARIO/MACHINE: what the scenario
// said, the console, the files that it left in /out, and the system's log.
package vm
