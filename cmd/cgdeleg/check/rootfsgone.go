package check

import (
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// anew says how a container is made again: lxc-create makes none where a configuration of that
// name is.
const anew = "under another name, or once this one is removed (lxc-destroy)"

// rootfsGone is the result for a root file system of which nothing was found.
func (f *Facts) rootfsGone(item lxcconf.Item, dir string) Result {
	if f.Machine.IsRecorded() && !f.Machine.Exists("/"+machine.AbsentFile) { // nobody may have looked
		return unknown("the container's root file system cannot be looked at", fmt.Errorf("%s: %w", dir, machine.ErrNotRecorded))
	}
	r := failed("the container's root file system is not there, and the container does not start", itemEvidence(item), Evidence{dir, "is not there"})
	edit := f.editAny(item.File)
	near := f.rootfsNear(item, dir)
	if near == "" {
		return r.fixed(fmt.Sprintf("in line %d of %s name the directory where it is; or, if it is gone, make the container again by lxc-create, as %s, %s", item.Line, item.File, f.Subject.Name, anew), edit)
	}
	r.Evidence = append(r.Evidence, Evidence{near, "is there"})
	value := strings.Replace(item.Value, dir, near, 1)
	if !edit.Root && strings.Trim(value, plainNames+"/.:") == "" {
		edit.Args = []string{"sed", "-i", fmt.Sprintf("%ds|=.*|= %s|", item.Line, value), item.File}
	}
	return r.fixed(fmt.Sprintf("write %s = %s in line %d of %s, if that is the container's", item.Key, value, item.Line, item.File), edit)
}

// rootfsNear returns the directory in which lxc-create puts a root file system, if it is there:
// beside one that is not, or beside the configuration; "" if there is none.
func (f *Facts) rootfsNear(item lxcconf.Item, dir string) string {
	for _, beside := range []string{dir, item.File} {
		near := path.Join(path.Dir(beside), "rootfs")
		if st, err := f.usersFiles().Stat(near); near != dir && err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
			return near
		}
	}
	return ""
}
