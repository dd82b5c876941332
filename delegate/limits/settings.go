package limits

import (
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Given is what a login is given: the limits of all the user's sessions together, and
// those of the new session.
type Given struct {
	User, Session []Limit
	// IsManaged tells that the files have a line about the user: what it does not give is
	// lifted. Limits of others may be somebody else's.
	IsManaged bool
	// IsUncertain tells that the user may have less: the groups are not known, and lines for
	// groups count for nobody. Then nothing that there is is raised.
	IsUncertain bool
}

// Setting is a limit as it is written into a file of a cgroup. Some limits need several
// files, and of v1's others some hold what two limits say.
type Setting struct {
	Limit Limit
	File  string
	Value string
}

// NoEquivalentError says that a hierarchy has nothing by which a limit could be set.
type NoEquivalentError struct {
	Limit     Limit
	Hierarchy string
	Reason    string
	// Needs is the limit that has to stand beside it; "" if none helps.
	Needs Name
}

func (e *NoEquivalentError) Error() string {
	return fmt.Sprintf("%s cannot be set in hierarchy %s: %s", e.Limit.Name, e.Hierarchy, e.Reason)
}

// SettingError says why a limit could not be set.
type SettingError struct {
	Limit Limit
	Err   error
}

func (e *SettingError) Error() string { return fmt.Sprintf("%s: %v", e.Limit.Name, e.Err) }
func (e *SettingError) Unwrap() error { return e.Err }

// ControllerOf returns the controller that has the limit, by its name on cgroup v1 or on v2.
func ControllerOf(name Name, isUnified bool) string {
	controller, _, _ := strings.Cut(string(name), ".")
	if controller == "io" && !isUnified {
		return "blkio"
	}
	return controller
}

// Place is the cgroup that is to be limited. It need not be there yet.
type Place struct {
	Machine   machine.Machine
	Hierarchy *hierarchy.Hierarchy
	Path      string // below the mount point
	// Above are the settings of the parent that are about to be written: a percentage is
	// of those.
	Above []Setting
}

// Settings returns what has to be written into the cgroup for those of the limits that
// the hierarchy has, in the order in which it has to be written. Errors are
// *NoEquivalentError, and *SettingError for what could not be found out: how much 20
// percent are, or which device is meant.
func Settings(at Place, list []Limit) (settings []Setting, errs []error) {
	translate := at.v1
	if at.Hierarchy.IsUnified() {
		translate = at.unified
	}
	for _, l := range list {
		if !at.Hierarchy.Has(ControllerOf(l.Name, at.Hierarchy.IsUnified())) {
			continue
		}
		some, err := translate(l, list)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		settings = append(settings, some...)
	}
	return settings, errs
}

// OfHierarchy returns those of the limits that the hierarchy can have.
func OfHierarchy(h *hierarchy.Hierarchy, list []Limit) (some []Limit) {
	for _, l := range list {
		if h.Has(ControllerOf(l.Name, h.IsUnified())) {
			some = append(some, l)
		}
	}
	return some
}

// Homeless returns those of the limits that none of the hierarchies can have.
func Homeless(all []*hierarchy.Hierarchy, list []Limit) (some []Limit) {
	for _, l := range list {
		hasHome := false
		for _, h := range all {
			hasHome = hasHome || len(OfHierarchy(h, []Limit{l})) > 0
		}
		if !hasHome {
			some = append(some, l)
		}
	}
	return some
}

// amount is a number or, where the kernel says max, none.
type amount struct {
	number      uint64
	isUnlimited bool
}

// amountOf returns a limit's number in the file that holds it: percentages are of the
// nearest limit above, or of the machine.
func (at Place) amountOf(l Limit, file string) (amount, error) {
	switch l.Value.Kind {
	case Unlimited:
		return amount{isUnlimited: true}, nil
	case Percent:
		whole, err := at.whole(l.Name, file)
		if err != nil {
			return amount{}, &SettingError{Limit: l, Err: err}
		}
		return amount{number: roundDown(l.Name, percentOf(whole, l.Value.Percent))}, nil
	}
	n := amount{number: roundDown(l.Name, l.Value.Number)}
	if strings.HasPrefix(string(l.Name), "memory.") && n.number >= unlimitedBytes {
		return amount{isUnlimited: true}, nil
	}
	return n, nil
}

// percentOf returns so many hundredths of a percent of the whole.
func percentOf(whole, percent uint64) uint64 {
	const all = 100_00
	return whole/all*percent + whole%all*percent/all
}

// roundDown rounds memory down to whole pages, as the kernel does when it is written
// (page_counter_memparse).
func roundDown(name Name, number uint64) uint64 {
	if !strings.HasPrefix(string(name), "memory.") {
		return number
	}
	return number - number%uint64(os.Getpagesize())
}

// whole returns of what a percentage is: of the nearest limit above, but no more than the
// machine has. That of memory.high is of a memory.max, as of the memory that there is.
func (at Place) whole(name Name, file string) (uint64, error) {
	if name == MemoryHigh {
		name, file = MemoryMax, string(MemoryMax) // v1 has no memory.high
	}
	machine, err := at.ofMachine(name)
	if err != nil {
		return 0, err
	}
	if above, isLimited := at.nearestAbove(name, file); isLimited {
		return min(above, machine), nil
	}
	return machine, nil
}

// nearestAbove returns the number in that file of the nearest cgroup above where it is
// one. One that is about to be written counts already.
func (at Place) nearestAbove(name Name, file string) (number uint64, isLimited bool) {
	for _, s := range at.Above {
		if s.File == file {
			if number, isLimited = limited(name, s.Value); isLimited {
				return number, true
			}
		}
	}
	for above := at.Path; above != "/"; {
		above = path.Dir(above)
		dir, err := at.Hierarchy.OpenBelow(above)
		if err != nil {
			continue
		}
		data, err := dir.Read(file)
		dir.Close()
		if err != nil {
			continue // v2's root has none
		}
		if number, isLimited = limited(name, strings.TrimSpace(string(data))); isLimited {
			return number, true
		}
	}
	return 0, false
}

// unlimitedBytes is below what v1's memory controller shows for "no limit": the largest
// number of pages that it can count, in bytes (PAGE_COUNTER_MAX).
const unlimitedBytes = 1 << 62

// limited returns the number that is in a file, if that limits anything.
func limited(name Name, value string) (number uint64, isLimited bool) {
	number, err := strconv.ParseUint(value, 10, 64)
	isMemory := strings.HasPrefix(string(name), "memory.")
	return number, err == nil && (!isMemory || number < unlimitedBytes)
}

// ofMachine returns how much of it the machine has: bytes of memory or swap space
// (proc_meminfo(5)), processes (proc_sys_kernel(5)).
func (at Place) ofMachine(name Name) (uint64, error) {
	switch name {
	case MemoryMax:
		return meminfo(at.Machine, "MemTotal")
	case MemorySwapMax:
		return meminfo(at.Machine, "SwapTotal")
	}
	pids, err := sysctl(at.Machine, "/proc/sys/kernel/pid_max")
	if err != nil {
		return 0, err
	}
	threads, err := sysctl(at.Machine, "/proc/sys/kernel/threads-max")
	if err != nil {
		return 0, err
	}
	return min(pids, threads), nil
}

// UnexpectedError says that a file of the kernel's has not what it should.
type UnexpectedError struct{ File, Content string }

func (e *UnexpectedError) Error() string {
	return fmt.Sprintf("%s: unexpected content %.100q", e.File, e.Content)
}

func sysctl(m machine.Machine, file string) (uint64, error) {
	data, err := m.ReadFile(file)
	if err != nil {
		return 0, err
	}
	number, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
	if err != nil {
		return 0, &UnexpectedError{File: file, Content: string(data)}
	}
	return number, nil
}

func meminfo(m machine.Machine, key string) (bytes uint64, err error) {
	const file = "/proc/meminfo"
	data, err := m.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		rest, found := strings.CutPrefix(line, key+":")
		if !found {
			continue
		}
		kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 54)
		if err != nil {
			return 0, &UnexpectedError{File: file, Content: line}
		}
		return kib << 10, nil
	}
	return 0, &UnexpectedError{File: file, Content: "no " + key}
}
