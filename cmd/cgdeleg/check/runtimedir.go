package check

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// runtimeDirVariable names where a login's programs have their sockets and locks.
const runtimeDirVariable = "XDG_RUNTIME_DIR"

// runtimeChecks look at what the shell's environment names.
var runtimeChecks = []*Check{{
	Code: "CGD-046", Name: "runtime-dir", Title: "XDG_RUNTIME_DIR is a directory of the user's own",
	Explain: "LXC makes its locks in the directory that XDG_RUNTIME_DIR names, and starts nothing if it cannot. podman starts nothing if that directory is another user's. su without - and sudo -E leave the variable as it was: where root becomes another user by one of them, it still names root's /run/user/0. If the variable is not set, LXC makes its locks in ~/.cache/lxc, to which the user then has to be able to write.",
	needs:   aUser, ofEnvironment: true, run: checkRuntimeDir,
}}

func checkRuntimeDir(f *Facts) Result {
	dir := f.variable(runtimeDirVariable)
	if f.Subject.UID != 0 && !f.System.KnowsVariables(f.Subject) {
		return skip("the shell's environment is not known")
	}
	switch {
	case f.Subject.UID == 0:
		return ok("")
	case dir == "":
		return f.locksInHome()
	}
	var who []string
	st, err := f.usersFiles().Stat(dir)
	hasLXC, hasPodman := f.System.Version("lxc") != "", f.System.Version("podman") != ""
	is := Evidence{dir, "is not there"}
	isUnseen := errors.Is(err, machine.ErrNotRecorded) || errors.Is(err, fs.ErrNotExist) && f.isBeforeAbsent()
	switch {
	case isUnseen && !f.isOthersRuntimeDir(dir):
		return ok("") // a report from before it was looked at
	case isUnseen:
		is.Value = "is by its name another user's"
	case errors.Is(err, fs.ErrNotExist):
		above, parent, err := f.nearest(dir)
		if err != nil || f.mayWrite(parent) {
			return ok("") // LXC makes it
		}
		is.Value += ", and " + above + " is not the user's"
		hasPodman = false // which then takes another
	case err != nil:
		is.Value = "may not be looked at"
	case st.UID == f.Subject.UID:
		return ok("")
	default:
		is.Value = ownerAndMode(st)
		hasLXC = hasLXC && !f.mayWrite(st)
	}
	if hasLXC {
		who = append(who, "LXC")
	}
	if hasPodman {
		who = append(who, "podman")
	}
	if len(who) == 0 {
		return ok("")
	}
	starts := "starts"
	if len(who) > 1 {
		starts = "start"
	}
	says := fmt.Sprintf("%s %s nothing: %s names %s, which is not a directory of %s's", strings.Join(who, " and "), starts, runtimeDirVariable, dir, f.Subject.Name)
	r := failed(says, Evidence{"the environment", runtimeDirVariable + "=" + dir}, is)
	r.isPodmans = !hasLXC
	return f.runtimeDirFix(r)
}

// locksInHome is for a shell without the variable: LXC then makes its locks below the home
// directory (get_rundir of LXC's utils.c).
func (f *Facts) locksInHome() Result {
	if f.System.Version("lxc") == "" || f.Subject.Home == "" || f.Subject.PID == 0 {
		return ok("")
	}
	dir, st, isUsable := f.lockDir()
	if isUsable {
		return ok("")
	}
	r := failed("LXC starts nothing: "+runtimeDirVariable+" is not set, and "+f.Subject.Name+" may not write to "+dir+", in which LXC then makes its locks", Evidence{dir, ownerAndMode(st)})
	return r.fixed("make "+f.Subject.Name+" the owner of "+dir, asRoot("chown", fmt.Sprintf("%d:%d", f.Subject.UID, f.Subject.GID), dir), asRoot("chmod", "u+rwx", dir))
}

// lockDir returns the directory in the user's home in which LXC makes its locks, or the next
// directory, and whether it can. So it can where that is not known.
func (f *Facts) lockDir() (dir string, st machine.Stat, isUsable bool) {
	for _, below := range []string{"", ".cache", ".cache/lxc", ".cache/lxc/run"} {
		next := path.Join(f.Subject.Home, below)
		of, err := f.usersFiles().Stat(next)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !errors.Is(err, machine.ErrNotRecorded) && dir != "":
			return dir, st, f.mayWrite(st)
		case err != nil:
			return next, of, true
		}
		if dir, st = next, of; !f.maySearch(st) {
			return dir, st, false
		}
	}
	return dir, st, f.mayWrite(st)
}

// isOthersRuntimeDir tells whether a directory is called like one that systemd or elogind made
// for another user.
func (f *Facts) isOthersRuntimeDir(dir string) bool {
	uid, err := strconv.Atoi(path.Base(dir))
	return err == nil && path.Dir(dir) == runtimeDirs && uid != f.Subject.UID
}

// runtimeDirs is where systemd and elogind make them.
const runtimeDirs = "/run/user"

// runtimeDirFix has the shell name the user's own directory, and its bus, or none.
func (f *Facts) runtimeDirFix(r Result) Result {
	own := path.Join(runtimeDirs, strconv.Itoa(f.Subject.UID))
	address := f.System.Variable(f.Subject, busVariable)
	isOthersBus := strings.HasPrefix(address, "unix:path="+runtimeDirs+"/") && address != "unix:path="+userBus(f.Subject.UID)
	if st, err := f.usersFiles().Stat(own); err == nil && st.UID == f.Subject.UID {
		words := []string{"export", runtimeDirVariable + "=" + own}
		if isOthersBus && f.Machine.Exists(userBus(f.Subject.UID)) {
			words = append(words, busVariable+"=unix:path="+userBus(f.Subject.UID))
		}
		return r.fixed("set XDG_RUNTIME_DIR to the user's own directory, and from now on become this user by su - or a login", Command{Args: words, ByHand: true})
	}
	words := []string{"unset", runtimeDirVariable}
	if isOthersBus {
		words = append(words, busVariable)
	}
	return r.fixed("unset XDG_RUNTIME_DIR, and from now on become this user by su - or a login", Command{Args: words, ByHand: true})
}
