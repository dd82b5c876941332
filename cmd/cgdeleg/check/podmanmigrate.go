package check

import (
	"cmp"
	"fmt"
	"os"
	"path"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// pausePID is what podman writes into the user's runtime directory once it has made a user
// namespace: its commands go into that one as long as the process is there
// (GetRootlessPauseProcessPidPath of pkg/util).
const pausePID = "libpod/tmp/pause.pid"

// andMigrated has podman make its user namespace again after a fix of the user's subordinate IDs
// (podman-system-migrate(1)).
func andMigrated(look func(*Facts) Result) func(*Facts) Result {
	return func(f *Facts) Result {
		r := look(f)
		isTrouble := r.Status == Failed || r.Status == Warning
		if !isTrouble || r.Fix == nil || len(r.Fix.Commands) == 0 || f.Partial || f.System.Version("podman") == "" {
			return r
		}
		const program = "podman system migrate"
		dir := cmp.Or(f.variable("XDG_RUNTIME_DIR"), fmt.Sprintf("/run/user/%d", f.Subject.UID))
		switch answer := f.usersFiles().Find(path.Join(dir, pausePID)); {
		case answer == machine.Absent && !f.isBeforeAbsent():
			return r
		case answer != machine.Found, os.Geteuid() == 0 && !f.Machine.IsRecorded(): // whose podman would be root's
			return r.fixed(r.Fix.Text+"; if podman has run before, it keeps the old IDs until "+f.Subject.Called()+" runs "+program+", which stops its containers", r.Fix.Commands...)
		}
		return r.fixed(r.Fix.Text+"; podman keeps the old IDs until "+program+", which stops its containers", append(r.Fix.Commands, Command{Args: []string{"podman", "system", "migrate"}})...)
	}
}
