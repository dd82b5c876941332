package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"

	"github.com/moby/sys/user"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/account"
	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/lock"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/messages"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
	"github.com/cgdeleg/pam_cgdeleg/delegate/ticket"
)

// sessionFlags are whose session is opened or closed, and for which process.
type sessionFlags struct {
	user        string
	pid         int
	controllers string
	confined    string
	dryRun      bool
	owner       int // the user ID of the process
}

func (f *sessionFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.user, "user", "u", "", "the session is `NAME`'s")
	cmd.Flags().IntVarP(&f.pid, "pid", "p", 0, "move the process `PID`; without it the one that runs cgdeleg")
}

func newOpen(s *settings) *cobra.Command {
	var f sessionFlags
	cmd := &cobra.Command{
		Use:   "open --user NAME [--pid PID] [-c LIST]",
		Short: "Open a session for a process that did not come through PAM",
		Long: `Make the session that a login of the user would get, move the process in, and
print its cgroups. What the process starts later is in it too. Needs root.

The process has to be the user's own or root's, such as a shell that lxc-attach
started, or a script that starts a user's containers when the machine boots. One
that is in a session of this user already, which has all that LIST asks for,
stays there: its cgroups are printed and that is all, with exit code 0.

The session goes with cgdeleg close, or when it is dead, like any other.`,
		Example: `  cgdeleg open --dry-run --user alice --pid $$
  cgdeleg open --user alice --pid $$ -c freezer,memory,name=systemd
  exec runuser -u alice -- env HOME=/home/alice lxc-start -n c1`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := hierarchy.ParseList(f.controllers)
			if err != nil {
				return &usageError{err}
			}
			if err := misspelt(s.machine(), list.Names); err != nil {
				return err
			}
			if !slices.Contains(confinedValues, f.confined) {
				return noneOf("--confined", f.confined, confinedValues)
			}
			who, err := f.check(s)
			if err != nil {
				return err
			}
			if f.dryRun {
				return f.printPlan(cmd, s, who, list)
			}
			return f.open(cmd, who, list)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVarP(&f.controllers, "controllers", "c", "all", "in which hierarchies: a `LIST` as on the PAM line")
	cmd.Flags().StringVar(&f.confined, "confined", "leave", "what to do with a process that somebody limits: `WHAT` is leave or move")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "only print what would be done in each hierarchy, and why")
	return cmd
}

func newClose(s *settings) *cobra.Command {
	var f sessionFlags
	cmd := &cobra.Command{
		Use:   "close --user NAME [--pid PID]",
		Short: "Close the session in which a process is",
		Long: `Move the process out of the session of the user in which it is, to the base,
and remove the session if no other process is in it. Otherwise it is removed
later, as after any logout. Needs root.`,
		Example: `  sudo cgdeleg close --user alice --pid $$
  cgdeleg close --user alice --pid 4711`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			who, err := f.check(s)
			if err != nil {
				return err
			}
			return f.close(cmd, who)
		},
	}
	f.add(cmd)
	return cmd
}

// kernelControllers are those of Linux (include/linux/cgroup_subsys.h, with blkio's name on
// v2): a machine may lack some of them, which is no mistake of who names one.
var kernelControllers = []string{
	"blkio", "cpu", "cpuacct", "cpuset", "debug", "devices", "dmem", "freezer", "hugetlb", "io", "memory", "misc", "net_cls",
	"net_prio", "perf_event", "pids", "rdma", hierarchy.Unified,
}

// misspelt is the error for a name that is no controller, and is most like one.
func misspelt(m machine.Machine, names []string) error {
	there := controllersOn(m)
	for _, name := range names {
		if slices.Contains(there, name) || slices.Contains(kernelControllers, name) {
			continue
		}
		known := append(slices.Clone(there), kernelControllers...)
		if strings.HasPrefix(name, "name=") { // any name can be one of a hierarchy that is not mounted
			known = slices.DeleteFunc(known, func(k string) bool { return !strings.HasPrefix(k, "name=") })
		}
		if like := meant(name, known); like != "" {
			return &usageError{fmt.Errorf("-c %q: there is no controller %s (did you mean %s?)", strings.Join(names, ","), printable(name), like)}
		}
	}
	return nil
}

// check finds the who and the process, and refuses what cannot be meant.
func (f *sessionFlags) check(s *settings) (user.User, error) {
	switch {
	case s.root != "" && !f.dryRun:
		return user.User{}, &usageError{errRecorded}
	case f.user == "":
		return user.User{}, &usageError{errors.New("--user NAME is missing")}
	case f.pid < 0 || f.pid == 1:
		return user.User{}, &usageError{fmt.Errorf("--pid %d: not a process to move", f.pid)}
	case s.root != "" && f.pid == 0:
		return user.User{}, &usageError{errors.New("on a recorded machine, say which process is meant, by --pid PID")}
	case os.Geteuid() != 0 && !f.dryRun:
		return user.User{}, needsRoot("opening and closing sessions")
	}
	m := s.machine()
	who, err := account.ByName(m, f.user)
	if err != nil {
		return who, err
	}
	if f.pid == 0 {
		f.pid = os.Getppid()
		switch name := (machine.Machine{}).Name(f.pid); {
		case f.pid == 0: // as lxc-attach does
			return who, &usageError{errors.New("what runs cgdeleg is outside of this PID namespace: say which process is meant, by --pid PID")}
		case f.pid == 1:
			return who, &usageError{errors.New("init runs cgdeleg, and is not moved: say which process is meant, by --pid PID")}
		case slices.Contains([]string{"sudo", "doas"}, name):
			return who, &usageError{fmt.Errorf("%s runs cgdeleg: say which process is meant, for this shell --pid $$", name)}
		}
	}
	f.owner, err = ownerOf(m, f.pid)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return who, &failure{fmt.Sprintf("there is no process %d", f.pid)}
	case err != nil:
		return who, err
	case f.owner != 0 && f.owner != who.Uid:
		return who, &failure{fmt.Sprintf("process %d belongs to user ID %d, neither to %s (%d) nor to root", f.pid, f.owner, printable(f.user), who.Uid)}
	}
	return who, nil
}

func (f *sessionFlags) open(cmd *cobra.Command, who user.User, list hierarchy.ControllerList) error {
	present, err := f.enough(machine.Machine{}, who, list)
	if err != nil {
		return err
	}
	if present != nil {
		complain(cmd.ErrOrStderr(), "process %d is already in session %s of %s; nothing changed", f.pid, sessionName(present), printable(f.user))
		return printDirs(cmd, *present)
	}
	opened, err := f.make(who, list)
	if err != nil {
		return err
	}
	for _, text := range messages.Opened(opened) {
		complain(cmd.ErrOrStderr(), "%s", text)
	}
	for _, note := range opened.Notes {
		complain(cmd.ErrOrStderr(), "%v", note)
	}
	made, ok, err := f.opened(who, opened)
	switch {
	case err != nil:
		return err
	case !ok:
		return &failure{fmt.Sprintf("process %d is in no session of %s", f.pid, printable(f.user))}
	}
	return printDirs(cmd, made)
}

// confinedValues are what --confined and the PAM line's confined= can be.
var confinedValues = []string{"leave", "move"}

// login is what is asked for. Who asks by hand means also system accounts.
func (f *sessionFlags) login(m machine.Machine, who user.User, list hierarchy.ControllerList) delegate.Login {
	return delegate.Login{
		PID: f.pid, User: who.Name, UID: who.Uid, GID: who.Gid, Controllers: list, Limits: limitsFor(m, who).limits(),
		Policy: plan.Policy{MinUID: 0, MoveConfined: f.confined == "move"},
	}
}

// printPlan prints what an open would do.
func (f *sessionFlags) printPlan(cmd *cobra.Command, s *settings, who user.User, list hierarchy.ControllerList) error {
	m := s.machine()
	present, err := f.enough(m, who, list)
	if err != nil {
		return err
	}
	if present != nil {
		complain(cmd.ErrOrStderr(), "process %d is already in session %s of %s; nothing would be changed", f.pid, sessionName(present), printable(f.user))
		return printDirs(cmd, *present)
	}
	p, err := delegate.Plan(m, f.login(m, who, list))
	if err != nil {
		return err
	}
	user, err := layout.DirName(who.Name)
	if err != nil {
		return err
	}
	out, err := screenOn(cmd.OutOrStdout(), s.color)
	if err != nil {
		return err
	}
	t := newTable(out, "HIERARCHY", "ACTION", "WHERE, OR WHY NOT")
	for _, s := range p.Steps {
		what := ""
		switch s.Action {
		case plan.Make:
			what = path.Join(s.Mount.Point, layout.UserPath(s.Hierarchy, user), "N")
		case plan.Adopt:
			what = path.Join(s.Mount.Point, s.Scope)
		case plan.Leave:
			what = strings.TrimPrefix(s.Reason.Error(), "hierarchy "+s.Name+": ")
		}
		t.row(printable(s.Name), s.Action.String(), what)
	}
	if err := t.flush(); err != nil {
		return err
	}
	for _, err := range slices.Concat(p.Warnings, p.Notes) {
		complain(cmd.ErrOrStderr(), "%v", err)
	}
	if !p.DoesAnything() {
		complain(cmd.ErrOrStderr(), "no session would be opened")
	}
	return nil
}

// make makes the session and moves the process in.
func (f *sessionFlags) make(who user.User, list hierarchy.ControllerList) (*delegate.Opened, error) {
	r := delegate.OpenRequest{Login: f.login(machine.Machine{}, who, list), Locks: lock.Default}
	opened, err := delegate.Open(r)
	if !errors.Is(err, unix.EACCES) || f.owner == 0 {
		return opened, err
	}
	// A container's root may not move the process. It makes the session for this
	// one, which ends soon, and brings the other in as its user would.
	r.PID = os.Getpid()
	if opened, err = delegate.Open(r); err != nil {
		return nil, err
	}
	if err := asUser(f.owner, func() error { return joinSelf(f.pid, &opened.Ticket) }); err != nil {
		_, closeErr := delegate.Close(delegate.CloseRequest{PID: r.PID, User: r.User, Ticket: &opened.Ticket, Locks: r.Locks})
		return nil, errors.Join(err, closeErr)
	}
	return opened, nil
}

// joinSelf moves the process to where this one was moved by the opening.
func joinSelf(pid int, t *ticket.Ticket) error {
	members, err := hierarchy.Memberships(machine.Machine{}, os.Getpid())
	if err != nil {
		return err
	}
	set, err := hierarchy.Find(machine.Machine{})
	if err != nil {
		return err
	}
	defer set.Close()
	for _, former := range t.Former {
		h := set.ByName(former.Hierarchy)
		if h == nil {
			return fmt.Errorf("hierarchy %s: it was unmounted", former.Hierarchy)
		}
		if err := h.Attach(hierarchy.PathIn(members, former.Hierarchy), pid); err != nil {
			return err
		}
	}
	return nil
}

// asUser runs a function with that effective user ID, and with root's
// capabilities. On cgroup v1 the kernel lets a process be moved by the machine's
// root, and otherwise only by who has its user ID (cgroup1_procs_write in
// kernel/cgroup/cgroup-v1.c); the files are still to be opened as root can.
func asUser(uid int, do func() error) error {
	runtime.LockOSThread() // capabilities are a thread's
	defer runtime.UnlockOSThread()
	if err := unix.Setresuid(-1, uid, -1); err != nil {
		return fmt.Errorf("taking the user ID %d: %w", uid, err)
	}
	err := raiseCapabilities()
	if err == nil {
		err = do()
	}
	return errors.Join(err, unix.Setresuid(-1, 0, -1)) // which gives the capabilities back
}

// raiseCapabilities makes the permitted capabilities effective, which setting
// the user ID had taken away (capabilities(7)).
func raiseCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // version 3 has two
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	for i := range data {
		data[i].Effective = data[i].Permitted
	}
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	return nil
}

// opened returns the session that was opened: among those in which the process
// is, the new one, if there is one.
func (f *sessionFlags) opened(who user.User, opened *delegate.Opened) (delegate.Session, bool, error) {
	if opened.Ticket.Session.Number < 0 { // only a scope was adopted
		return f.present(machine.Machine{}, who)
	}
	return f.find(machine.Machine{}, func(s delegate.Session) bool { return s.User == who.Name && s.Number == opened.Ticket.Session.Number })
}

// present returns the session of this user in which the process is.
func (f *sessionFlags) present(m machine.Machine, who user.User) (delegate.Session, bool, error) {
	return f.find(m, func(s delegate.Session) bool {
		isHis := s.User == who.Name || s.User == "" && s.UID == who.Uid
		return isHis && s.Has(f.pid)
	})
}

func (f *sessionFlags) find(m machine.Machine, isIt func(delegate.Session) bool) (delegate.Session, bool, error) {
	sessions, _, err := delegate.Sessions(m)
	if err != nil {
		return delegate.Session{}, false, err
	}
	at := slices.IndexFunc(sessions, isIt)
	if at < 0 {
		return delegate.Session{}, false, nil
	}
	return sessions[at], true, nil
}

// enough returns the session of this user in which the process is, if it has all that
// the list asks for there; nil if not.
func (f *sessionFlags) enough(m machine.Machine, who user.User, list hierarchy.ControllerList) (*delegate.Session, error) {
	present, found, err := f.present(m, who)
	if err != nil || !found {
		return nil, err
	}
	enough, err := f.has(m, &present, list)
	if err != nil || !enough {
		return nil, err
	}
	return &present, nil
}

// has tells whether the process has all that the list asks for in this session.
// "all" asks for no more than can be had, which a hierarchy of systemd's, or a
// controller that cannot be enabled, is not.
func (f *sessionFlags) has(m machine.Machine, s *delegate.Session, list hierarchy.ControllerList) (bool, error) {
	if list.All {
		return true, nil
	}
	set, err := hierarchy.Find(m)
	if err != nil {
		return false, err
	}
	defer set.Close()
	selected, _ := hierarchy.Select(set.All, list)
	lacking := slices.ContainsFunc(selected, func(c hierarchy.Selection) bool {
		return !slices.ContainsFunc(s.Parts, func(p delegate.Part) bool {
			isMissing := func(controller string) bool { return !slices.Contains(p.Controllers, controller) }
			return p.Hierarchy == c.Name && slices.Contains(p.Processes, f.pid) && !slices.ContainsFunc(c.Enable, isMissing)
		})
	})
	return !lacking, nil
}

// printDirs prints a session's directories, a line for each hierarchy.
func printDirs(cmd *cobra.Command, s delegate.Session) error {
	for _, p := range s.Parts {
		if err := printf(cmd.OutOrStdout(), "%s\n", p.Dir); err != nil {
			return err
		}
	}
	return nil
}

func (f *sessionFlags) close(cmd *cobra.Command, who user.User) error {
	r := delegate.CloseRequest{PID: f.pid, User: who.Name, Locks: lock.Default}
	closed, err := delegate.Close(r)
	if err == nil && errors.Is(closed.Left, unix.EACCES) && f.owner != 0 { // see make
		err = asUser(f.owner, func() (err error) {
			closed, err = delegate.Close(r)
			return err
		})
	}
	if err != nil {
		return err
	}
	if closed.Session == "" {
		present, ok, err := f.present(machine.Machine{}, who)
		switch {
		case err != nil:
			return err
		case ok:
			return &failure{fmt.Sprintf("process %d is in %s, which goes when the login that it was made for ends", f.pid, sessionName(&present))}
		}
		return &failure{fmt.Sprintf("process %d is in no session of %s", f.pid, printable(f.user))}
	}
	if closed.Strayed != nil {
		complain(cmd.ErrOrStderr(), "process %d left its session, and its limits: %v", f.pid, closed.Strayed)
	}
	if alone := f.ownSudo(closed); alone != "" {
		complain(cmd.ErrOrStderr(), "session %s closed: process %d has left it. Only %s is still in it, which runs this command: the next login of the user, or cgdeleg cleanup, removes the session", closed.Session, f.pid, alone)
		return nil
	}
	text, isFault := messages.Closed(closed.Session, closed.Left)
	if isFault {
		return &failure{text}
	}
	complain(cmd.ErrOrStderr(), "%s", text)
	return nil
}

// ownSudo returns the program that keeps a closed session in use, if that is none but this
// one and those that wait for it: who closes the session of a shell in that shell types sudo.
// It is "" if there are others, or none.
func (f *sessionFlags) ownSudo(closed *delegate.Closed) string {
	if !errors.Is(closed.Left, unix.EBUSY) {
		return ""
	}
	m := machine.Machine{}
	own := map[int]string{os.Getpid(): "cgdeleg"}
	name := ""
	for pid := os.Getppid(); pid > 1 && pid != f.pid; {
		status, err := m.StatusOf(pid)
		if err != nil {
			break
		}
		own[pid], name = status.Name, status.Name
		pid = status.Parent
	}
	left, found, err := f.find(m, func(s delegate.Session) bool { return s.User == f.user && sessionName(&s) == closed.Session })
	if err != nil || !found || name == "" {
		return ""
	}
	for _, p := range left.Parts {
		if slices.ContainsFunc(p.Processes, func(pid int) bool { return own[pid] == "" }) {
			return ""
		}
	}
	return name
}

// ownerOf returns the real user ID of a process.
func ownerOf(m machine.Machine, pid int) (int, error) {
	status, err := m.StatusOf(pid)
	if err == nil && status.RealUID < 0 {
		err = errors.New("no user ID in /proc/PID/status")
	}
	return status.RealUID, err
}
