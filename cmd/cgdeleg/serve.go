package main

import (
	"context"
	"errors"
	"os"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/privilege"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/server"
	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limitsconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/lock"
)

func newServe(s *settings) *cobra.Command {
	var asJSON bool
	var oomTells string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Answer logins and logouts, and remove dead sessions",
		Long: `Stay, and make and remove the sessions of logins and logouts, for which the PAM
module otherwise starts a process each time. Nothing depends on it: where it
does not run, or does not answer within 50 ms, the module starts that process.

It also removes sessions when their last process has ended, and says a line for
each, as cgdeleg cleanup --watch does. When the kernel kills a user's process
for want of memory, or refuses a new one because of pids.max, it says so in the
log and on the user's terminals, with the limit, and the next login says it
once; see --oom. When the files of limits change, it gives live sessions theirs,
as cgdeleg limits apply does.

Only one can run. It takes the socket that systemd listens on for it, or makes
` + server.Socket + `. It ends on SIGTERM and SIGINT; run it as a service.`,
		Example: `  sudo systemctl enable --now cgdeleg-serve.socket
  sudo cgdeleg serve --oom log`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkTell(oomTells); err != nil {
				return err
			}
			switch {
			case s.root != "":
				return &usageError{errors.New("a recorded machine (--root) has no logins to answer")}
			case os.Geteuid() != 0:
				return needsRoot("answering logins")
			}
			dropPrivileges(cmd, neededToServe)
			return serve(&watchLog{out: cmd.OutOrStdout(), errOut: cmd.ErrOrStderr(), json: asJSON}, oomTells)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "for programs (docs/json.md)")
	cmd.Flags().StringVar(&oomTells, "oom", tellAll, "whom to tell of killed processes and refused ones: `WHOM` is tell (the log and the users), log or quiet (nobody)")
	return cmd
}

// neededToServe are the capabilities of root that are needed; docs/security.md says what each
// is for.
var neededToServe = []int{
	unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_SYS_ADMIN, unix.CAP_SYS_NICE, unix.CAP_SYS_PTRACE, unix.CAP_SYSLOG,
}

// dropPrivileges leaves a command that stays these capabilities, no_new_privs and a filter of
// system calls. One that cannot be executed again for that works with what it has.
func dropPrivileges(cmd *cobra.Command, needed []int) {
	if err := privilege.Drop(needed...); err != nil {
		complain(cmd.ErrOrStderr(), "privileges that are not needed are kept: %v", err)
	}
}

// newServer returns a server on systemd's socket, or on one of its own.
func newServer() (*server.Server, error) {
	s, err := server.Inherit()
	if s != nil || err != nil {
		return s, err
	}
	return server.Listen(server.Socket)
}

// serve answers and watches until a signal comes, or until one of these two cannot go on.
func serve(l *watchLog, oomTells string) error {
	unix.Umask(0o022) // as a worker has it
	s, err := newServer()
	if err != nil {
		return err
	}
	s.Complain = l.once()
	signalled, done := untilSignal()
	defer done()
	ctx, cancel := context.WithCancel(signalled)
	defer cancel()
	served := make(chan error, 1)
	go func() {
		served <- s.Serve(ctx)
		cancel()
	}()
	untold := make(chan error, 1)
	go func() {
		err := error(nil)
		if oomTells != tellQuiet {
			err = newTeller(l, oomTells == tellAll).tell(ctx)
		}
		if err != nil { // as where the watch cannot say what it removed
			untold <- err
			cancel()
		}
	}()
	following := make(chan struct{})
	go func() {
		defer close(following)
		if err := followLimits(ctx, l); err != nil { // logins have their limits all the same
			complain(l.errOut, "changes of %s are not seen: %v", limitsconf.File, err)
		}
	}()
	err = watch(ctx, delegate.CleanupRequest{Locks: lock.Default}, l)
	cancel()
	err = errors.Join(err, <-served)
	<-following
	select {
	case broken := <-untold:
		err = errors.Join(err, broken)
	default: // it may rest, and nobody waits for it
	}
	return err
}

// once returns a function that complains of what is not what it complained of last.
func (l *watchLog) once() func(error) {
	var mutex sync.Mutex
	last := ""
	return func(err error) {
		mutex.Lock()
		defer mutex.Unlock()
		if words := visible(err.Error()); words != last {
			last = words
			complain(l.errOut, "%s", words)
		}
	}
}
