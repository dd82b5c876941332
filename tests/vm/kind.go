package vm

import (
	"fmt"
	"slices"
	"strings"
)

// Suite is a release of Debian.
type Suite string

// The suites, and what is in them that matters here.
const (
	Bookworm Suite = "bookworm" // systemd 252, LXC 5.0.2, kernel 6.1
	Trixie   Suite = "trixie"   // systemd 257, LXC 6.0, podman 5.4, kernel 6.12
)

// Kind is a kind of machine.
type Kind struct {
	Suite   Suite
	Systemd bool
	Cgroups string // "v2" or "hybrid": v1 hierarchies, and v2 without controllers
}

// Kinds are all kinds of machines.
var Kinds = []Kind{
	{Bookworm, true, "v2"},
	{Bookworm, true, "hybrid"},
	{Bookworm, false, "v2"},
	{Bookworm, false, "hybrid"},
	{Trixie, true, "v2"},
	{Trixie, false, "v2"},
}

// String returns the kind's name, such as "bookworm-no-systemd-v2".
func (k Kind) String() string {
	init := "no-systemd"
	if k.Systemd {
		init = "systemd"
	}
	return fmt.Sprintf("%s-%s-%s", k.Suite, init, k.Cgroups)
}

// ParseKind returns the kind of that name.
func ParseKind(name string) (Kind, error) {
	i := slices.IndexFunc(Kinds, func(k Kind) bool { return k.String() == name })
	if i < 0 {
		return Kind{}, fmt.Errorf("no kind of machine is called %q; there are %v", name, Kinds)
	}
	return Kinds[i], nil
}

// The images that a scenario may ask for.
const (
	clientsImage = ""        // with all clients
	freshImage   = "fresh"   // stock Debian, without any
	seLinuxImage = "selinux" // that, with SELinux
	openRCImage  = "openrc"  // that, with OpenRC
)

// disk returns what a machine of the kind boots from.
func (k Kind) disk(image string) Disk {
	switch {
	case image == clientsImage:
		return Disk{Suite: k.Suite}
	case image == seLinuxImage, image == openRCImage:
		return Disk{k.Suite, image}
	case k.Systemd:
		return Disk{k.Suite, "systemd"}
	}
	return Disk{k.Suite, "sysvinit"}
}

// commandLine returns what the kernel is told. The first port of the machine is
// its console; the second is the scenario's. A fresh machine is told nothing of
// init, cgroups and AppArmor: it has what Debian has without being asked.
func (k Kind) commandLine(image string) string {
	words := []string{"console=ttyS0", "quiet", "panic=-1", "mitigations=off", "random.trust_cpu=on",
		// On a busy machine the kernel misses ticks of the emulated timer, and panics for it.
		"no_timer_check"}
	switch image {
	case seLinuxImage:
		return strings.Join(append(words, "security=selinux", "selinux=1"), " ")
	case freshImage, openRCImage:
		return strings.Join(append(words, "selinux=0"), " ")
	}
	words = append(words, "selinux=0", "apparmor=0", "cgroups="+k.Cgroups)
	switch {
	case !k.Systemd:
		words = append(words, "init=/usr/local/lib/no-systemd/init.sh")
	case k.Cgroups == "v2":
		words = append(words, "systemd.unified_cgroup_hierarchy=1")
	default:
		words = append(words, "systemd.unified_cgroup_hierarchy=0", "systemd.legacy_systemd_cgroup_controller=0")
	}
	return strings.Join(words, " ")
}
