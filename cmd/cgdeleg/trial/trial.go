// Package trial asks the kernel what a login was given: in each hierarchy in which the
// calling process is, it makes a cgroup as the user, moves a process in and limits it,
// and removes it.
//
// It knows what the kernel answers and nothing of why. It must not know of PAM, nor how
// what it finds is shown.
package trial

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Place is where a login is in one hierarchy, and what its user may do there.
type Place struct {
	Hierarchy string `json:"hierarchy"`
	Cgroup    string `json:"cgroup"`    // as in /proc/PID/cgroup, without the leaf
	Directory string `json:"directory"` // of it; "" if it cannot be reached
	Session   string `json:"session"`   // user/NAME/N; "" if it is none of pam_cgdeleg's
	Owner     int    `json:"owner"`     // the user ID; -1 if the cgroup cannot be reached
	// IsNew tells that the login was not there before the session was opened.
	IsNew bool `json:"new"`
	Subgroup

	inode uint64 // of the directory
}

// Subgroup is what the user could do below a place.
type Subgroup struct {
	Entered bool `json:"entered"` // a cgroup was made, and a process moved in
	// Limited are the controllers by which that cgroup could be limited, Unlimited those
	// by which it could not, of those that limit.
	Limited   []string `json:"limited"`
	Unlimited []string `json:"unlimited"`
	Error     string   `json:"error,omitempty"` // why nothing was entered, or what was not removed
}

// limits are files that the user of a cgroup may write, and a value for each, by their
// controllers: of v1 and of v2. A controller that is not here sets no limit that can be
// tried without knowing the machine.
var limits = map[string][2]delegate.Setting{
	"memory": {{File: "memory.limit_in_bytes", Value: "67108864"}, {File: "memory.max", Value: "67108864"}},
	"pids":   {{File: "pids.max", Value: "16"}, {File: "pids.max", Value: "16"}},
	"cpu":    {{File: "cpu.shares", Value: "512"}, {File: "cpu.weight", Value: "50"}},
}

// Where returns where a process is, in the order of /proc/PID/cgroup. Errors are those of
// hierarchy.Find and hierarchy.Memberships.
func Where(m machine.Machine, pid int) ([]Place, error) {
	set, err := hierarchy.Find(m)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	members, err := hierarchy.Memberships(m, pid)
	if err != nil {
		return nil, err
	}
	places := []Place{}
	for _, h := range set.All {
		places = append(places, where(h, hierarchy.PathIn(members, h.Name)))
	}
	return places, nil
}

func where(h *hierarchy.Hierarchy, member string) Place {
	p := Place{Hierarchy: h.Name, Cgroup: member, Owner: -1, Subgroup: Subgroup{Limited: []string{}, Unlimited: []string{}}}
	if h.IsUnified() {
		p.Cgroup = cmp.Or(strings.TrimSuffix(member, "/"+layout.Leaf), "/")
	}
	if id, ok := layout.SessionOf(h, member); ok {
		p.Session = fmt.Sprintf("user/%s/%d", id.User, id.Number)
	}
	dir, err := h.OpenMember(p.Cgroup)
	if err != nil {
		return p
	}
	defer dir.Close()
	p.Directory = dir.Path()
	if info, err := dir.Info(); err == nil {
		p.Owner, p.inode = info.UID, info.Inode
	}
	return p
}

// Here tries what the calling process may do below each cgroup in which it is, by the
// names of their hierarchies. Errors are those of hierarchy.Find.
func Here(m machine.Machine) (map[string]Subgroup, error) {
	set, err := hierarchy.Find(m)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	all := map[string]Subgroup{}
	for _, h := range set.All {
		s := Subgroup{Limited: []string{}, Unlimited: []string{}}
		if err := s.enter(m, h); err != nil {
			s.Error = err.Error()
		}
		all[h.Name] = s
	}
	return all, nil
}

// enter makes a cgroup below, moves a process in that waits, and limits it.
func (s *Subgroup) enter(m machine.Machine, h *hierarchy.Hierarchy) error {
	return InSubgroup(delegate.SubgroupRequest{Machine: m, Name: "try", Hierarchies: []string{h.Name}}, func(made []delegate.Cgroup) {
		s.Entered = true
		s.limit(h, made[0].Dir)
	})
}

// InSubgroup moves a process that does nothing but wait into a new cgroup below the
// caller's own, tells use where that is, and takes both away. The request has no PID; the
// process's is appended to its name. Errors are those of delegate.NewSubgroup,
// and *os.PathError of what could not be removed.
func InSubgroup(r delegate.SubgroupRequest, use func(made []delegate.Cgroup)) (err error) {
	child := exec.Command("/proc/self/exe", InsideCommand, Wait) // no program of the user's choice
	end, err := child.StdinPipe()
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return err
	}
	r.PID, r.Name = child.Process.Pid, fmt.Sprintf("%s-%d", r.Name, child.Process.Pid)
	made, err := delegate.NewSubgroup(r)
	if err == nil {
		use(made)
	}
	err = errors.Join(err, end.Close(), child.Wait())
	for _, c := range made {
		err = errors.Join(err, remove(c.Dir))
	}
	return err
}

// limit writes a limit for each controller that the new cgroup has.
func (s *Subgroup) limit(h *hierarchy.Hierarchy, dir string) {
	controllers, version := h.Controllers, 0
	if h.IsUnified() {
		data, _ := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
		controllers, version = strings.Fields(string(data)), 1
	}
	for _, controller := range slices.Sorted(slices.Values(controllers)) {
		set := limits[controller][version]
		if set.File == "" {
			continue
		}
		if err := os.WriteFile(path.Join(dir, set.File), []byte(set.Value), 0); err != nil {
			s.Unlimited = append(s.Unlimited, controller)
			continue
		}
		s.Limited = append(s.Limited, controller)
	}
}

// patience is how long a process that has ended may take to leave its cgroup.
const patience = time.Second

// remove removes a cgroup that NewSubgroup made, and its leaf, as soon as the process in
// it has left.
func remove(dir string) error {
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if err := syscall.Rmdir(filepath.Join(dir, layout.Leaf)); err != nil && !cgroupfs.IsGone(err) && !errors.Is(err, unix.EBUSY) {
			return &os.PathError{Op: "rmdir", Path: dir, Err: err}
		}
		err := syscall.Rmdir(dir)
		if err == nil || cgroupfs.IsGone(err) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
			return &os.PathError{Op: "rmdir", Path: dir, Err: err}
		}
	}
}
