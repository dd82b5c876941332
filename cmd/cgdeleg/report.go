package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/user"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

func newReport(s *settings) *cobra.Command {
	var t target
	var redact bool
	cmd := &cobra.Command{
		Use:   "report DIR",
		Short: "Record what check reads of this machine, for a bug report",
		Long: `Copy the files of /proc, /sys and /etc that cgdeleg check reads into the new
directory DIR, with their owners, so that cgdeleg check --root DIR says there
what it says here. They tell of cgroups, PAM files, mounts, subordinate IDs and
the processes between this shell and its login; of /etc/passwd only your own
line, of podman's containers.conf cgroup_manager and runtime, of your home directory
beside that LXC's lxc.conf, default.conf and the container's configuration. What
others may not read is left out, except your own files. With --redact user names
are replaced.`,
		PreRunE: func(*cobra.Command, []string) (err error) {
			if t.config != "" { // in the report it is found by its full path
				t.config, err = filepath.Abs(t.config)
			}
			return err
		},
		Example: `  cgdeleg report --redact /tmp/r && tar -C /tmp -czf report.tar.gz r`,
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if s.root != "" {
				return &usageError{errRecorded}
			}
			f, err := t.facts(s)
			if err != nil {
				return err
			}
			dir, err := newReportDir(args[0])
			if err != nil {
				return &failure{err.Error()}
			}
			defer func() { _ = dir.Close() }()
			r := &recorder{machine: f.Machine, subject: f.Subject}
			r.record(f, t.configFile(f))
			var kept []string
			rd := &redaction{}
			if redact {
				rd, kept = r.redaction()
			}
			count, err := r.writeTo(dir, rd)
			if err != nil {
				return &failure{fmt.Sprintf("%v; the report is not complete", err)}
			}
			cmd.PrintErr(r.leftOut())
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "recorded %d files in %s; cgdeleg --root %s check says of them what it says here\n%s", count, args[0], args[0], keptNames(kept))
			return err
		},
	}
	t.addFlags(cmd)
	cmd.Flags().BoolVar(&redact, "redact", false, "replace user names")
	return cmd
}

// configFile returns the path of the container's configuration; "" if none was
// asked about.
func (t *target) configFile(f *check.Facts) string {
	if t.container == "" {
		return t.config
	}
	file, err := lxcconf.ContainerPath(f.Machine, f.Subject.Home, t.container)
	if err != nil {
		return "" // facts would have said so
	}
	return file
}

// recorder gathers files of a machine. Whoever asks may be root, and the subject
// may have laid out what is found: see read.
type recorder struct {
	machine machine.Machine
	subject check.Subject
	root    string // before every path; but in tests ""

	files  []reportFile
	stats  []statEntry
	mounts []string        // the hierarchies' mount points
	words  []string        // that a redaction leaves alone: names of hierarchies and controllers
	chosen map[string]bool // paths that the subject chose
	seen   map[string]bool
	size   int      // of all that was gathered
	left   []string // what was left out, and why
	more   int      // how much more was left out
	isFull bool
}

// reportFile is a file of the report.
type reportFile struct{ name, data string }

type statEntry struct {
	name string
	machine.Stat
}

// Bounds on a report. What makes it large is made by users: cgroups, files.
const (
	maxReportFile = 256 << 10
	maxReport     = 16 << 20
	entryCost     = 512 // of a file or a line, however small
	maxLeftOut    = 20  // that are named
)

func (r *recorder) record(f *check.Facts, config string) {
	r.seen, r.chosen = map[string]bool{}, map[string]bool{}
	for _, file := range plainFiles {
		r.file(file)
	}
	r.processes()
	r.cgroups()
	r.tree("/etc/pam.d", 1)
	r.tree("/usr/lib/pam.d", 1)
	r.tree("/etc/lxc", 2)
	r.tree("/usr/share/lxc/config", 2)
	r.accounts()
	for _, name := range []string{"lxc.conf", "default.conf"} {
		r.own(path.Join(r.subject.Home, ".config/lxc", name))
	}
	for _, file := range f.ContainersConf() {
		r.own(file)
	}
	if f.Config != nil {
		r.config(config, 0)
		for _, key := range []string{"lxc.rootfs.path", "lxc.rootfs"} {
			if item, found := f.Config.Last(key); found {
				r.wayTo(strings.TrimPrefix(item.Value, "dir:"))
			}
		}
	}
	r.wayTo(r.subject.Home)
	for _, file := range f.Exist() {
		r.exists(file)
	}
	r.add(versionsFile, recordVersions(f))
}

// plainFiles are read wherever they are.
var plainFiles = []string{
	"/proc/self/mountinfo", "/proc/self/cgroup", "/proc/self/status", "/proc/self/uid_map", "/proc/self/gid_map",
	"/proc/1/cgroup", "/proc/1/status", "/proc/cgroups", "/proc/version",
	"/proc/sys/kernel/unprivileged_userns_clone", "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
	"/proc/sys/user/max_user_namespaces", "/proc/sys/user/max_cgroup_namespaces",
	"/sys/kernel/cgroup/delegate", "/sys/devices/system/cpu/isolated",
	"/etc/subuid", "/etc/subgid", "/etc/os-release", "/etc/pam.conf",
	"/etc/apparmor.d/lxc-start", "/etc/apparmor.d/usr.bin.lxc-start", "/etc/apparmor.d/lxc-unshare", "/etc/apparmor.d/lxc-usernsexec",
	"/usr/lib/systemd/system/session-.scope.d/50-cgdeleg.conf", "/etc/systemd/system/session-.scope.d/50-cgdeleg.conf",
}

// processes records those between the shell and the first process: among them
// is the login's application.
func (r *recorder) processes() {
	for pid, n := r.subject.PID, 0; pid > 0 && n < 100; n++ {
		dir := fmt.Sprintf("/proc/%d", pid)
		r.file(dir + "/status")
		r.file(dir + "/cgroup")
		if name, isApplication := check.IsApplication(r.machine, pid); isApplication { // of others even the number of words is nobody's business
			r.cmdline(dir+"/cmdline", name)
		}
		pid = check.Parent(r.machine, pid)
	}
}

// cmdline records of an application's words only its own name, and those by
// which a login shell is asked for: others may be secret (su -c "mysql
// --password=...").
func (r *recorder) cmdline(name, program string) {
	data, err := r.machine.ReadFile(name)
	if err != nil || r.seen[name] {
		return
	}
	r.seen[name] = true
	words := program + "\x00"
	for word := range strings.SplitSeq(string(data), "\x00") {
		if slices.Contains([]string{"-", "-l", "--login", "-i"}, word) {
			words += word + "\x00"
		}
	}
	r.stat(name)
	r.add(name, words)
}

// cgroups records, of every hierarchy, the cgroups between its root and the
// shell's, and the user's sessions.
func (r *recorder) cgroups() {
	set, err := hierarchy.Find(r.machine)
	if err != nil {
		return
	}
	defer set.Close()
	data, _ := r.machine.ReadFile(cmp.Or(r.subject.Proc, "/proc/self") + "/cgroup") // as the checks do
	members, _ := hierarchy.ParseMemberships(data)
	for _, h := range set.All {
		r.mounts = append(r.mounts, h.Mount.Point)
		r.words = append(append(r.words, h.Name, h.Mount.Point), h.Controllers...)
		for _, member := range []string{hierarchy.PathIn(members, h.Name), "/init.scope"} {
			below, err := h.Below(member)
			if err != nil {
				continue
			}
			for dir := path.Clean(below); ; dir = path.Dir(dir) {
				r.cgroup(path.Join(h.Mount.Point, dir))
				if dir == "/" || dir == "." {
					break
				}
			}
		}
		r.cgroup(path.Join(h.Mount.Point, h.Base))
		users := path.Join(h.Mount.Point, h.Base, "user")
		r.cgroup(users)
		if name, err := layout.DirName(r.subject.Name); err == nil { // other people's are nobody's business
			r.cgroupTree(path.Join(users, name), 2)
		}
	}
}

func (r *recorder) cgroupTree(dir string, depth int) {
	r.cgroup(dir)
	names, err := r.machine.ReadDir(dir)
	if err != nil || depth == 0 {
		return
	}
	for _, name := range names {
		if r.isDir(path.Join(dir, name)) && !r.isFull {
			r.cgroupTree(path.Join(dir, name), depth-1)
		}
	}
}

func (r *recorder) isDir(name string) bool {
	st, err := r.machine.Stat(name)
	if r.machine.IsRecorded() { // whose stat file may not have it
		return r.machine.Exists(name + "/.")
	}
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}

// cgroup records one cgroup: the content of the files that tell of delegation
// and of limits, and who owns those that are a delegatee's.
func (r *recorder) cgroup(dir string) {
	r.stat(dir)
	for _, name := range append(strings.Fields(cgroupFiles), cgroupfs.DelegateFiles(r.machine)...) {
		file := path.Join(dir, name)
		switch {
		case r.seen[file] || !r.machine.Exists(file):
		case slices.Contains(strings.Fields(cgroupFiles), name):
			r.file(file)
		default:
			r.seen[file] = true
			r.stat(file)
		}
	}
}

const cgroupFiles = `cgroup.procs cgroup.controllers cgroup.subtree_control cgroup.type cgroup.events cgroup.max.descendants cgroup.stat
	pids.max pids.current memory.max memory.current memory.stat memory.limit_in_bytes memory.usage_in_bytes cpuset.cpus cpuset.mems`

// tree records the files of a directory.
func (r *recorder) tree(dir string, depth int) {
	names, err := r.machine.ReadDir(dir)
	if err != nil {
		return
	}
	for _, name := range names {
		switch file := path.Join(dir, name); {
		case !r.isDir(file):
			r.file(file)
		case depth > 1:
			r.tree(file, depth-1)
		}
	}
}

// accounts records the subject's line alone, and the numbers of the groups that
// it is in.
func (r *recorder) accounts() {
	s := r.subject
	r.add("/etc/passwd", fmt.Sprintf("%s:x:%d:%d::%s:/bin/sh\n", s.Name, s.UID, s.GID, s.Home))
	data, _ := r.machine.ReadFile("/etc/group")
	groups, _ := user.ParseGroupFilter(bytes.NewReader(data), func(g user.Group) bool { return slices.Contains(g.List, s.Name) })
	var lines strings.Builder
	for _, g := range groups {
		fmt.Fprintf(&lines, "group%d:x:%d:%s\n", g.Gid, g.Gid, s.Name)
	}
	r.add("/etc/group", lines.String())
}

// config records a configuration and the files that it includes (lxcconf.Read
// has refused those that include each other too deep).
func (r *recorder) config(name string, depth int) {
	if r.seen[name] || depth > 16 {
		return
	}
	data, ok := r.own(name)
	if !ok {
		return
	}
	for line := range strings.Lines(data) {
		key, value, _ := strings.Cut(line, "=")
		value = strings.Trim(strings.TrimSpace(value), `"'`)
		if strings.TrimSpace(key) == "lxc.include" && path.IsAbs(value) && !r.isFull {
			r.include(path.Clean(value), depth)
		}
	}
}

func (r *recorder) include(name string, depth int) {
	names, err := r.machine.ReadDir(name)
	if err != nil {
		r.config(name, depth+1)
		return
	}
	r.chosen[name+"/.recorded"] = true
	r.add(name+"/.recorded", "")
	for _, file := range names {
		if strings.HasSuffix(file, ".conf") {
			r.config(path.Join(name, file), depth+1)
		}
	}
}

// wayTo records whose the directories are through which a path leads.
func (r *recorder) wayTo(dir string) {
	for ; strings.HasPrefix(dir, "/"); dir = path.Dir(dir) {
		r.chosen[dir] = true
		r.stat(dir)
		if dir == "/" {
			return
		}
	}
}

// file records a file's content and owner.
func (r *recorder) file(name string) {
	if r.seen[name] {
		return
	}
	r.seen[name] = true
	r.stat(name)
	if data, err := r.read(name); err == nil {
		r.add(name, relevant(name, data))
	} else {
		r.leave(name, err)
	}
}

// own records a file that the subject named, or that is in a place of its own;
// nothing of it if it may not be shown.
func (r *recorder) own(name string) (data string, ok bool) {
	if r.seen[name] {
		return "", false
	}
	r.seen[name], r.chosen[name] = true, true
	data, err := r.readOwn(name)
	if err != nil {
		r.leave(name, err)
		return "", false
	}
	r.stat(name)
	r.add(name, relevant(name, data))
	return data, true
}

// relevant returns what matters of a file: of a long one of numbers a few lines,
// and of one that may hold secrets what a check wants to know.
func relevant(name, data string) string {
	switch {
	case strings.Contains(name, "/containers/containers.conf"):
		var c check.PodmanConf
		c.Read(data)
		return c.String()
	case path.Base(name) != "memory.stat":
		return data
	}
	var kept string
	for line := range strings.Lines(data) {
		if key, _, _ := strings.Cut(line, " "); strings.HasSuffix(key, "inactive_file") {
			kept += line
		}
	}
	return kept
}

// exists records that there is something at a path, and whose it is.
func (r *recorder) exists(name string) {
	if r.seen[name] || !r.machine.Exists(name) {
		return
	}
	r.seen[name] = true
	r.stat(name)
	if r.isDir(name) {
		name += "/.recorded" // what copies a report may leave out empty directories
	}
	r.add(name, "")
}

// stat records whose a file is.
func (r *recorder) stat(name string) {
	st, err := r.machine.Stat(name)
	if err == nil && !strings.Contains(name, "\n") && r.fits(name, len(name)) {
		r.stats = append(r.stats, statEntry{name, st})
	}
}

func (r *recorder) add(name, data string) {
	if r.fits(name, len(data)) {
		r.files = append(r.files, reportFile{name, data})
	}
}

// fits takes room for something, if there is.
func (r *recorder) fits(name string, size int) bool {
	if r.isFull = r.isFull || r.size+size+entryCost > maxReport; r.isFull {
		r.leave(name, errFull)
		return false
	}
	r.size += size + entryCost
	return true
}

// leave notes what was left out. What cannot be read by who asks is no matter:
// the checks could not read it either.
func (r *recorder) leave(name string, err error) {
	var reason leftOut
	switch {
	case !errors.As(err, &reason):
	case len(r.left) == maxLeftOut:
		r.more++
	default:
		r.left = append(r.left, fmt.Sprintf("%s: %s", printable(name), reason))
	}
}

// leftOut says, for people, what was left out.
func (r *recorder) leftOut() string {
	var out strings.Builder
	for _, line := range r.left {
		fmt.Fprintf(&out, "cgdeleg: left out %s\n", line)
	}
	if r.more > 0 {
		fmt.Fprintf(&out, "cgdeleg: left out %s more\n", plural(r.more, "file"))
	}
	return out.String()
}

// recordVersions writes what the system answers, for recordedSystem.
func recordVersions(f *check.Facts) string {
	var out strings.Builder
	for _, program := range check.Programs {
		if version := f.System.Version(program); version != "" {
			fmt.Fprintf(&out, "%s %s\n", program, version)
		}
	}
	if scope := f.Scope(); scope != "" {
		if delegated, known := f.System.IsDelegated(scope); known && delegated {
			fmt.Fprintf(&out, "%s delegated\n", scope)
		} else if known {
			fmt.Fprintf(&out, "%s not delegated\n", scope)
		}
	}
	return out.String()
}
