// Package fixes applies every fix that cgdeleg check prints, by the very commands that it
// prints: something is broken in a machine of the test's own, a user logs in there, the
// check says what it is, its fix is applied, and then nothing may be wrong any more.
//
// The table of kinds has a row for each place in cmd/cgdeleg/check that makes a fix. Those
// that cannot be applied here are in it too, with the reason, and are counted at the end.
package fixes

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

func TestMain(m *testing.M) { os.Exit(testbed.Main(m)) }

// kind is a kind of fix: one or more places of the source, and how it is applied.
type kind struct {
	name string
	// sites are the places, each a FUNCTION: and a part of the source of what is given to
	// the fix there.
	sites []string
	check string // the check that finds it
	text  string // is a part of the fix's text

	// What is wrong: root's script before the login; the way to the shell; root's script
	// after the login, which has the shell's pid; what is typed into the shell.
	before, way, after, typed string
	init                      string // a line that the machine's first process is given before the login
	args                      string // of cgdeleg check; with --user or --pid root asks, by sudo
	argsAfter                 string // of the check after the fix, where that is to be another

	// What a person does: with the files that an editor is called with, as root what no
	// command does, and in the shell.
	edit, person, types string
	then                then
	nth                 int      // which of the fix's ways is gone; 0 is the first
	stays               []string // checks whose trouble is of what is broken, and no matter of the fix
	holds               string   // what is to hold beside, by root's script
	works               string   // what is to work in the shell
	says                string   // what a command says that only looks, and ends with 1: the trouble is still there

	// elsewhere names the test that applies it, cannot is why none does.
	elsewhere, cannot string
}

// then is where the fix is to have helped.
type then int

const (
	here     then = iota // in the shell in which the check was run
	newLogin             // in a new one: its text says to log in again
	both                 // in both: it fixes the shell, and every later login
	afterEnd             // in a new one, when the session was removed
)

// found is what cgdeleg check found.
type found struct {
	Name, Status, Message string
	BlockedBy             string `json:"blocked_by"`
	Fix                   *struct {
		Text     string
		Commands []struct {
			Args         []string
			Root, Manual bool
		}
	}
}

func (f found) isTrouble() bool {
	return f.Status == "failed" || f.Status == "warning" || f.Status == "unknown"
}

func (f found) String() string { return fmt.Sprintf("%s %s: %s", f.Name, f.Status, f.Message) }

// count is what became of the kinds.
type count struct{ applied, elsewhere, cannot, without int }

func TestFixes(t *testing.T) {
	testbed.Need(t, "unshare", "nsenter", "setpriv", "ip", "ssh", "pgrep", "lxc-usernsexec", "newuidmap")
	var c count
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			switch {
			case k.elsewhere != "":
				c.elsewhere++
				t.Skip("applied in " + k.elsewhere)
			case k.cannot != "":
				c.cannot++
				t.Skip("cannot be tried: " + k.cannot)
			}
			c.without++ // unless it goes on
			testbed.Need(t, k.programs()...)
			c.without--
			k.try(t)
			c.applied++
		})
	}
	fmt.Printf("%d fixes applied, %d elsewhere, %d cannot be tried, %d without a program that they need\n", c.applied, c.elsewhere, c.cannot, c.without)
}

// programs are what the kind needs beside what all do.
func (k kind) programs() []string {
	switch {
	case strings.Contains(k.args, "--bundle"):
		return []string{"runc", "jq", "busybox"}
	case strings.HasPrefix(k.check, "podman-"):
		return []string{"podman", "runc"}
	}
	return nil
}

// try breaks what the kind is about, applies its fix and looks again.
func (k kind) try(t *testing.T) {
	u := testbed.AddUser(t, "cgfixes", 26001)
	m := newMachine(t, u)
	m.must(k.before)
	if _, err := fmt.Fprintln(m.lines, k.init); err != nil {
		t.Fatal(err)
	}
	way := k.way
	if way == "" {
		way = bySu
	}
	s := m.login(way)
	m.must(k.after, s.variables()...)
	if k.typed != "" {
		s.must(k.typed)
	}
	before := s.check(k.args)
	finding := k.finding(t, before)
	m.editsBy(k.edit)
	s.apply(k)
	m.must(k.person, s.variables()...)
	if k.types != "" {
		s.must(k.types)
	}
	if k.works != "" {
		s.must(k.works)
	}
	if k.then == here || k.then == both {
		k.wantGone(t, finding, s.check(cmp.Or(k.argsAfter, k.args)))
	}
	if k.then != here {
		s.logout()
		if k.then == afterEnd {
			testbed.Eventually(t, "the session is removed", func() bool { return len(testbed.Tree(u.Name)) == 0 })
		}
		k.wantGone(t, finding, m.login(way).check(cmp.Or(k.argsAfter, k.args)))
	}
	m.must(k.holds, s.variables()...)
}

// finding returns what the kind is about, of what was found.
func (k kind) finding(t *testing.T, all []found) found {
	t.Helper()
	i := slices.IndexFunc(all, func(f found) bool { return f.Name == k.check })
	if i < 0 || !all[i].isTrouble() || all[i].BlockedBy != "" || all[i].Fix == nil || !strings.Contains(all[i].Fix.Text, k.text) {
		t.Fatalf("want a finding of %s whose fix says %q, got\n%s", k.check, k.text, troubles(all))
	}
	t.Logf("%s\nfix: %s %v", all[i], all[i].Fix.Text, all[i].Fix.Commands)
	return all[i]
}

// wantGone fails the test unless the finding is gone, and nothing else has come.
func (k kind) wantGone(t *testing.T, was found, after []found) {
	t.Helper()
	for _, f := range after {
		if f.isTrouble() && !slices.Contains(k.stays, f.Name) {
			t.Errorf("after the fix of %s\n%s\nfix: %+v", was, f, f.Fix)
		}
		if f.Name == was.Name && f.BlockedBy != "" {
			t.Errorf("%s is blocked by %s", f.Name, f.BlockedBy)
		}
	}
}

func troubles(all []found) string {
	var lines []string
	for _, f := range all {
		if f.isTrouble() {
			line := f.String()
			if f.Fix != nil {
				line += fmt.Sprintf("\n    fix: %s %v", f.Fix.Text, f.Fix.Commands)
			}
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// variables are what root's scripts know of the shell.
func (s *shell) variables() []string { return []string{fmt.Sprintf("pid=%d", s.pid)} }

// ask runs cgdeleg as who is to run it with these arguments: root, or the user in the shell.
func (s *shell) ask(command string) (string, error) {
	if strings.Contains(command, "--user") || strings.Contains(command, "--pid") {
		return s.m.run(command, append(s.variables(), "SUDO_USER="+s.m.user.Name)...)
	}
	if strings.HasPrefix(command, "cgdeleg check") {
		command += " --probe" // whether a cgroup can really be made
	}
	return s.run(command)
}

// check runs cgdeleg check.
func (s *shell) check(args string) []found {
	s.m.t.Helper()
	var result struct{ Checks []found }
	out, _ := s.ask("cgdeleg check --json " + args)
	if err := json.Unmarshal([]byte(out), &result); err != nil {
		s.m.t.Fatalf("%v in\n%s", err, out)
	}
	return result.Checks
}

// apply runs the lines of one way that cgdeleg fix prints: those with sudo as root, others as
// the user.
func (s *shell) apply(k kind) {
	s.m.t.Helper()
	out, err := s.ask("cgdeleg fix " + k.check + " " + strings.ReplaceAll(k.args, "--probe", ""))
	if err != nil {
		s.m.t.Fatalf("cgdeleg fix: %v\n%s", err, out)
	}
	ways := strings.Split(out, "\n# or:\n")
	if k.nth >= len(ways) {
		s.m.t.Fatalf("want another way, got\n%s", out)
	}
	for line := range strings.Lines(ways[k.nth]) {
		line = strings.TrimSuffix(line, "\n")
		var said string
		switch {
		case strings.HasPrefix(line, "#"):
			continue
		case strings.HasPrefix(line, "sudo "):
			said, err = s.m.run(line, s.variables()...)
		default:
			said, err = s.run(line)
		}
		if looks := k.says != ""; (err != nil) != looks || !strings.Contains(said, k.says) {
			s.m.t.Errorf("%s: %v, want %q\n%s", line, err, k.says, said)
		}
	}
}

// editsBy has an editor on the machine by which a person does this with the files.
func (m *machine) editsBy(script string) {
	m.t.Helper()
	if script == "" {
		script = "echo nobody would know what to edit in $*; exit 1"
	}
	program := "#!/bin/sh -e\n" + words + script + "\n"
	for _, name := range []string{"editor", "vi"} {
		if err := os.WriteFile(m.inside("bin/"+name), []byte(program), 0o755); err != nil {
			m.t.Fatal(err)
		}
	}
	m.must("sed -i '1a export " + strings.Join(quoted(m.environment()), " ") + "' $dir/bin/editor $dir/bin/vi")
}

func quoted(words []string) (all []string) {
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		all = append(all, fmt.Sprintf(`%s="%s"`, name, value))
	}
	return all
}
