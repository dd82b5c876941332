package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/confparse"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/ociconf"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/pasted"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// target is what check and fix look at.
type target struct {
	user      string
	pid       int
	container string
	config    string
	bundle    string
	nested    int
	probe     bool
	pasted    string         // check's alone: what --pasted names
	flags     *pflag.FlagSet // of which these come, nil in tests
}

func (t *target) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	t.flags = flags
	flags.StringVarP(&t.user, "user", "u", "", "look at what a login of `NAME` would get")
	flags.IntVar(&t.pid, "pid", 0, "look at the process `PID` and its user, instead of this shell")
	flags.StringVar(&t.container, "container", "", "look also at the configuration of the LXC container `NAME`")
	flags.StringVar(&t.config, "lxc-config", "", "look also at the LXC configuration `FILE`")
	flags.StringVar(&t.bundle, "bundle", "", "look also at the configuration of the OCI bundle in `DIR`")
	flags.IntVar(&t.nested, "nested", 1, "check whether there can be `N` levels of containers, one in the other")
	cmd.MarkFlagsMutuallyExclusive("user", "pid")
	cmd.MarkFlagsMutuallyExclusive("container", "lxc-config")
}

// facts reads what the checks need. The caller closes it.
func (t *target) facts(m machine.Machine) (*check.Facts, error) {
	f := &check.Facts{Machine: m, Nested: t.nested, Probe: t.probe, System: systemOf(m.Plain())}
	if t.user == "" && t.flags != nil && t.flags.Changed("user") {
		return nil, &usageError{errors.New("--user needs a name")}
	}
	if t.nested < 1 {
		return nil, &usageError{fmt.Errorf("--nested %d: want at least 1", t.nested)}
	}
	var err error
	switch {
	case t.user != "":
		if f.Subject, err = check.User(m, t.user); err == nil && !m.IsRecorded() && os.Geteuid() != 0 && os.Getuid() != f.Subject.UID {
			return nil, needsRoot("looking at another user's login")
		}
	case t.pid != 0:
		f.Subject, err = check.Process(m, t.pid)
	default:
		f.Subject, err = caller(m)
	}
	if errors.Is(err, machine.ErrNotRecorded) {
		return nil, noProcess(m)
	}
	if err != nil {
		return nil, err
	}
	var line *confparse.ParseError
	f.Config, err = t.lxcConfig(m, &f.Subject)
	switch {
	case errors.As(err, &line) && (line.Err == nil || errors.Is(line.Err, fs.ErrNotExist)):
		f.ConfigError = line // LXC would say the same
	case errors.Is(err, machine.ErrNotRecorded):
		f.ConfigError = err
	case err != nil:
		return nil, err
	}
	if err := t.readBundle(m, f); err != nil {
		return nil, err
	}
	f.Asked = t.asked(f)
	check.Gather(f)
	return f, nil
}

// asked are the options by which the same is asked again. Who asks as root about a shell of
// the caller's is told how a login of that user is asked about.
func (t *target) asked(f *check.Facts) (options []string) {
	isSubject := false
	for _, name := range []string{"root", "user", "pid"} {
		if t.flags == nil || !t.flags.Changed(name) {
			continue
		}
		isSubject = isSubject || name != "root"
		options = append(options, "--"+name, t.flags.Lookup(name).Value.String())
	}
	if !isSubject && os.Geteuid() == 0 && !f.Machine.IsRecorded() && !f.IsRoot() {
		options = append(options, "--user", f.Subject.Name)
	}
	return options
}

// noProcess says why a recorded machine does not tell which process is meant.
func noProcess(m machine.Machine) error {
	if !m.Exists("/proc/self/mountinfo") {
		return &usageError{errors.New("--root: that directory is no recorded machine, as cgdeleg report makes one")}
	}
	return errors.New("--root: nothing was recorded of that process; a report that was made with --user NAME or --pid PID is read with the same")
}

// readBundle reads a bundle's configuration as the user who would start it. What keeps it
// from being used is a finding; the error is of what was asked.
func (t *target) readBundle(m machine.Machine, f *check.Facts) (err error) {
	if t.bundle == "" {
		if t.flags != nil && t.flags.Changed("bundle") {
			return &usageError{errors.New("--bundle needs a directory")}
		}
		return nil
	}
	if f.BundleDir = t.bundle; !m.IsRecorded() {
		if f.BundleDir, err = filepath.Abs(t.bundle); err != nil {
			return err
		}
	}
	f.BundleDir = path.Clean("/" + f.BundleDir)
	file := path.Join(f.BundleDir, ociconf.FileName)
	data, err := m.As(f.Subject.Credentials()).ReadFile(file)
	if err == nil {
		f.Bundle, err = ociconf.Parse(file, string(data))
	}
	f.BundleError = err
	return nil
}

// caller returns the subject of who asks: with sudo, who typed that.
func caller(m machine.Machine) (check.Subject, error) {
	if uid, isKnown := realCaller(); isKnown && !m.IsRecorded() {
		if s, ok := check.CallerBehind(m, uid); ok {
			return s, nil
		}
	}
	return check.Caller(m)
}

// lxcConfig reads the container's configuration as the user who would start it; nil
// if none was asked about.
func (t *target) lxcConfig(m machine.Machine, subject *check.Subject) (config *lxcconf.Config, err error) {
	users := m.As(subject.Credentials())
	file := t.config
	if file != "" && !m.IsRecorded() {
		if file, err = filepath.Abs(file); err != nil {
			return nil, err
		}
	}
	if t.container != "" {
		if file, err = lxcconf.ContainerPath(users, subject.Home, t.container); err != nil {
			return nil, &usageError{err}
		}
	}
	if file == "" {
		return nil, nil
	}
	if config, err = lxcconf.Read(users, file); err != nil {
		return nil, &configError{err}
	}
	return config, nil
}

// configError is a container's configuration that cannot be read.
type configError struct{ err error }

func (e *configError) Error() string { return e.err.Error() }
func (e *configError) Unwrap() error { return e.err }

func newCheck(s *settings) *cobra.Command {
	var t target
	var list, explain, strict, asJSON, quiet, verbose bool
	var ignore []string
	cmd := &cobra.Command{
		Use:     "check [NAME]...",
		Aliases: []string{"doctor"},
		Short:   "Say what keeps containers from starting or from having cgroups, and the fix",
		Long: `Look at the cgroups of this shell, at the PAM files, at systemd and at what
unprivileged containers need beside, and say of each problem where it was seen
and how it is fixed. Nothing is changed.

Without names, problems are printed alone, and what they come to. Names (or
codes) of checks choose among them; cgdeleg check --list has them all. A note
is no problem; it says what a program needs to use the session.`,
		Example: `  cgdeleg check                      this shell
  cgdeleg check -q                   only what is wrong, a line each
  cgdeleg check --container c1       also that container's configuration
  cgdeleg check --bundle ~/b         also that of runc's or crun's bundle
  sudo cgdeleg check                 the shell in which that is typed
  sudo cgdeleg check --user alice    what a login of alice would get
  cgdeleg check --pasted - <thread   what somebody has pasted into a thread
  cgdeleg check --explain leaf       what a check is about`,
		RunE: func(cmd *cobra.Command, names []string) error {
			checks, ignored, err := chooseChecks(names, ignore)
			if err != nil {
				return orMeantUser(err, s.machine(), cmd, names)
			}
			switch {
			case list:
				return s.paged(cmd, func(out screen) error { return listChecks(out, checks) })
			case explain:
				return s.paged(cmd, func(out screen) error { return printf(out, "%s", explanation(out, checks)) })
			}
			if _, err := screenOn(cmd.OutOrStdout(), s.color); err != nil {
				return err // before the machine is looked at
			}
			if len(names) == 0 && s.root == "" && !t.flags.Changed("pasted") {
				askVersions()
			}
			f, p, done, err := t.look(s.machine(), cmd)
			if err != nil {
				return err
			}
			defer done()
			if p != nil && verbose {
				_ = printf(cmd.ErrOrStderr(), "%s", recognisedText(p))
			}
			findings := check.Run(f, checks, ignored)
			if asJSON {
				err = printFindingsJSON(cmd.OutOrStdout(), f, p, findings)
			} else {
				err = s.paged(cmd, func(out screen) error {
					return printFindings(out, f, p, findings, findingsForm{isQuiet: quiet, isLong: verbose || len(names) > 0})
				})
			}
			if err != nil {
				return err
			}
			return verdict(findings, strict)
		},
	}
	t.addFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&t.pasted, "pasted", "", "read what was pasted: files in `DIR`, or - for standard input")
	flags.BoolVar(&t.probe, "probe", false, "really make a cgroup, move a process in, and remove it")
	flags.BoolVar(&list, "list", false, "list the checks")
	flags.BoolVar(&explain, "explain", false, "say what the named checks are about")
	flags.StringSliceVar(&ignore, "ignore", nil, "leave out the check `NAME`")
	flags.BoolVar(&strict, "strict", false, "warnings count as failures")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	flags.BoolVarP(&quiet, "quiet", "q", false, "print only what is wrong, a line each")
	flags.BoolVarP(&verbose, "verbose", "v", false, "print what is well, too")
	cmd.MarkFlagsMutuallyExclusive("json", "quiet", "verbose", "list", "explain")
	return cmd
}

// findingsForm is how findings are shown: a line for each that is wrong, all that is known of
// each, or the problems and what they come to.
type findingsForm struct{ isQuiet, isLong bool }

// printFindings shows findings to people.
func printFindings(out screen, f *check.Facts, p *pasted.Paste, findings []check.Finding, form findingsForm) (err error) {
	switch {
	case form.isQuiet:
		return printf(out, "%s", troublesText(out, findings))
	case form.isLong:
		err = printf(out, "%s", findingsText(out, findings))
	default:
		err = printf(out, "%s", problemsText(out, f, findings))
	}
	if err == nil && p != nil {
		err = printf(out, "%s", pastedText(out, p))
	}
	return err
}

// look reads what the checks need: of what was pasted, if that is asked about, and then p is
// that. Who calls it calls done.
func (t *target) look(m machine.Machine, cmd *cobra.Command) (f *check.Facts, p *pasted.Paste, done func(), err error) {
	if !t.flags.Changed("pasted") {
		if f, err = t.facts(m); err != nil {
			return nil, nil, nil, err
		}
		return f, nil, f.Close, nil
	}
	if p, err = t.readPasted(cmd.InOrStdin(), cmd.ErrOrStderr()); err != nil {
		return nil, nil, nil, err
	}
	f, remove, err := t.pastedFacts(p)
	if err != nil {
		return nil, nil, nil, err
	}
	return f, p, func() { f.Close(); remove() }, nil
}

func completeChecks(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, c := range check.All() {
		names = append(names, c.Name+"\t"+c.Title)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// chooseChecks returns the named checks, all if none is named, without those to
// be ignored, and those.
func chooseChecks(names, ignore []string) (checks, ignored []*check.Check, err error) {
	if checks, err = checksNamed(names); err != nil {
		return nil, nil, err
	}
	if ignored, err = checksNamed(ignore); err != nil {
		return nil, nil, err
	}
	if len(names) == 0 {
		checks = check.All()
	}
	checks = slices.DeleteFunc(checks, func(c *check.Check) bool {
		return slices.ContainsFunc(ignored, func(i *check.Check) bool { return i.Name == c.Name })
	})
	return checks, ignored, nil
}

func checksNamed(names []string) (checks []*check.Check, err error) {
	for _, name := range names {
		c, err := checkNamed(name)
		if err != nil {
			return nil, err
		}
		checks = append(checks, c)
	}
	return checks, nil
}

// checkNames are the names of all checks.
func checkNames() (names []string) {
	for _, c := range check.All() {
		names = append(names, c.Name)
	}
	return names
}

func checkNamed(name string) (*check.Check, error) {
	if c := check.ByName(name); c != nil {
		return c, nil
	}
	return nil, &usageError{fmt.Errorf("no check is called %q%s; cgdeleg check --list has them all", name, didYouMean(name, checkNames()))}
}

func listChecks(w io.Writer, checks []*check.Check) error {
	t := newTable(w, "CODE", "NAME", "WHAT HAS TO BE TRUE")
	for _, c := range checks {
		t.row(c.Code, c.Name, c.Title)
	}
	return t.flush()
}

func explanation(s screen, checks []*check.Check) markup {
	var out strings.Builder
	for i, c := range checks {
		if i > 0 {
			out.WriteByte('\n')
		}
		_ = printf(&out, "%s %s: %s\n\n%s\n", c.Code, s.styled(c.Name, bold), c.Title, markup(wrapped(c.Explain, 79)))
		if dependence := dependenceOf(c); dependence != "" {
			_ = printf(&out, "\n%s\n", markup(wrapped(dependence, 79)))
		}
	}
	return markup(out.String())
}

// dependenceOf says of which other checks the result depends; "" if of none.
func dependenceOf(c *check.Check) string {
	if len(c.DependsOn) == 0 {
		return ""
	}
	names := strings.Join(c.DependsOn, ", ")
	if c.Sees {
		return "It is skipped if one of these checks failed: " + names + ". If one of them is unknown, this check says ok where it has seen that for itself, and else is unknown."
	}
	return "It is skipped if one of these checks failed, and unknown if one of them is unknown: " + names + "."
}

// wrapped breaks a text into lines.
func wrapped(text string, width int) string {
	var out strings.Builder
	column := 0
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case column+1+len(word) > width:
			out.WriteByte('\n')
			column = 0
		default:
			out.WriteByte(' ')
			column++
		}
		out.WriteString(word)
		column += len(word)
	}
	return out.String()
}

// troublesText is a line for everything that is not well, with the commands that
// fix it: those that can be run as they stand, or else the first.
func troublesText(s screen, findings []check.Finding) markup {
	var out strings.Builder
	for _, f := range findings {
		if !f.Status.IsTrouble() {
			continue
		}
		_ = printf(&out, "%s %s: %s", f.Code, s.styled(f.Name, statusWords[f.Status].how), f.Says)
		if commands := commandsToRun(f.Fix); commands != "" {
			_ = printf(&out, "; fix: %s", commands)
		}
		out.WriteByte('\n')
	}
	return markup(out.String())
}

func commandsToRun(fix *check.Fix) string {
	if fix == nil || len(fix.Commands) == 0 {
		return ""
	}
	var commands []string
	for _, c := range fix.Commands {
		if !c.ByHand {
			commands = append(commands, c.String())
		}
	}
	if len(commands) == 0 {
		return fix.Commands[0].String()
	}
	return strings.Join(commands, " && ")
}

func summary(findings []check.Finding) string {
	count := map[check.Status]int{}
	for _, f := range findings {
		count[f.Status]++
	}
	words := []string{plural(len(findings), "check") + fmt.Sprintf(": %d ok", count[check.OK])}
	for _, status := range []check.Status{check.Failed, check.Warning, check.Unknown, check.Note, check.Skipped} {
		if count[status] > 0 {
			words = append(words, fmt.Sprintf("%d %s", count[status], status))
		}
	}
	return strings.Join(words, ", ")
}

// verdict is what the findings come to, as an exit code.
func verdict(findings []check.Finding, strict bool) error {
	is := func(status check.Status) bool {
		return slices.ContainsFunc(findings, func(f check.Finding) bool { return f.Status == status })
	}
	switch {
	case is(check.Failed), strict && is(check.Warning):
		return &exit{exitFailed}
	case is(check.Unknown):
		return &exit{exitUnknown}
	}
	return nil
}

// exit ends the program with a code, when all has been said.
type exit struct{ code int }

func (e *exit) Error() string { return "" }

// findingJSON is a finding in JSON (docs/json.md).
type findingJSON struct {
	Code      string `json:"code"`
	Name      string `json:"name"`
	Title     string `json:"title"`
	BlockedBy string `json:"blocked_by,omitempty"`
	check.Result
}

func printFindingsJSON(w io.Writer, f *check.Facts, p *pasted.Paste, findings []check.Finding) error {
	all := []findingJSON{}
	for _, finding := range findings {
		all = append(all, findingJSON{finding.Code, finding.Name, finding.Title, finding.BlockedBy, finding.Result})
	}
	var names []string
	isPIDKnown := true
	if p != nil {
		names, isPIDKnown = p.Names(), f.Subject.PID != pasted.NoPID
	}
	return printJSON(w, struct {
		Schema int           `json:"schema"`
		User   *string       `json:"user"`
		UID    *int          `json:"uid"`
		PID    *int          `json:"pid"` // 0: --user
		Pasted []string      `json:"pasted,omitempty"`
		Checks []findingJSON `json:"checks"`
	}{
		schemaVersion, known(f.Subject.Name, f.Subject.UID >= 0 || !f.Subject.Nameless), known(f.Subject.UID, f.Subject.UID >= 0),
		known(f.Subject.PID, isPIDKnown), names, all,
	})
}

// plural is a number with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "s") {
		noun += "e"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
