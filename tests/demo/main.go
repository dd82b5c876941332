// Package main is `make demo`: a login of an ordinary user through the real
// libpam with the built module, shown from open to close. The PAM file lies in
// a directory of its own; nothing in /etc changes.
package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/msteinert/pam/v2"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

func main() {
	if err := demo(); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func demo() error {
	who, err := ordinaryUser()
	if err != nil {
		return err
	}
	set, err := hierarchy.Find(machine.Machine{})
	if err != nil {
		return err
	}
	defer set.Close()
	defer tidyUp(set.All)()
	login, end, err := start(who.Username)
	if err != nil {
		return err
	}
	defer end()

	say("%s logs in", who.Username)
	if err := login.OpenSession(0); err != nil {
		return fmt.Errorf("pam_open_session: %w", err)
	}
	dirs, err := sessionDirs(set.All, who.Username)
	if err != nil {
		return err
	}
	if len(dirs) == 0 {
		return fmt.Errorf("the module made no cgroups on this machine; the system log says why (pam_cgdeleg): with systemd, cgroup v2 and name=systemd belong to systemd")
	}
	show(dirs)
	say("%s makes a cgroup in each and moves a shell of its own into all of them", who.Username)
	if err := asUser(who, dirs); err != nil {
		return err
	}
	say("%s logs out", who.Username)
	if err := login.CloseSession(0); err != nil {
		return fmt.Errorf("pam_close_session: %w", err)
	}
	return wantNothing(who.Username)
}

func say(format string, args ...any) { fmt.Printf("\n== "+format+"\n", args...) }

// ordinaryUser is who called sudo, or the first with a user ID from 1000 on, or
// nobody.
func ordinaryUser() (*user.User, error) {
	if name := os.Getenv("SUDO_USER"); name != "" && name != "root" {
		return user.Lookup(name)
	}
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(passwd)) {
		f := strings.Split(line, ":")
		if len(f) > 2 {
			if uid, err := strconv.Atoi(f[2]); err == nil && uid >= 1000 && uid < 60000 {
				return user.Lookup(f[0])
			}
		}
	}
	return user.Lookup("nobody")
}

// start begins a PAM transaction with a PAM file of our own.
func start(name string) (login *pam.Transaction, end func(), err error) {
	module, err := filepath.Abs("../build/pam_cgdeleg.so")
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "cgdeleg-demo")
	if err != nil {
		return nil, nil, err
	}
	lines := "session required pam_permit.so\nsession optional " + module + "\n"
	fmt.Printf("PAM file of this demo:\n%s", lines)
	if err := os.WriteFile(filepath.Join(dir, "cgdeleg-demo"), []byte(lines), 0o644); err != nil {
		return nil, nil, err
	}
	login, err = pam.StartConfDir("cgdeleg-demo", name, nil, dir)
	end = func() {
		if login != nil {
			_ = login.End()
		}
		_ = os.RemoveAll(dir)
	}
	if err != nil {
		end()
		return nil, nil, fmt.Errorf("pam_start_confdir: %w", err)
	}
	return login, end, nil
}

// sessionDirs returns the directories of the session in which we are now.
func sessionDirs(found []*hierarchy.Hierarchy, name string) ([]string, error) {
	dirName, err := layout.DirName(name)
	if err != nil {
		return nil, err
	}
	members, err := hierarchy.Memberships(machine.Machine{}, os.Getpid())
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, h := range found {
		below, err := h.Below(hierarchy.PathIn(members, h.Name))
		if err == nil && strings.Contains(below, "/user/"+dirName+"/") {
			dirs = append(dirs, filepath.Join(h.Mount.Point, strings.TrimSuffix(below, "/init.scope")))
		}
	}
	return dirs, nil
}

// show prints the tree with owners.
func show(dirs []string) {
	for _, dir := range dirs {
		for _, path := range []string{filepath.Dir(dir), dir, filepath.Join(dir, "init.scope")} {
			info, err := os.Stat(path)
			if err != nil {
				continue
			}
			st := info.Sys().(*syscall.Stat_t)
			fmt.Printf("%-20s %s\n", owner(st), path)
		}
	}
}

func owner(st *syscall.Stat_t) string {
	name := strconv.Itoa(int(st.Uid))
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	group := strconv.Itoa(int(st.Gid))
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return name + ":" + group
}

// asUser does as the user what a container's runtime would do.
func asUser(who *user.User, dirs []string) error {
	const script = `set -e
for session; do
	mkdir "$session/demo"
	echo $$ >"$session/demo/cgroup.procs"
done
cat /proc/self/cgroup`
	uid, _ := strconv.Atoi(who.Uid)
	gid, _ := strconv.Atoi(who.Gid)
	cmd := exec.Command("/bin/sh", append([]string{"-c", script, "sh"}, dirs...)...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("as %s: %w", who.Username, err)
	}
	return nil
}

// wantNothing looks that no session of the user is left that was not there.
func wantNothing(name string) error {
	sessions, _, err := delegate.Sessions(machine.Machine{})
	if err != nil {
		return err
	}
	for _, s := range sessions {
		if s.User == name && s.Processes() == 0 {
			return fmt.Errorf("session %d of %s is left behind", s.Number, name)
		}
	}
	fmt.Println("nothing of the session is left")
	return nil
}

// tidyUp returns a function that removes what the module leaves in place for
// the next login: an empty user/ and the v2 controllers it enabled at the base,
// unless they were there before the demo.
func tidyUp(found []*hierarchy.Hierarchy) func() {
	var undo []func()
	for _, h := range found {
		base := filepath.Join(h.Mount.Point, h.Base)
		users := filepath.Join(base, "user")
		if _, err := os.Stat(users); err != nil {
			undo = append(undo, func() { _ = syscall.Rmdir(users) })
		}
		control := filepath.Join(base, "cgroup.subtree_control")
		if before, err := os.ReadFile(control); err == nil {
			undo = append(undo, func() { disable(control, string(before)) })
		}
	}
	return func() {
		for _, f := range undo {
			f()
		}
	}
}

func disable(control, before string) {
	now, _ := os.ReadFile(control)
	for c := range strings.FieldsSeq(string(now)) {
		if !strings.Contains(" "+strings.TrimSpace(before)+" ", " "+c+" ") {
			_ = os.WriteFile(control, []byte("-"+c), fs.FileMode(0))
		}
	}
}
