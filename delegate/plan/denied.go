package plan

import (
	"fmt"
	"path"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// DeniedError says that no user/NAME can be made in a hierarchy: it is mounted
// read-only, or is not this container's (an unprivileged container's root is
// nobody in hierarchies in which its own user had no session).
type DeniedError struct {
	Hierarchy string
	Err       error // a *fs.PathError with EROFS, EACCES or EPERM, or one of these
	// Dir is the directory in which root may make nothing, and Owner whose it is,
	// where the plan has seen that; "" where the kernel said so.
	Dir   string
	Owner machine.Stat
}

func (e *DeniedError) Error() string { return fmt.Sprintf("hierarchy %s: %v", e.Hierarchy, e.Err) }
func (e *DeniedError) Unwrap() error { return e.Err }

// overflowID is what an ID without a mapping looks like in a user namespace
// (/proc/sys/kernel/overflowuid).
const overflowID = 65534

// rootMayWrite tells whether root of a user namespace may write a directory by its
// owner and mode: its CAP_DAC_OVERRIDE holds only over what has an owner and a group
// in the namespace (user_namespaces(7)). LXC gives a container's cgroups to the
// container's root as a group alone.
func rootMayWrite(st machine.Stat) bool {
	switch {
	case st.UID != overflowID && st.GID != overflowID:
		return true
	case st.UID == 0:
		return st.Mode&0o200 != 0
	case st.GID == 0:
		return st.Mode&0o020 != 0
	}
	return st.Mode&0o002 != 0
}

// leaveIfDenied leaves a hierarchy alone if it can be seen that root may make no
// sessions in it, in a user namespace. A mount that is read-only is left to the
// kernel: who has it may be about to mount it again.
func (s *Step) leaveIfDenied(m machine.Machine) {
	for _, name := range []string{layout.UsersDir, ""} {
		dir := path.Join(s.Mount.Point, s.Base, name)
		st, err := m.Stat(dir)
		if err != nil {
			continue // there is none, or it cannot be told
		}
		if !rootMayWrite(st) {
			s.leave(&DeniedError{Hierarchy: s.Name, Err: unix.EACCES, Dir: dir, Owner: st})
		}
		return
	}
}
