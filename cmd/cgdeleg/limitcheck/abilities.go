package limitcheck

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cpulist"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limitsconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
)

// cpusOf returns the CPUs that a machine has (sysfs-devices-system-cpu); nil if it does not say.
func cpusOf(m machine.Machine) []int {
	data, err := m.ReadFile("/sys/devices/system/cpu/present")
	if err != nil {
		return nil
	}
	cpus, _ := cpulist.Parse(strings.TrimSpace(string(data)))
	return cpus
}

// abilities finds limits that this machine cannot set.
func (c *checker) abilities(r *limitsconf.Rule) {
	for i, l := range r.Limits {
		c.cpus(r, i, l)
		c.device(r, i, l)
	}
	if c.Set == nil {
		return
	}
	key := r.Scope.String()
	for _, l := range r.Limits {
		key += "\x00" + l.String()
	}
	found, isKnown := c.machine[key]
	if !isKnown { // thousands of lines may say the same
		found = c.ofMachine(r)
		c.machine[key] = found
	}
	for _, f := range found { // Line is which of the limits it is about
		c.limit(r, f.Line, f.Severity, f.Message, f.Fix)
	}
}

// cpus finds CPUs that the machine has not.
func (c *checker) cpus(r *limitsconf.Rule, n int, l limits.Limit) {
	wanted, err := cpulist.Parse(l.Value.CPUs)
	if l.Name != limits.CPUs || err != nil || len(c.CPUs) == 0 {
		return
	}
	missing := c.missing(l)
	fix := "choose among " + cpulist.Format(c.CPUs)
	switch len(missing) {
	case 0:
	case len(wanted):
		c.limit(r, n, Error, fmt.Sprintf("%s: the machine has none of these CPUs", l), fix)
	default:
		c.limit(r, n, Warning, fmt.Sprintf("%s: the machine has not the CPUs %s", l, cpulist.Format(missing)), fix)
	}
}

// missing returns those of a limit's CPUs that the machine has not.
func (c *checker) missing(l limits.Limit) []int {
	wanted, _ := cpulist.Parse(l.Value.CPUs)
	return slices.DeleteFunc(wanted, func(cpu int) bool { return slices.Contains(c.CPUs, cpu) })
}

// device finds devices that do not exist.
func (c *checker) device(r *limitsconf.Rule, n int, l limits.Limit) {
	name := l.Value.Device
	if name == "" {
		return
	}
	file := name
	if !strings.HasPrefix(name, "/") {
		file = "/sys/dev/block/" + name
	}
	if c.Machine.Find(file) == machine.Absent && (file == name || c.Machine.Exists("/sys/dev/block")) {
		c.limit(r, n, Error, fmt.Sprintf("%s: there is no %s", l.Name, name), "name a block device, or a path on one; lsblk lists them")
	}
}

// ofMachine returns what keeps the limits of a line from being set. In Line they have which
// limit it is.
func (c *checker) ofMachine(r *limitsconf.Rule) (findings []Finding) {
	add := func(l limits.Limit, severity Severity, message, fix string) {
		at := slices.IndexFunc(r.Limits, func(o limits.Limit) bool { return o.String() == l.String() })
		if at < 0 || slices.ContainsFunc(findings, func(f Finding) bool { return f.Line == at && f.Message == message }) {
			return
		}
		findings = append(findings, Finding{Line: at, Severity: severity, Message: message, Fix: fix})
	}
	for _, l := range limits.Homeless(c.Set.All, r.Limits) {
		add(l, Warning, fmt.Sprintf("%s: no hierarchy of this machine has the controller %s", l.Name, limits.ControllerOf(l.Name, true)),
			"remove it, or mount or enable the controller")
	}
	for _, h := range c.Set.All {
		_, errs := limits.Settings(limits.Place{Machine: c.Machine, Hierarchy: h, Path: placeOf(h, r.Scope)}, r.Limits)
		for _, err := range errs {
			c.ofSettings(err, add)
		}
	}
	if len(findings) == 0 { // else it may be about the same limit
		c.weights(r, add)
	}
	c.scopes(r, add)
	return findings
}

// placeOf is the path, below the mount point, of a cgroup such as the one that is to be limited.
func placeOf(h *hierarchy.Hierarchy, scope limitsconf.Scope) string {
	user := path.Join(h.Base, "user", "NAME")
	if scope == limitsconf.Session {
		return path.Join(user, "0")
	}
	return user
}

// ofSettings makes findings of why limits cannot be set. What is not there was found
// already, and what cannot be told is none.
func (c *checker) ofSettings(err error, add func(l limits.Limit, severity Severity, message, fix string)) {
	var none *limits.NoEquivalentError
	var setting *limits.SettingError
	switch {
	case errors.As(err, &none) && none.Needs != "":
		add(none.Limit, Warning, err.Error(), "write "+string(none.Needs)+" beside it; or leave it for machines with cgroup v2: logins ignore it here")
	case errors.As(err, &none) && none.Limit.Name == limits.CPUs && len(c.CPUs) > 0 && len(c.missing(none.Limit)) > 0: // cpus says it
	case errors.As(err, &none):
		add(none.Limit, Warning, err.Error(), "remove it, or leave it for machines that can; logins ignore it here")
	case errors.As(err, &setting) && errors.Is(err, limits.ErrNoBlockDevice) && !errors.Is(err, fs.ErrNotExist):
		add(setting.Limit, Error, err.Error(), "name a block device, or a path on one; lsblk lists them")
	}
}

// weights finds weights of input and output where nothing looks at them: the scheduler BFQ
// does, and on v2 the controller io.cost where it is switched on (cgroup-v2.rst,
// "io.cost.qos").
func (c *checker) weights(r *limitsconf.Rule, add func(l limits.Limit, severity Severity, message, fix string)) {
	at := indexOf(r, limits.IOWeight)
	if at < 0 {
		return
	}
	if used, isKnown := c.weightsAreUsed(); isKnown && !used {
		add(r.Limits[at], Warning, "io.weight does nothing: no disk has the scheduler bfq, and io.cost is not enabled for any",
			"echo bfq >/sys/block/DISK/queue/scheduler, by a udev rule; or remove it")
	}
}

func (c *checker) weightsAreUsed() (used, isKnown bool) {
	disks, err := c.Machine.ReadDir("/sys/block")
	if err != nil {
		return false, false
	}
	for _, disk := range disks {
		data, err := c.Machine.ReadFile("/sys/block/" + disk + "/queue/scheduler")
		if err == nil && (strings.Contains(string(data), "[bfq]") || strings.Contains(string(data), "[cfq]")) {
			return true, true
		}
		isKnown = isKnown || err == nil
	}
	if h := c.Set.ByName(hierarchy.Unified); h != nil && h.Has("io") {
		data, err := c.Machine.ReadFile(path.Join(h.Mount.Point, "io.cost.qos")) // at the root alone
		if err == nil && strings.Contains(string(data), "enable=1") {
			return true, true
		}
		isKnown = isKnown && (err == nil || errors.Is(err, fs.ErrNotExist))
	}
	return false, isKnown
}

// scopes finds limits of sessions that systemd cannot be told when it makes a session's
// scope: pam_systemd(8) takes four.
func (c *checker) scopes(r *limitsconf.Rule, add func(l limits.Limit, severity Severity, message, fix string)) {
	if c.Manager != manager.SystemdName || !c.Set.IsUnified() || r.Scope != limitsconf.Session {
		return
	}
	for _, l := range r.Limits {
		switch l.Name {
		case limits.MemoryMax, limits.PidsMax, limits.CPUWeight:
			continue
		case limits.IOWeight:
			if l.Value.Device == "" {
				continue
			}
		}
		add(l, Warning, fmt.Sprintf("%s: systemd takes no such limit for a session, only memory.max, pids.max, cpu.weight and io.weight", l.Name), "give it to the user: a line for user instead of session")
	}
}
