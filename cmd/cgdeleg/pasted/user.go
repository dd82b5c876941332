package pasted

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
)

var (
	homeOf    = regexp.MustCompile(`^\s*lxc\.rootfs(?:\.path)?\s*=\s*"?(?:[a-z]+:)?/home/([^/\s":]+)/`)
	sessionOf = regexp.MustCompile(`/` + layout.UsersDir + `/([^/]+)/[0-9]+(?:/|$)`)
	idLine    = regexp.MustCompile(`^uid=([0-9]+)\(([^()]+)\) gid=[0-9]+`)
)

// User returns the name of the user whose process it is; "" if the text does not tell, or
// says different things. It tells by the line of id(1), by the session in which the process
// is, by the home directory of the container's root file system, and by the prompts.
func (p *Paste) User() string {
	uid := p.uid()
	name := ""
	for _, said := range p.saidUsers() {
		if uid >= 0 && (said == "root") != (uid == 0) {
			continue // root shows a user's process, or the container's root is the user's
		}
		if name != "" && name != said {
			return ""
		}
		name = said
	}
	return name
}

// saidUsers returns all that the text calls the user.
func (p *Paste) saidUsers() (names []string) {
	if m := idLine.FindStringSubmatch(p.id); m != nil && (p.uid() < 0 || strconv.Itoa(p.uid()) == m[1]) {
		names = append(names, m[2])
	}
	for line := range p.lines("cgroup") {
		if m := sessionOf.FindStringSubmatch(line); m != nil && layout.IsDirName(m[1]) {
			names = append(names, layout.UserName(m[1]))
		}
	}
	for line := range p.lines("config") {
		if m := homeOf.FindStringSubmatch(line); m != nil {
			names = append(names, m[1])
		}
	}
	return append(names, p.prompts...)
}

// uid returns the effective user ID of the status; -1 if there is none.
func (p *Paste) uid() int {
	for line := range p.lines("status") {
		value, isUID := strings.CutPrefix(line, "Uid:")
		if fields := strings.Fields(value); isUID && len(fields) > 1 {
			if uid, err := strconv.Atoi(fields[1]); err == nil {
				return uid
			}
		}
	}
	return -1
}
