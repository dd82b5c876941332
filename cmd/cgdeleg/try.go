package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/account"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/pamconf"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/trial"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// tryTimeout bounds a login that is tried: modules may ask a directory that is down.
const tryTimeout = time.Minute

// tryOptions are what is to be tried.
type tryOptions struct {
	user, service, pamDir string
	program               string // trylogin; "": where it is installed
	onlyOurs              bool
	why                   func() string // what check says of a login that got nothing; nil: nobody asks
}

func newTry(s *settings) *cobra.Command {
	var o tryOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "try USER",
		Short: "Really open a session for a user, and say what the user can do in it",
		Long: `Open a session by libpam, as the program of a PAM service does at a login of
USER, and say of each hierarchy where the login landed, who owns the cgroup,
and whether USER can make one below it, enter it and limit it; say what the
modules wrote to the system log, and what PAM returned. Then close the session,
and say what is left.

All session modules of the service run, which may mount or unlock things; with
--only-ours the lines of pam_cgdeleg.so alone. Where systemd runs, it starts the
login, as it starts sshd, because in this shell's own session no other would be
opened.
`,
		Example: `  sudo cgdeleg try alice
  sudo cgdeleg try alice --service sudo
  sudo cgdeleg try alice --only-ours --json`,
		Args: oneUser,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.user = args[0]
			if s.root != "" {
				return &usageError{errRecorded}
			}
			if os.Geteuid() != 0 {
				return needsRoot("opening a session")
			}
			u, err := account.ByName(machine.Machine{}, o.user)
			if err != nil {
				return err
			}
			out, err := screenOn(cmd.OutOrStdout(), s.color)
			if err != nil {
				return err
			}
			if o.service == "" || strings.Contains(o.service, "/") {
				return &usageError{fmt.Errorf("--service %q: want the name of a PAM service, as its file in /etc/pam.d has it", o.service)}
			}
			if o.pamDir == "" && cmd.Flags().Changed("pam-dir") {
				return &usageError{errors.New("--pam-dir needs a directory")}
			}
			outcome, err := o.login(cmd.ErrOrStderr())
			if errors.Is(err, trial.ErrTimeout) {
				outcome.Errors = append(outcome.Errors, fmt.Sprintf("%v: %v", err, tryTimeout))
			} else if err != nil {
				return err
			}
			if o.pamDir == "" {
				o.why = func() string { return whyNone(u.Name, o.service) }
			}
			result := judge(o, u.Uid, outcome)
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), tryJSON(o, outcome, result))
			} else {
				err = printf(cmd.OutOrStdout(), "%s", tryText(out, outcome, result))
			}
			if err == nil && result.code != 0 {
				err = &exit{result.code}
			}
			return err
		},
	}
	flags := cmd.Flags()
	var misplaced string
	flags.StringVarP(&misplaced, "user", "u", "", "")
	_ = flags.MarkHidden("user") // what the other commands have; oneUser says what is meant
	flags.StringVar(&o.service, "service", "sshd", "log in as by the PAM service `NAME`")
	flags.BoolVar(&o.onlyOurs, "only-ours", false, "run only the service's lines of pam_cgdeleg.so")
	flags.StringVar(&o.pamDir, "pam-dir", "", "take the service's file from `DIR` instead of /etc/pam.d")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	flags.StringVar(&o.program, "trylogin", "", "run `FILE` in place of the installed program trylogin")
	_ = flags.MarkHidden("trylogin") // for make demo and tests
	cmd.MarkFlagsMutuallyExclusive("only-ours", "pam-dir")
	return cmd
}

// newTryInside is what cgdeleg try runs in the session, as the user.
func newTryInside() *cobra.Command {
	return &cobra.Command{
		Use: trial.InsideCommand, Hidden: true, Args: usageArgs(cobra.ArbitraryArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			return trial.Inside(os.Stdin, cmd.OutOrStdout(), machine.Machine{}, args)
		},
	}
}

// login tries the login, and says before on errOut what will run.
func (o *tryOptions) login(errOut io.Writer) (*trial.Outcome, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	program := o.program
	if program == "" {
		if program, err = trial.FindProgram(self); err != nil {
			return nil, &failure{fmt.Sprintf("%v: it comes with cgdeleg; install that again; nothing was tried", err)}
		}
	}
	dir, tidy, err := o.confDir()
	if err != nil {
		return nil, err
	}
	defer tidy()
	request := trial.Request{Program: program, Service: o.service, User: o.user, ConfDir: dir, Self: self, Timeout: tryTimeout}
	if _, err := os.Stat("/run/systemd/system"); err == nil { // sd_booted(3)
		_, err := exec.LookPath("systemd-run")
		request.Outside = err == nil
	}
	if dir == "" {
		complain(errOut, "all session modules of %s run now, as at a login of %s; they may mount or unlock things. --only-ours runs pam_cgdeleg.so alone", o.service, o.user)
	}
	// the session is closed, whatever comes
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	return trial.Login(ctx, request)
}

// confDir returns the directory with the service's PAM file, "" for the machine's own;
// with --only-ours it is a temporary one, which tidy removes.
func (o *tryOptions) confDir() (dir string, tidy func(), err error) {
	tidy = func() {}
	if o.pamDir != "" {
		dir, err = filepath.Abs(o.pamDir)
		return dir, tidy, err
	}
	if !pamconf.Exists(machine.Machine{}, o.service) {
		return "", tidy, &usageError{fmt.Errorf("no PAM service is called %q: no file of that name is in %s", o.service, strings.Join(pamconf.Dirs[:], ", "))}
	}
	if !o.onlyOurs {
		return "", tidy, nil
	}
	lines, err := pamconf.Session(machine.Machine{}, o.service)
	if err != nil {
		return "", tidy, &failure{fmt.Sprintf("%v; nothing was tried", err)}
	}
	var ours strings.Builder
	for _, l := range lines {
		if l.Is("pam_cgdeleg.so") {
			l.Optional = false                                                         // a module that is missing is to be logged
			l.Control, l.Args = "optional", append(slices.Clone(l.Args), "close=wait") // so that its log is heard
			ours.WriteString(l.String() + "\n")
		}
	}
	if ours.Len() == 0 {
		return "", tidy, &failure{fmt.Sprintf("the PAM service %s has no line of pam_cgdeleg.so, so its logins get no cgroups; cgdeleg check --user %s says which line to add; nothing was tried", o.service, o.user)}
	}
	if dir, err = os.MkdirTemp("", "cgdeleg-try"); err != nil {
		return "", tidy, err
	}
	tidy = func() { _ = os.RemoveAll(dir) }
	// libpam wants the other as well, and logs an error without
	err = errors.Join(os.WriteFile(filepath.Join(dir, o.service), []byte(ours.String()), 0o644), os.WriteFile(filepath.Join(dir, "other"), nil, 0o644))
	if err != nil {
		tidy()
		return "", func() {}, err
	}
	return dir, tidy, nil
}

// oneUser wants a user's name, also of who knows --user of the other commands.
func oneUser(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return &usageError{errors.New("whose login is to be tried? cgdeleg try USER, such as: sudo cgdeleg try alice")}
	case len(args) > 1:
		return &usageError{fmt.Errorf("one user's login is tried at a time: %s %s", cmd.CommandPath(), printable(args[0]))}
	}
	return nil
}

// whyNone says what check finds wrong of a user's logins by a service: the first thing that
// keeps them from having cgroups, and its fix; "" if it finds nothing.
func whyNone(name, service string) string {
	f := &check.Facts{Nested: 1, System: liveSystem{}, Service: service}
	var err error
	if f.Subject, err = check.User(f.Machine, name); err != nil {
		return ""
	}
	check.Gather(f)
	defer f.Close()
	var checks []*check.Check
	for _, c := range []string{"mode", "mounts", "container", "hierarchies", "base", "module", "pam-line", "pam-order", "pam-reached", "delegation"} {
		checks = append(checks, check.ByName(c))
	}
	for _, found := range check.Run(f, checks, nil) {
		if found.Status == check.Failed && found.BlockedBy == "" {
			return fmt.Sprintf("The check %s says why: %s. cgdeleg check --user %s says more.", found.Name, found.Says, printable(name))
		}
	}
	return ""
}
