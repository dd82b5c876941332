package plan

import (
	"fmt"
	"path"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
)

// ConfinedError says that somebody has put the login under a limit, which a move
// into a session of ours would shed: a batch system that runs the login in a job,
// an init script that limits its service.
type ConfinedError struct {
	Hierarchy string
	Cgroup    string // that has the limit, below the mount point
	File      string // the limit's, its whole path
	Value     string // what is in it, on one line
}

func (e *ConfinedError) Error() string {
	return fmt.Sprintf("confined by %s (%s)", e.File, e.Value)
}

// leaveConfined leaves a login alone, in all hierarchies, that would be moved out
// of a limit in one of them: who confines it also keeps track of it, by a freezer
// that limits nothing. Where the limit is the manager's own, that hierarchy is all
// that is left alone.
func (p *Plan) leaveConfined(m machine.Machine, r Request) {
	var confined *ConfinedError
	for _, s := range p.With(Make) {
		found := confinedIn(m, s.Hierarchy, s.Member, r)
		switch {
		case found == nil:
		case s.leaveLimited != nil:
			s.leave(s.leaveLimited)
		case confined == nil:
			confined = found
		}
	}
	if confined == nil {
		return
	}
	for i := range p.Steps {
		if s := &p.Steps[i]; s.Action != Leave {
			s.leave(confined)
		}
	}
}

// leave leaves the hierarchy alone after all.
func (s *Step) leave(reason error) { s.Action, s.Scope, s.Reason = Leave, "", reason }

// Confined returns why the login is left alone everywhere; nil if it is not for a
// limit.
func (p *Plan) Confined() *ConfinedError {
	for i := range p.Steps {
		if confined, is := p.Steps[i].Reason.(*ConfinedError); is { //nolint:errorlint // never wrapped
			return confined
		}
	}
	return nil
}

// confinedIn looks for a limit that a move from the cgroup member into a session would
// shed.
func confinedIn(m machine.Machine, h *hierarchy.Hierarchy, member string, r Request) *ConfinedError {
	for _, at := range left(h, member) {
		if r.Limits.IsManaged && isSliceOf(at, r.UID) {
			continue // which has the limits of the same files (cgdeleg limits apply)
		}
		dir, err := h.OpenBelow(at)
		if err != nil {
			continue // it went, or cannot be looked at
		}
		file, value := limitIn(m, h, dir)
		dir.Close()
		if file != "" && !isUserTasksMax(at, file) {
			return &ConfinedError{Hierarchy: h.Name, Cgroup: at, File: dir.Path() + "/" + file, Value: value}
		}
	}
	return nil
}

// isSliceOf tells whether a cgroup is that of all the user's logins (user-UID.slice of
// systemd.special(7)).
func isSliceOf(cgroup string, uid int) bool {
	return path.Base(cgroup) == manager.UserSlice(uid)
}

// isUserTasksMax tells whether a limit is the number of processes that systemd gives
// to every user's slice (UserTasksMax= of logind.conf(5) before systemd 239,
// TasksMax= of user-.slice since): nobody has singled out this login. Where the pids
// controller ends at that slice, as on Ubuntu 16.04, every login has it.
func isUserTasksMax(cgroup, file string) bool {
	return file == "pids.max" && strings.HasPrefix(path.Base(cgroup), "user") && strings.HasSuffix(cgroup, ".slice")
}

// limit is a file of a cgroup that can hold one.
type limit struct {
	file string
	// set tells whether a value is a limit.
	set func(value string, base inBase) bool
}

// limitsOf are the files of each controller, on v2 and on v1
// (Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/).
var (
	limitsOfV2 = map[string][]limit{
		"memory": {{"memory.max", notMax}, {"memory.high", notMax}, {"memory.swap.max", notMax}},
		"pids":   {{"pids.max", notMax}},
		"cpu":    {{"cpu.max", notMax}},
		"io":     {{"io.max", anyKeyNotMax}},
		"cpuset": {{"cpuset.cpus", notEmpty}, {"cpuset.mems", notEmpty}},
		"rdma":   {{"rdma.max", anyKeyNotMax}},
		"misc":   {{"misc.max", anyWordNotMax}},
		"dmem":   {{"dmem.max", anyWordNotMax}},
	}
	limitsOfV1 = map[string][]limit{
		"memory":  {{"memory.limit_in_bytes", bytesLimited}, {"memory.memsw.limit_in_bytes", bytesLimited}, {"memory.kmem.limit_in_bytes", bytesLimited}},
		"pids":    {{"pids.max", notMax}},
		"cpu":     {{"cpu.cfs_quota_us", positive}},
		"cpuset":  {{"cpuset.cpus", smallerThanBase}, {"cpuset.mems", smallerThanBase}},
		"devices": {{"devices.list", fewerThanBase}},
		"blkio": {
			{"blkio.throttle.read_bps_device", notEmpty}, {"blkio.throttle.write_bps_device", notEmpty},
			{"blkio.throttle.read_iops_device", notEmpty}, {"blkio.throttle.write_iops_device", notEmpty},
		},
	}
)

// limitIn returns the first file of a cgroup that holds a limit, and its value; ""
// if none does.
func limitIn(m machine.Machine, h *hierarchy.Hierarchy, dir *cgroupfs.Dir) (file, value string) {
	table, controllers := limitsOfV1, h.Controllers
	if h.IsUnified() {
		table = limitsOfV2
		controllers, _ = dir.ReadWords("cgroup.controllers")
	}
	for _, controller := range controllers {
		limits := table[controller]
		if controller == "hugetlb" && h.IsUnified() {
			limits = hugetlbLimits(dir)
		}
		for _, l := range limits {
			data, err := dir.Read(l.file)
			if err != nil {
				continue // not every kernel has every file
			}
			value := strings.TrimSpace(string(data))
			if l.set(value, inBase{machine: m, h: h, file: l.file}) {
				return l.file, strings.Join(strings.Fields(value), " ")
			}
		}
	}
	return "", ""
}

// hugetlbLimits are the files of the page sizes that there are: hugetlb.2MB.max.
// The kernel writes "max" there only for a number that was rounded down to a whole
// page; a cgroup that nobody limited can have PAGE_COUNTER_MAX in bytes
// (hugetlb_cgroup_read_u64_max; Linux 6.18).
func hugetlbLimits(dir *cgroupfs.Dir) (limits []limit) {
	names, _ := dir.Files("hugetlb.", ".max")
	for _, name := range names {
		if !strings.HasSuffix(name, ".rsvd.max") {
			limits = append(limits, limit{name, bytesLimited})
		}
	}
	return limits
}
