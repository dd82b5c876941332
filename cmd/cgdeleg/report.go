package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
)

func newReport(s *settings) *cobra.Command {
	var a aim
	var redact bool
	cmd := &cobra.Command{
		Use:   "report DIR",
		Short: "Record what check reads of this machine, for a bug report",
		Long: `Copy the files of /proc, /sys and /etc that cgdeleg check reads into the new
directory DIR, with their owners, so that cgdeleg check --root DIR says there
what it says here. They tell of cgroups, PAM files, mounts, subordinate IDs and
the processes between this shell and its login; of /etc/passwd only your own
line. With --redact user names are replaced.`,
		Example: `  cgdeleg report --redact /tmp/r && tar -C /tmp -czf report.tar.gz r`,
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if s.root != "" {
				return &usageError{errRecorded}
			}
			f, err := a.facts(cmd, s)
			if err != nil {
				return err
			}
			if err := os.Mkdir(args[0], 0o755); err != nil {
				return &failure{err.Error()}
			}
			r := &recorder{dir: args[0], machine: f.Machine}
			if redact {
				r.redact = redactor(f.Subject)
			}
			r.record(f, a.config)
			if r.err != nil {
				return &failure{fmt.Sprintf("%v; the report is not complete", r.err)}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "recorded %d files in %s; cgdeleg --root %s check says of them what it says here\n", r.count, args[0], args[0])
			return err
		},
	}
	a.addFlags(cmd)
	cmd.Flags().BoolVar(&redact, "redact", false, "replace user names")
	return cmd
}

// recorder copies files of a machine into a directory.
type recorder struct {
	dir     string
	machine cgroupfs.Machine
	redact  func(string) string // nil: names stay
	stats   strings.Builder
	seen    map[string]bool
	count   int
	err     error // the first, of writing; what cannot be read is left out
}

func (r *recorder) record(f *check.Facts, config string) {
	r.seen = map[string]bool{}
	for _, file := range plainFiles {
		r.file(file)
	}
	r.processes(f.Subject)
	r.cgroups(f.Subject)
	r.tree("/etc/pam.d", 1)
	r.tree("/etc/lxc", 2)
	r.tree("/usr/share/lxc/config", 2)
	r.tree(f.Subject.Home+"/.config/lxc", 2)
	r.passwd(f.Subject)
	if config != "" {
		r.file(config)
	}
	if f.Config != nil {
		for _, item := range f.Config.Items {
			r.file(item.File)
		}
	}
	for dir := f.Subject.Home; strings.HasPrefix(dir, "/"); dir = path.Dir(dir) {
		r.stat(dir)
		if dir == "/" {
			break
		}
	}
	for _, file := range f.Exist() {
		r.exists(file)
	}
	r.write(versionsFile, recordVersions(f))
	r.write("/"+cgroupfs.StatFile, r.stats.String())
}

// plainFiles are read wherever they are.
var plainFiles = []string{
	"/proc/self/mountinfo", "/proc/self/cgroup", "/proc/self/status", "/proc/self/uid_map", "/proc/self/gid_map",
	"/proc/1/cgroup", "/proc/1/status", "/proc/cgroups", "/proc/version",
	"/proc/sys/kernel/unprivileged_userns_clone", "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
	"/proc/sys/user/max_user_namespaces", "/proc/sys/user/max_cgroup_namespaces",
	"/sys/kernel/cgroup/delegate", "/sys/devices/system/cpu/isolated",
	"/etc/subuid", "/etc/subgid", "/etc/os-release",
	"/etc/apparmor.d/lxc-start", "/etc/apparmor.d/usr.bin.lxc-start", "/etc/apparmor.d/lxc-unshare", "/etc/apparmor.d/lxc-usernsexec",
	"/usr/lib/systemd/system/session-.scope.d/50-cgdeleg.conf", "/etc/systemd/system/session-.scope.d/50-cgdeleg.conf",
}

// processes records those between the shell and the first process: among them
// is the login's host.
func (r *recorder) processes(s check.Subject) {
	for pid, n := s.PID, 0; pid > 0 && n < 100; n++ {
		dir := fmt.Sprintf("/proc/%d", pid)
		r.file(dir + "/status")
		r.file(dir + "/cgroup")
		if _, isHost := check.IsHost(r.machine, pid); isHost { // of others the words may be secret
			r.file(dir + "/cmdline")
		}
		pid = check.Parent(r.machine, pid)
	}
}

// cgroups records, of every hierarchy, the cgroups between its root and the
// shell's, and the user's sessions.
func (r *recorder) cgroups(s check.Subject) {
	found, _, err := hierarchy.Discover(r.machine)
	if err != nil {
		return
	}
	members, _ := hierarchy.Memberships(r.machine, os.Getpid())
	if s.PID != 0 {
		if of, err := hierarchy.Memberships(r.machine, s.PID); err == nil {
			members = of
		}
	}
	for i := range found {
		h := &found[i]
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
		if name, err := delegate.DirName(s.Name); err == nil { // other people's are nobody's business
			r.cgroupTree(path.Join(users, name), 2)
		}
	}
}

func (r *recorder) cgroupTree(dir string, depth int) {
	r.cgroup(dir)
	entries, err := os.ReadDir(dir)
	if err != nil || depth == 0 {
		return
	}
	for _, e := range entries {
		if e.IsDir() {
			r.cgroupTree(path.Join(dir, e.Name()), depth-1)
		}
	}
}

// cgroup records one cgroup: the content of the files that tell of delegation
// and of limits, and who owns those that are a delegatee's.
func (r *recorder) cgroup(dir string) {
	r.stat(dir)
	for _, name := range append(strings.Fields(cgroupFiles), r.delegatees()...) {
		file := path.Join(dir, name)
		switch {
		case !r.machine.Exists(file) || r.seen[file]:
		case slices.Contains(strings.Fields(cgroupFiles), name):
			r.file(file)
		default:
			r.seen[file] = true
			r.stat(file)
		}
	}
}

const cgroupFiles = `cgroup.procs cgroup.controllers cgroup.subtree_control cgroup.type cgroup.events cgroup.max.descendants
	pids.max pids.current memory.max memory.current memory.limit_in_bytes memory.usage_in_bytes cpuset.cpus cpuset.mems`

// delegatees are the files that a delegatee must own.
func (r *recorder) delegatees() []string {
	data, _ := r.machine.ReadFile("/sys/kernel/cgroup/delegate")
	return strings.Fields(string(data))
}

// tree records the regular files of a directory.
func (r *recorder) tree(dir string, depth int) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		switch {
		case e.IsDir() && depth > 1:
			r.tree(path.Join(dir, e.Name()), depth-1)
		case !e.IsDir():
			r.file(path.Join(dir, e.Name()))
		}
	}
}

// passwd records the subject's line alone.
func (r *recorder) passwd(s check.Subject) {
	r.write("/etc/passwd", fmt.Sprintf("%s:x:%d:%d::%s:/bin/sh\n", s.Name, s.UID, s.GID, s.Home))
}

// file records a file's content and owner.
func (r *recorder) file(name string) {
	if r.seen[name] {
		return
	}
	r.seen[name] = true
	data, err := r.machine.ReadFile(name)
	if err != nil {
		r.stat(name)
		return
	}
	r.stat(name)
	r.write(name, string(data))
}

// exists records that there is something at a path, and whose it is.
func (r *recorder) exists(name string) {
	if r.seen[name] || !r.machine.Exists(name) {
		return
	}
	r.seen[name] = true
	r.stat(name)
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		r.write(name+"/.recorded", "") // what copies a report may leave out empty directories
		return
	}
	r.write(name, "")
}

func (r *recorder) stat(name string) {
	st, err := r.machine.Stat(name)
	if err == nil && !strings.Contains(name, "\n") {
		r.stats.WriteString(cgroupfs.FormatStat(name, st) + "\n")
	}
}

// target is where a file of the machine is recorded.
func (r *recorder) target(name string) string {
	if r.redact != nil {
		name = r.redact(name)
	}
	return filepath.Join(r.dir, name)
}

func (r *recorder) write(name, data string) {
	if r.redact != nil {
		data = r.redact(data)
	}
	target := r.target(name)
	err := os.MkdirAll(filepath.Dir(target), 0o755)
	if err == nil {
		err = os.WriteFile(target, []byte(data), 0o644)
	}
	if r.fail(err); err == nil {
		r.count++
	}
}

func (r *recorder) fail(err error) {
	if r.err == nil && err != nil && !errors.Is(err, fs.ErrExist) {
		r.err = err
	}
}

// recordVersions writes what the tools answer, for recordedTools.
func recordVersions(f *check.Facts) string {
	var out strings.Builder
	for _, tool := range []struct{ name, version string }{
		{"lxc", f.Tools.LXCVersion()}, {"systemd", f.Tools.SystemdVersion()},
	} {
		if tool.version != "" {
			fmt.Fprintf(&out, "%s %s\n", tool.name, tool.version)
		}
	}
	if scope := f.Scope(); scope != "" {
		if delegated, known := f.Tools.IsDelegated(scope); known && delegated {
			fmt.Fprintf(&out, "%s delegated\n", scope)
		} else if known {
			fmt.Fprintf(&out, "%s not delegated\n", scope)
		}
	}
	return out.String()
}

// redactor returns a function that replaces the names of users: the subject's,
// and those in the files of subordinate IDs. A name stands for itself, between
// what separates words in paths and files.
func redactor(s check.Subject) func(string) string {
	names := []string{s.Name}
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		data, _ := os.ReadFile(file)
		for line := range strings.Lines(string(data)) {
			if name, _, found := strings.Cut(line, ":"); found && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		return name == "root" || strings.Trim(name, "0123456789") == ""
	})
	var quoted []string
	for _, name := range names {
		quoted = append(quoted, regexp.QuoteMeta(name))
	}
	word := regexp.MustCompile(`(^|[^\w.-])(` + strings.Join(quoted, "|") + `)($|[^\w.-])`)
	return func(text string) string {
		if len(names) == 0 {
			return text
		}
		for range 2 { // two names that share a separator are not found at once
			text = word.ReplaceAllStringFunc(text, func(match string) string {
				parts := word.FindStringSubmatch(match)
				return fmt.Sprintf("%suser%d%s", parts[1], slices.Index(names, parts[2])+1, parts[3])
			})
		}
		return text
	}
}
