package main

import (
	"context"
	"errors"
	"os"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/server"
	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/lock"
)

func newServe(s *settings) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Answer logins and logouts, and remove dead sessions",
		Long: `Stay, and do for the PAM module at logins and logouts what else a process of
each does that has to be started. Nothing depends on it: where it does not run,
or does not answer within 50 ms, the module does without.

It also removes sessions when their last process has ended, and says a line for
each, as cgdeleg cleanup --watch does. Only one can run. It takes the socket
that systemd listens on for it, or makes ` + server.Socket + `. It ends
on SIGTERM and SIGINT; run it as a service.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case s.root != "":
				return &usageError{errors.New("a recorded machine (--root) has no logins to answer")}
			case os.Geteuid() != 0:
				return needsRoot("answering logins")
			}
			return serve(&watchLog{out: cmd.OutOrStdout(), errOut: cmd.ErrOrStderr(), json: asJSON})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "for programs (docs/json.md)")
	return cmd
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
func serve(l *watchLog) error {
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
	err = watch(ctx, delegate.CleanupRequest{Locks: lock.Default}, l)
	cancel()
	return errors.Join(err, <-served)
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
