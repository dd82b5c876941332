package hierarchy

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Unified is the name of the v2 hierarchy, in controller lists and in
// Hierarchy.Name.
const Unified = "unified"

// Membership is one line of /proc/PID/cgroup (cgroups(7)): in which cgroup of
// which hierarchy a process is.
type Membership struct {
	// Hierarchy is the controllers field of the line ("cpu,cpuacct",
	// "name=systemd"), or Unified.
	Hierarchy string
	// Path is the cgroup, relative to the reader's cgroup namespace. It starts
	// with "/../" for a process outside of that namespace and ends with
	// " (deleted)" for a cgroup that was removed.
	Path string
}

// ParseMemberships parses the content of /proc/PID/cgroup. Lines are
// ID:CONTROLLERS:PATH, and the path may contain anything, "0::" included; v2
// is only the line that starts with "0::". Errors are *ParseError.
func ParseMemberships(data []byte) ([]Membership, error) {
	var all []Membership
	seen := map[string]bool{}
	for n, line := range lines(data) {
		m, reason := parseMembership(line)
		if reason == "" && seen[m.Hierarchy] {
			reason = "second line of one hierarchy"
		}
		if reason != "" {
			return nil, &ParseError{File: "cgroup", Line: n, Text: line, Reason: reason}
		}
		seen[m.Hierarchy] = true
		all = append(all, m)
	}
	return all, nil
}

func parseMembership(line string) (m Membership, reason string) {
	id, rest, ok := strings.Cut(line, ":")
	controllers, path, ok2 := strings.Cut(rest, ":")
	if !ok || !ok2 {
		return m, "fewer than three fields"
	}
	number, err := strconv.ParseUint(id, 10, 31)
	if err != nil || strconv.FormatUint(number, 10) != id { // "00" is not the 0 of v2
		return m, "bad hierarchy ID"
	}
	if (number == 0) != (controllers == "") {
		return m, "hierarchy 0 with controllers, or another without"
	}
	if !strings.HasPrefix(path, "/") {
		return m, "path without a leading slash"
	}
	switch controllers {
	case Unified: // no controller is called that; it must not pass for v2
		return m, "bad controllers"
	case "":
		controllers = Unified
	}
	return Membership{Hierarchy: controllers, Path: path}, ""
}

// Memberships reads in which cgroups the process is. Errors are *fs.PathError
// and *ParseError.
func Memberships(m machine.Machine, pid int) ([]Membership, error) {
	data, err := m.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return nil, err
	}
	return ParseMemberships(data)
}

// PathIn returns the path in the hierarchy of that name; "" when there is none.
func PathIn(ms []Membership, hierarchy string) string {
	for _, m := range ms {
		if m.Hierarchy == hierarchy {
			return m.Path
		}
	}
	return ""
}
