package main

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
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
line, of podman's containers.conf and storage.conf and of a bundle's
config.json only what check reads of them, of your home directory beside that
LXC's lxc.conf and the container's configuration. The files present and absent
say what else check found or did not find. What others may not read is left
out, except your own files. With --redact user names are replaced.`,
		PreRunE: func(*cobra.Command, []string) (err error) {
			if t.config != "" { // in the report it is found by its full path
				t.config, err = filepath.Abs(t.config)
			}
			if t.bundle != "" && err == nil {
				t.bundle, err = filepath.Abs(t.bundle)
			}
			return err
		},
		Example: `  cgdeleg report --redact /tmp/r && tar -C /tmp -czf report.tar.gz r
  sudo cgdeleg report --user alice --container c1 /tmp/r`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if s.root != "" {
				return &usageError{errRecorded}
			}
			var notes machine.Notes
			f, err := t.facts(s.machine().Noting(&notes))
			if err != nil {
				return err
			}
			defer f.Close()
			check.Run(f, check.All(), nil)
			dir, err := newReportDir(args[0])
			if err != nil {
				return &failure{err.Error()}
			}
			defer func() { _ = dir.Close() }()
			r := newRecorder(f, &notes)
			r.record()
			r.add(versionsFile, recordVersions(f))
			if f.System.KnowsVariables(f.Subject) {
				r.add(variablesFile, recordVariables(f))
			}
			var kept []string
			rd := &redaction{}
			if redact {
				rd, kept = r.redaction()
			}
			count, err := r.writeTo(dir, rd)
			if err != nil {
				return &failure{fmt.Sprintf("%v; the report is not complete", err)}
			}
			for _, line := range r.leftOut() {
				complain(cmd.ErrOrStderr(), "left out %s", line)
			}
			again := check.Command{Args: append([]string{"cgdeleg", "--root", args[0], "check"}, t.words(rd)...)}
			err = printf(cmd.OutOrStdout(), "recorded %d files in %s; %s says of them what it says here\n", count, args[0], again.String())
			if err == nil && len(kept) > 0 {
				err = printf(cmd.OutOrStdout(), "not replaced, because the checks look for the same words: %s\n", strings.Join(kept, " "))
			}
			return err
		},
	}
	t.addFlags(cmd)
	cmd.Flags().BoolVar(&redact, "redact", false, "replace user names")
	return cmd
}

// words are the options by which the same is looked at in a report.
func (t *target) words(rd *redaction) (words []string) {
	if t.user != "" {
		words = append(words, "--user", rd.text(t.user))
	}
	if t.pid != 0 {
		words = append(words, "--pid", strconv.Itoa(t.pid))
	}
	if t.container != "" {
		words = append(words, "--container", rd.text(t.container))
	}
	if t.config != "" {
		words = append(words, "--lxc-config", rd.text(t.config))
	}
	if t.bundle != "" {
		words = append(words, "--bundle", rd.text(t.bundle))
	}
	if t.nested != 1 {
		words = append(words, "--nested", strconv.Itoa(t.nested))
	}
	return words
}

// recorder records of a machine what the checks asked it. Whoever asks may be root,
// and the subject may have laid out what is found: see read.
type recorder struct {
	machine machine.Machine
	subject check.Subject
	excerpt func(file, data string) (text string, isOne bool)
	notes   *machine.Notes
	root    string // before every path; but in tests ""

	processes []int    // those between the subject's and the first one
	mounts    []string // the hierarchies' mount points
	users     []string // where those have the users' sessions
	words     []string // that a redaction leaves alone: names of hierarchies and controllers

	files   []reportFile
	stats   []statEntry
	present []string // paths of what was seen, and is no directory
	absent  []string // paths where nothing was
	seen    map[string]bool
	size    int      // of all that was gathered
	left    []string // what was left out, and why
	more    int      // how much more was left out
	isFull  bool
}

// newRecorder returns one for what was noted when the facts were gathered and the
// checks run.
func newRecorder(f *check.Facts, notes *machine.Notes) *recorder {
	return &recorder{machine: f.Machine.Plain(), subject: f.Subject, excerpt: f.Excerpt, notes: notes, seen: map[string]bool{}}
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

func (r *recorder) record() {
	r.lookAround()
	r.accounts()
	for _, q := range r.notes.Questions {
		switch {
		case strings.Contains(q.Path, "\n"): // no line of a list can have it
		case r.isForeign(q.Path):
			r.foreign(q)
		case !r.isOthers(q.Path):
			r.answer(q)
		}
	}
}

// lookAround finds what the filters go by.
func (r *recorder) lookAround() {
	r.processes = []int{1}
	for pid := r.subject.PID; pid > 1 && len(r.processes) < maxProcesses; {
		r.processes = append(r.processes, pid)
		status, err := r.machine.StatusOf(pid)
		if err != nil {
			break
		}
		pid = status.Parent
	}
	set, err := hierarchy.Find(r.machine)
	if err != nil {
		return
	}
	defer set.Close()
	for _, h := range set.All {
		r.mounts = append(r.mounts, h.Mount.Point)
		r.words = append(append(r.words, h.Name, h.Mount.Point), h.Controllers...)
		r.users = append(r.users, path.Join(h.Mount.Point, h.Base, "user"))
		r.directory(h.Mount.Point)
		r.directory(path.Join(h.Mount.Point, h.Base))
	}
}

// maxProcesses bounds how many processes the report is about.
const maxProcesses = 1000

// answer records what a question was answered. What the checks could not tell, a
// report does not tell either.
func (r *recorder) answer(q machine.Question) {
	name := path.Clean(q.Path)
	switch answer := r.notes.Answer(q); {
	case q.Kind == machine.Content && answer != machine.Absent:
		r.content(name, answer)
	case answer == machine.Unknown:
	case answer == machine.Absent:
		r.gone(name, q.Kind)
	case q.Kind == machine.Owner:
		r.stat(name)
	case q.Kind == machine.Names:
		r.names(name)
	case r.isDir(name):
		r.directory(name)
	default:
		r.seenAt(name)
	}
}

// content records what is in a file, if that may be shown.
func (r *recorder) content(name string, answer machine.Answer) {
	if r.seen[name] {
		return
	}
	r.seen[name] = true
	read := r.read
	if r.notes.IsUsers(name) {
		read = r.readOwn
	}
	data, err := read(name)
	if errors.Is(err, errLarge) && path.Base(name) == "mountinfo" {
		data, err = r.readMounts(name)
	}
	switch {
	case err != nil:
		r.leave(name, err)
		if answer == machine.Found && !r.notes.IsUsers(name) {
			r.seenAt(name)
		}
	case answer == machine.Found:
		r.add(name, r.relevant(name, data))
	}
}

// gone records that there was nothing at a path, or no directory.
func (r *recorder) gone(name string, kind machine.Kind) {
	isThere := r.at(name).Find(name) == machine.Found
	if isThere {
		r.seenAt(name)
	}
	// A link that leads nowhere is there, and nothing can be read by it.
	if !isThere || kind == machine.Content || kind == machine.Owner {
		r.list(&r.absent, name)
	}
}

// at is the machine as the checks asked it about that path.
func (r *recorder) at(name string) machine.Machine {
	if r.notes.IsUsers(name) {
		return r.machine.As(r.subject.Credentials())
	}
	return r.machine
}

// names records what is in a directory. Of one that the subject laid out, or of a
// cgroup of others, it is nobody's business what else is in it than what was asked
// for.
func (r *recorder) names(dir string) {
	r.directory(dir)
	isOwnCgroup := r.ownCgroup(dir)
	if r.notes.IsUsers(dir) || dir == "/proc" || r.isCgroup(dir) && !isOwnCgroup {
		return
	}
	names, _ := r.machine.ReadDir(dir)
	for _, name := range names {
		switch at := path.Join(dir, name); {
		case strings.Contains(name, "\n") || r.isFull:
		case r.isDir(at):
			r.directory(at)
		case !isOwnCgroup: // of whose files there are many, all alike
			r.seenAt(at)
		}
	}
}

func (r *recorder) isDir(name string) bool { return r.at(name).Exists(name + "/.") }

// directory records that there is a directory.
func (r *recorder) directory(name string) {
	if mark := path.Join(name, machine.DirectoryMark); !r.seen[mark] {
		r.seen[mark] = true
		r.add(mark, "")
	}
}

// seenAt records that there is something, which is no directory.
func (r *recorder) seenAt(name string) { r.list(&r.present, name) }

func (r *recorder) list(paths *[]string, name string) {
	if r.fits(name, len(name)) {
		*paths = append(*paths, name)
	}
}

// stat records whose a file is.
func (r *recorder) stat(name string) {
	st, err := r.at(name).Stat(name)
	if err == nil && r.fits(name, len(name)) {
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
func (r *recorder) leftOut() []string {
	if r.more == 0 {
		return r.left
	}
	return append(slices.Clone(r.left), plural(r.more, "file")+" more")
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
	if refuses, isAsked := f.RefusesNamespaces(); isAsked {
		fmt.Fprintf(&out, "%s %s\n", namespacesWord, map[bool]string{true: refusedWord, false: "allowed"}[refuses])
	}
	return out.String()
}

// recordVariables writes what of the subject's environment the checks want to know.
func recordVariables(f *check.Facts) string {
	var out strings.Builder
	for _, name := range check.Variables {
		if value := f.System.Variable(f.Subject, name); value != "" && visible(value) == value {
			fmt.Fprintf(&out, "%s %s\n", name, value)
		}
	}
	return out.String()
}
