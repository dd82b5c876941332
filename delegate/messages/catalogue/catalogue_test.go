package catalogue_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/apply"
	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/lock"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
	"github.com/cgdeleg/pam_cgdeleg/delegate/messages"
	"github.com/cgdeleg/pam_cgdeleg/delegate/messages/catalogue"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
)

var update = flag.Bool("update", false, "write the manual page's section")

// What package messages makes of each error is the line of the catalogue that is about it.
func TestLinesOfMessages(t *testing.T) {
	memory := limits.Limit{Name: "memory.max"}
	of := func(err error) error { return &apply.LimitError{Of: "user", Err: err} }
	warning := func(err error) string {
		return messages.Opened(&delegate.Opened{Warnings: []error{err}})[0]
	}
	closed := func(err error) string {
		text, _ := messages.Closed("0", err)
		return text
	}
	for _, test := range []struct{ level, line, want string }{
		{catalogue.Warning, warning(&plan.MissingError{Controllers: []string{"nosuch"}}), "no mounted hierarchy has"},
		{catalogue.Warning, warning(&plan.ConfinedError{File: "/x/pids.max", Value: "10"}), "confined by"},
		{catalogue.Warning, warning(&plan.DeniedError{Hierarchy: "memory", Err: unix.EROFS}), "session without <HIERARCHY>: root may"},
		{catalogue.Warning, warning(&manager.ScopeNotDelegatedError{Scope: "/s"}), "systemd does not delegate"},
		{catalogue.Warning, warning(&lock.Error{Path: "/run/cgdeleg/users/alice", Err: unix.ETIMEDOUT}), "lock <FILE>"},
		{catalogue.Warning, warning(&apply.EnableError{Controller: "cpu", Err: unix.EBUSY}), "session without <CONTROLLERS>: there are processes"},
		{catalogue.Warning, warning(&apply.EnableError{Controller: "io", Err: unix.ENOENT}), "session without <CONTROLLERS>: not in Delegate="},
		{catalogue.Warning, warning(&apply.EnableError{Controller: "cpu", Err: unix.EINVAL}), "session without <CONTROLLERS>: <REASON>"},
		{catalogue.Warning, warning(&hierarchy.UnusableError{Hierarchy: "memory", Reason: "mounted, but cannot be used", Err: &cgroupfs.MountError{Point: "/m", Reason: "covered by another mount"}}), "hierarchy <HIERARCHY>: mounted"},
		{catalogue.Debug, messages.Note(&hierarchy.UnusableError{Reason: "line ignored", Err: &hierarchy.ParseError{File: "mountinfo", Line: 3, Reason: "too few fields"}}), "line ignored: mountinfo"},
		{catalogue.Warning, warning(of(&limits.InUseError{Limit: memory, Want: 1, InUse: 2, InForce: 3})), "limit of the <USER OR SESSION>: <LIMIT> is not"},
		{catalogue.Warning, warning(of(&limits.SettingError{Limit: memory, Err: unix.EINVAL})), "limit of the <USER OR SESSION> not set"},
		{catalogue.Debug, messages.Note(of(&limits.NoEquivalentError{Limit: memory, Hierarchy: "memory", Reason: "v1 has none"})), "limit of the <USER OR SESSION> not set"},
		{catalogue.Warning, warning(of(&plan.NoLimitError{Names: []limits.Name{"io.max"}})), "limits <LIMITS> not set"},
		{catalogue.Debug, messages.Note(&plan.AccountError{UID: 7, Least: 8}), "user ID <UID> is below"},
		{catalogue.Debug, messages.Note(&plan.AccountError{UID: 7, Least: 1000, From: "/etc/login.defs"}), "user ID <UID> is a system account's: below UID_MIN <N>"},
		{catalogue.Debug, messages.Note(&plan.AccountError{UID: 7, Least: 1000, From: plan.ShadowsDefault}), "user ID <UID> is a system account's: below UID_MIN, which"},
		{catalogue.Debug, messages.Note(&plan.V1NamesError{Names: []string{"name=systemd"}}), "ignored \"<NAMES>\""},
		{catalogue.Debug, messages.Note(&manager.LeftAloneError{Hierarchy: "pids", Cgroup: "/x"}), "hierarchy <HIERARCHY>: <CGROUP> is systemd's"},
		{catalogue.Debug, messages.Note(&manager.DelegatedElsewhereError{Hierarchy: "unified", Cgroup: "/1"}), "hierarchy <HIERARCHY>: elogind"},
		{catalogue.Debug, messages.Note(&plan.DeniedError{Hierarchy: "memory", Err: unix.EACCES}), "hierarchy <HIERARCHY>: <REASON>"},
		{catalogue.Debug, closed(nil), "session <SESSION> closed and removed"},
		{catalogue.Debug, closed(unix.EBUSY), "session <SESSION> closed, left"},
		{catalogue.Warning, closed(&apply.HierarchyError{Hierarchy: "freezer", Err: unix.EIO}), "session <SESSION> closed, left"},
	} {
		for _, line := range []string{test.line, `user "a\"b": ` + test.line} {
			found := catalogue.Find(test.level, line)
			if found == nil || !strings.HasPrefix(found.Text, test.want) {
				t.Errorf("%s %q: found %+v, want %q", test.level, line, found, test.want)
			}
		}
	}
}

func TestFindNothing(t *testing.T) {
	for _, test := range []struct{ name, level, line string }{
		{"another line", catalogue.Warning, "it rains"},
		{"a line at another level", catalogue.Error, "session 0 closed and removed"},
		{"more before it", catalogue.Debug, "x session 0 closed and removed"},
		{"more after it", catalogue.Debug, "session 0 closed and removed x"},
		{"nothing in the place of a word", catalogue.Debug, "session  closed and removed"},
		{"empty", catalogue.Debug, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if found := catalogue.Find(test.level, test.line); found != nil {
				t.Errorf("found %q", found.Text)
			}
		})
	}
}

const page = "../../../docs/man/pam_cgdeleg.8.scd"

// The manual page's section LOG MESSAGES is made of the catalogue (-update writes it).
func TestManualPage(t *testing.T) {
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(data), "\n# LOG MESSAGES\n")
	_, after, isLast := strings.Cut(rest, "\n# ")
	if !found || !isLast {
		t.Fatal("pam_cgdeleg.8.scd has no section LOG MESSAGES with another one after it")
	}
	want := before + "\n# LOG MESSAGES\n" + section() + "\n# " + after
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(data) {
		t.Errorf("%s is not what the catalogue says: run this test with -update", page)
	}
}

// Each line, and each consequence, was read by somebody who had not written it: READ.md has
// what that reader understood.
func TestEachLineWasRead(t *testing.T) {
	data, err := os.ReadFile("READ.md")
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, e := range catalogue.All() {
		texts = append(texts, e.Text)
	}
	for _, c := range catalogue.Consequences() {
		texts = append(texts, c.Text)
	}
	for _, text := range texts {
		if !strings.Contains(string(data), "\n| `"+text+"` | ") {
			t.Errorf("READ.md has no row for %q: have somebody read it who has not written it, and write down what was understood", text)
		}
	}
}

const introduction = `
In front of each line the system log has the program and its process ID, and the module
writes its name, the service and the type. Most lines are about a user, and then begin with
the user's name, which is left out below:

	sshd[268]: pam_cgdeleg(sshd:session): user "alice": session 0 closed and removed

What a logout does that nobody waits for is logged by *cgdeleg-close*, and where
*cgdeleg-serve*(8) does it, by *cgdeleg-serve*. What stands for something else is
underlined: _REASON_ is what the kernel or another part of the system said.

As _CONSEQUENCE_ a line has one of these:
`

// section is the text of LOG MESSAGES, for scdoc(5).
func section() string {
	var out strings.Builder
	out.WriteString("; Written by delegate/messages/catalogue: go test ./delegate/messages/catalogue -update\n" + introduction)
	for _, c := range catalogue.Consequences() {
		fmt.Fprintf(&out, "\n*%s*\n%s", c.Text, indented(c.Meaning))
	}
	for _, level := range []struct{ name, heading string }{
		{catalogue.Error, "Errors"}, {catalogue.Warning, "Warnings"}, {catalogue.Debug, "With debug alone"},
	} {
		fmt.Fprintf(&out, "\n## %s\n", level.heading)
		for _, e := range catalogue.All() {
			if e.Levels[0] != level.name {
				continue
			}
			text := e.Plain(func(name string) string { return "_" + strings.ReplaceAll(name, " ", "-") + "_" })
			fmt.Fprintf(&out, "\n%s\n%s", noList(text), indented(e.Meaning))
			if e.Action != "" {
				out.WriteString("\n" + indented("To do: "+e.Action))
			}
		}
	}
	return out.String()
}

// indented returns a paragraph of a definition, in lines of at most 88 columns.
func indented(text string) string {
	var out strings.Builder
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > 80 {
			out.WriteString("\t" + noList(line) + "\n")
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return out.String() + "\t" + noList(line) + "\n"
}

// noList keeps a line that begins with a hyphen from being a list's.
func noList(line string) string {
	if strings.HasPrefix(line, "-") {
		return `\` + line
	}
	return line
}
