package main

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/user"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// relevant returns what matters of a file, where not all of it does or is anybody's
// business.
func (r *recorder) relevant(name, data string) string {
	if r.excerpt != nil {
		if text, isOne := r.excerpt(name, data); isOne {
			return text
		}
	}
	switch pid, file := processFile(name); {
	case pid != 0 && file == "stat":
		return r.process(pid, data)
	case pid != 0 && file == "cmdline":
		return r.loginWords(pid, data)
	case name == "/proc/cmdline": // which may hold keys and passwords
		return cgroupWords(data)
	case strings.HasPrefix(name, "/etc/ssh/"):
		return sshdWords(data)
	case name == "/etc/nsswitch.conf":
		return onlyLines(data, func(line string) bool { return strings.HasPrefix(line, "subid:") })
	case name == "/etc/cgrules.conf" || name == "/etc/lxc/lxc-usernet": // others' lines are nobody's business
		return onlyLines(data, func(line string) bool {
			words := strings.Fields(line)
			return len(words) > 0 && (words[0] == r.subject.Name || words[0] == "*" || strings.HasPrefix(words[0], "@"))
		})
	case path.Base(name) == "memory.stat":
		return onlyLines(data, func(line string) bool {
			key, _, _ := strings.Cut(line, " ")
			return strings.HasSuffix(key, "inactive_file")
		})
	case path.Dir(name) == "/run/systemd/sessions": // which also says from where somebody logged in
		return onlyLines(data, func(line string) bool {
			return strings.HasPrefix(line, "UID=") || strings.HasPrefix(line, "LEADER=")
		})
	}
	return data
}

// cgroupWords returns the words of the kernel's command line that are about cgroups, and
// those by which a Raspberry Pi is known.
func cgroupWords(data string) string {
	words := slices.DeleteFunc(strings.Fields(data), func(word string) bool {
		return !slices.ContainsFunc([]string{"cgroup", "systemd.unified_cgroup", "systemd.legacy_systemd_cgroup", "SYSTEMD_CGROUP", "coherent_pool=", "bcm2708"}, func(prefix string) bool {
			return strings.HasPrefix(word, prefix)
		})
	})
	return strings.Join(words, " ") + "\n"
}

// sshdWords returns of sshd's configuration what tells whether it calls PAM. All lines stay
// in their place, and of Match only the word.
func sshdWords(data string) string {
	var kept strings.Builder
	for line := range strings.Lines(data) {
		words := strings.FieldsFunc(strings.ToLower(line), func(c rune) bool { return strings.ContainsRune(" \t=\n", c) })
		switch {
		case len(words) == 0:
		case words[0] == "usepam" || words[0] == "include":
			kept.WriteString(strings.TrimSuffix(line, "\n"))
		case words[0] == "match":
			kept.WriteString("Match x")
		}
		kept.WriteByte('\n')
	}
	return kept.String()
}

func onlyLines(data string, isWanted func(line string) bool) string {
	var kept strings.Builder
	for line := range strings.Lines(data) {
		if isWanted(line) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// processFile returns the process and the file that a path below /proc is about; 0
// for any other path.
func processFile(name string) (pid int, file string) {
	below, isProc := strings.CutPrefix(name, "/proc/")
	number, file, _ := strings.Cut(below, "/")
	if pid, err := strconv.Atoi(number); isProc && err == nil {
		return pid, file
	}
	return 0, ""
}

// isForeign tells whether a path is about a process that is not between the
// subject's and the first one.
func (r *recorder) isForeign(name string) bool {
	pid, _ := processFile(name)
	return pid != 0 && !slices.Contains(r.processes, pid)
}

// foreign records of another process what the check for realtime processes needs.
func (r *recorder) foreign(q machine.Question) {
	pid, file := processFile(q.Path)
	if file != "stat" || q.Kind != machine.Content || r.notes.Answer(q) != machine.Found || r.seen[q.Path] {
		return
	}
	if p, err := r.machine.Process(pid); err == nil && p.IsRealtime() {
		r.seen[q.Path] = true
		r.add(q.Path, machine.FormatProcess(machine.Process{PID: pid, Name: p.Name, Policy: p.Policy}))
	}
}

// process returns what matters of a file /proc/PID/stat.
func (r *recorder) process(pid int, data string) string {
	p, err := r.machine.Process(pid)
	if err != nil {
		return data
	}
	return machine.FormatProcess(p)
}

// loginWords returns of an application's words only its own name, and those by
// which a login shell is asked for: others may be secret (su -c "mysql
// --password=..."). Of what is no application even their number is nobody's business.
func (r *recorder) loginWords(pid int, data string) string {
	words, isApplication := check.IsApplication(r.machine, pid)
	if !isApplication {
		return ""
	}
	words += "\x00"
	for word := range strings.SplitSeq(data, "\x00") {
		if slices.Contains([]string{"-", "-l", "--login", "-i"}, word) {
			words += word + "\x00"
		}
	}
	return words
}

// isOthers tells whether a path is in the sessions of another user.
func (r *recorder) isOthers(name string) bool {
	isBelow := func(dir string) bool { return strings.HasPrefix(name, dir+"/") }
	return slices.ContainsFunc(r.users, isBelow) && !r.ownCgroup(name)
}

// ownCgroup tells whether a path is that of the subject's sessions, or in them.
func (r *recorder) ownCgroup(name string) bool {
	own, err := layout.DirName(r.subject.Name)
	return err == nil && slices.ContainsFunc(r.users, func(dir string) bool {
		return strings.HasPrefix(name+"/", path.Join(dir, own)+"/")
	})
}

// accounts records the subject's line alone, and the numbers of the groups that
// it is in.
func (r *recorder) accounts() {
	s := r.subject
	data, _ := r.machine.ReadFile("/etc/group")
	groups, _ := user.ParseGroupFilter(bytes.NewReader(data), func(g user.Group) bool { return slices.Contains(g.List, s.Name) })
	var lines strings.Builder
	for _, g := range groups {
		fmt.Fprintf(&lines, "group%d:x:%d:%s\n", g.Gid, g.Gid, s.Name)
	}
	r.seen["/etc/passwd"], r.seen["/etc/group"] = true, true
	r.add("/etc/passwd", fmt.Sprintf("%s:x:%d:%d::%s:/bin/sh\n", s.Name, s.UID, s.GID, s.Home))
	r.add("/etc/group", lines.String())
}

// readMounts reads a mountinfo that is too large for a report: users can add any
// number of lines, and only those of cgroups matter.
func (r *recorder) readMounts(name string) (string, error) {
	var kept, line strings.Builder
	isLong := false
	err := r.machine.Stream(name, func(piece []byte) error {
		for part := range bytes.Lines(piece) {
			if isLong = isLong || line.Len()+len(part) > maxReportFile; !isLong {
				line.Write(part)
			}
			if !bytes.HasSuffix(part, []byte("\n")) {
				continue
			}
			if _, super, _ := strings.Cut(line.String(), " - "); strings.HasPrefix(super, "cgroup") && !isLong {
				kept.WriteString(line.String())
			}
			isLong = false
			line.Reset()
		}
		if kept.Len() > maxReportFile {
			return errLarge
		}
		return nil
	})
	return kept.String(), err
}
