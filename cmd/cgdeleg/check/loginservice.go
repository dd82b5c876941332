package check

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/pamconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// sessionsDir has a file for each login that logind or elogind knows (sd-login(3)).
const sessionsDir = "/run/systemd/sessions"

// noted is what logind or elogind has noted of a login.
type noted struct {
	file    string
	service string // the PAM service by which it came
	leader  int    // the process that called PAM, even when it has ended
}

// notedLogin returns what was noted of the login in whose cgroup the subject's process is: systemd
// calls it after the session's ID, and elogind by that alone. It is nil if the process is in none
// of the subject's own, or nothing was noted.
func (f *Facts) notedLogin() *noted {
	for _, m := range f.members {
		for i, name := range strings.Split(strings.Trim(m.Path, "/"), "/") {
			id := strings.TrimPrefix(strings.TrimSuffix(name, ".scope"), "session-")
			isScope := name == "session-"+id+".scope"
			if !isScope && (i > 0 || id != name || id == "") {
				continue
			}
			if n := f.readNoted(path.Join(sessionsDir, id)); n != nil {
				return n
			}
		}
	}
	return nil
}

// readNoted reads such a file; nil if it is not there, or of another user's login.
func (f *Facts) readNoted(file string) *noted {
	data, err := f.Machine.ReadFile(file)
	if err != nil {
		return nil
	}
	n, uid := noted{file: file}, -1
	for line := range strings.Lines(string(data)) {
		switch name, value, _ := strings.Cut(strings.TrimSpace(line), "="); name {
		case "SERVICE":
			n.service = value
		case "UID":
			uid, _ = strconv.Atoi(value)
		case "LEADER":
			n.leader, _ = strconv.Atoi(value)
		}
	}
	if uid != f.Subject.UID || n.service == "" || strings.Contains(n.service, "/") {
		return nil
	}
	return &n
}

// knownService returns the PAM service that a program among the ancestors has asked for, where
// it says so itself or logind noted it; "" where only its name tells.
func (f *Facts) knownService(n *noted, pid int, status machine.Status) string {
	switch {
	case status.UID != 0:
	case n != nil && n.leader == pid:
		return n.service
	case status.Name == "gdm-session-wor": // "gdm-session-worker [pam/gdm-autologin]"
		for _, arg := range f.readArgs(pid) {
			if service, isIt := strings.CutPrefix(arg, "[pam/"); isIt {
				return strings.TrimSuffix(service, "]")
			}
		}
	case status.Name == "sddm-helper" && slices.Contains(f.readArgs(pid), "--autologin"):
		return "sddm-autologin"
	}
	return ""
}

// endedResult is the result for a shell in the scope of a login that got no cgroups, and whose
// program is no ancestor any more: in mosh, screen or tmux. isOne is false if it was not noted by which
// PAM service that came.
func (f *Facts) endedResult() (r Result, isOne bool) {
	n := f.notedLogin()
	if n == nil || !f.isInOwnScope() {
		return r, false
	}
	lines, err := pamconf.Session(f.Machine, n.service)
	evidence := append([]Evidence{{n.file, "SERVICE=" + n.service}}, f.cgroupEvidence()...)
	says := fmt.Sprintf("this shell's login, by the PAM service %q, got no cgroups, and the program that called PAM is none of the shell's ancestors", n.service)
	const again = "log in again (screen, tmux and mosh stay in the old login until they are started anew)"
	i := slices.IndexFunc(lines, func(l pamconf.Line) bool { return l.Is(moduleName) })
	_, answer := f.findModule()
	switch {
	case err != nil && !errors.Is(err, machine.ErrNotRecorded):
		return r, false
	case err != nil:
		return unknown("it cannot be told why this shell's login got no cgroups", err), true
	case i >= 0:
		r = failed(says+fmt.Sprintf("; %q has a line of the module, and the login may be older than that line", n.service), append([]Evidence{lineEvidence(lines[i])}, evidence...)...)
		return r.fixed(again), true
	case answer != machine.Found && !f.isBuilt():
		return failed(says, evidence...).fixed("install pam_cgdeleg, from its package or by make install, and " + again), true
	}
	next := *f
	next.login.service, next.login.lines = n.service, lines
	r = failed(says+fmt.Sprintf(": %q has no line of the module", n.service), evidence...)
	if f.isBuilt() {
		return r.fixed(next.lineInStore() + ", and " + again), true
	}
	text, add := next.lineForAll()
	return r.fixed(text+", and "+again, add), true
}
