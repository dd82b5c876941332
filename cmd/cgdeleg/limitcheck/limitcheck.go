// Package limitcheck finds what is wrong, or not as it was meant, in the files of
// cgdeleg-limits.conf(5): lines that nobody can reach, people whom nobody knows, limits
// that do not go together, and those that this machine cannot set.
//
// It reads and decides; how it is shown, and what becomes of it, is not its business. What
// it cannot tell it does not say.
package limitcheck

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/account"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limitsconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
)

// Severity is how bad a finding is.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // a line or a limit that does nothing, or lets nobody in
	Warning Severity = "warning" // most likely not what was meant
)

// Finding is something that is wrong in a file.
type Finding struct {
	File         string
	Line, Column int // counted from 1, the column in bytes; 0: it is about the file
	Severity     Severity
	Message, Fix string
	// Unread tells that the file could not be read: what is in it is not known.
	Unread bool
}

// Facts are what the findings are made of.
type Facts struct {
	Machine machine.Machine
	Config  *limitsconf.Config
	// Set is nil where it is not known which hierarchies there are; SetError is why.
	Set      *hierarchy.Set
	SetError error
	Manager  string // of logins: a name of package manager
	CPUs     []int  // those that the machine has; nil: not known
	Users    map[string]machine.Answer
	Groups   map[string]machine.Answer
	UIDs     map[string]int // of the users of /etc/passwd
}

// Gather reads what there is to know. Who calls it calls Close.
func Gather(m machine.Machine) *Facts {
	f := &Facts{Machine: m, Config: limitsconf.Read(m), UIDs: map[string]int{"root": 0}}
	if f.Set, f.SetError = hierarchy.Find(m); f.SetError == nil {
		f.Manager = manager.Of(m, f.Set).Name()
	}
	f.CPUs = cpusOf(m)
	users, groups := peopleOf(f.Config)
	f.Users, f.Groups = account.Known(m, account.Users, users), account.Known(m, account.Groups, groups)
	for _, u := range account.All(m) {
		f.UIDs[u.Name] = u.Uid
	}
	return f
}

// Close closes the hierarchies.
func (f *Facts) Close() {
	if f.Set != nil {
		f.Set.Close()
	}
}

// Lines returns how many lines there are, with those that are ignored.
func (f *Facts) Lines() int {
	lines := len(f.Config.Rules)
	for _, err := range f.Config.Errors {
		if syntax := (*limitsconf.SyntaxError)(nil); errors.As(err, &syntax) {
			lines++
		}
	}
	return lines
}

// Run returns the findings, in the order of the lines.
func Run(f *Facts) (findings []Finding) {
	binary := f.noText()
	for _, err := range f.Config.Errors {
		if finding, isOne := f.ofError(err); isOne && binary[finding.File] == nil {
			findings = append(findings, finding)
		}
	}
	for _, finding := range binary {
		findings = append(findings, *finding)
	}
	findings = append(findings, f.notRead()...)
	c := &checker{Facts: f, machine: map[string][]Finding{}}
	for i := range f.Config.Rules {
		r := &f.Config.Rules[i]
		c.people(r)
		c.values(r)
		c.more(r)
		c.reach(r)
		c.abilities(r)
	}
	c.rootsSessions()
	c.sessionsAboveUsers()
	findings = append(findings, c.findings...)
	order := map[string]int{}
	for i, name := range f.Config.Files {
		order[name] = i + 1
	}
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(order[a.File], order[b.File]), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return findings
}

// ofError makes a finding of an error of the files'. That a file was not recorded is none
// if others were: who records only the files that there are says so.
func (f *Facts) ofError(err error) (finding Finding, isOne bool) {
	finding.Severity = Error
	var syntax *limitsconf.SyntaxError
	var file *fs.PathError
	switch {
	case errors.As(err, &syntax):
		return ofSyntax(syntax), true
	case !errors.As(err, &file):
		finding.Message, finding.Unread = err.Error(), true
		return finding, true
	case errors.Is(err, machine.ErrNotRecorded) && len(f.Config.Files) > 0:
		return finding, false
	}
	finding.File, finding.Message = file.Path, "ignored: "+file.Err.Error()
	switch {
	case errors.Is(err, limitsconf.ErrNotRoots):
		finding.Fix = "look at what is in it, and then: chown root " + quoted(file.Path)
	case errors.Is(err, limitsconf.ErrWritable):
		finding.Fix = "look at what is in it, and then: chmod go-w " + quoted(file.Path)
	case errors.Is(err, unix.ENOTDIR):
		finding.Fix = "make it a directory, in which files end in .conf: mv " + quoted(file.Path) + " " + quoted(file.Path+".old") + "; mkdir " + quoted(file.Path)
	case errors.Is(err, unix.EISDIR):
		finding.Unread, finding.Fix = true, "make it a file: rmdir "+quoted(file.Path)
	case errors.Is(err, fs.ErrPermission):
		finding.Unread, finding.Fix = true, "ask as root: sudo cgdeleg limits check"
	case errors.Is(err, machine.ErrNotRecorded):
		finding.Unread, finding.Fix = true, "record the file"
	case errors.Is(err, limitsconf.ErrTooMuch):
		finding.Unread, finding.Fix = true, "write fewer lines, for groups in place of users"
	default:
		finding.Unread, finding.Fix = true, "make it a file that can be read"
	}
	return finding, true
}

// checker collects findings.
type checker struct {
	*Facts
	findings []Finding
	reached  [2]reached           // of each scope, what earlier lines match
	machine  map[string][]Finding // of limits that were looked at already, without their place
	totals   limits.Totals        // what there is of memory and processes; nil: not asked yet
}

// line adds a warning about whom a line is for: who is not there today may be tomorrow.
func (c *checker) line(r *limitsconf.Rule, message, fix string) {
	c.findings = append(c.findings, Finding{File: r.File, Line: r.Line, Column: r.Column, Severity: Warning, Message: message, Fix: fix})
}

// limit adds a finding about a line's nth limit.
func (c *checker) limit(r *limitsconf.Rule, n int, severity Severity, message, fix string) {
	at := r.Places[n]
	c.findings = append(c.findings, Finding{File: r.File, Line: at.Line, Column: at.Column, Severity: severity, Message: message, Fix: fix})
}
