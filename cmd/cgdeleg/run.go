package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

func newRun(s *settings) *cobra.Command {
	var words limitWords
	var properties []string
	var r runRequest
	cmd := &cobra.Command{
		Use:   "run [OPTION]... -- COMMAND [ARGUMENT]...",
		Short: "Run a command in a cgroup of its own, with limits",
		Long: `Make the cgroup run-PID below this session's, in every hierarchy that is
delegated to you, set limits there, and run the command in it. It needs no root,
and a limit is called the same on cgroup v1 and v2. The exit status is the
command's; 128 and the number of the signal if one killed it.

Outside of a session it is the nearest cgroup that you may write, or else, where
systemd manages cgroup v2, a scope that your user manager makes (systemd-run).

In a session no process of cgdeleg stays: the command takes its place, and the
cgroup is removed at logout. With --report, and outside of a session, cgdeleg
waits for the command, and removes the cgroup when nothing is left in it.`,
		Example: `  cgdeleg run --memory 2G --cpus 1.5 --tasks 100 -- make -j8
  cgdeleg run --report --memory 20% -- ./simulation
  cgdeleg run --io /home,rbps=10M,wbps=5M -- rsync -a /srv/ ~/copy/`,
		Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if s.root != "" {
				return &usageError{errors.New("nothing can be run on a recorded machine (--root)")}
			}
			if r.limits, err = words.parse(cmd.Flags().Changed); err != nil {
				return err
			}
			if r.settings, err = parseProperties(properties); err != nil {
				return err
			}
			if r.program, err = exec.LookPath(args[0]); err != nil {
				return &failure{fmt.Sprintf("%v; nothing was run", err)}
			}
			r.args, r.given = args, givenFlags(cmd)
			return r.run(cmd.ErrOrStderr())
		},
	}
	words.add(cmd)
	cmd.Flags().StringArrayVarP(&properties, "property", "p", nil, "write VALUE to the cgroup's `FILE=VALUE`, such as memory.high=1G")
	cmd.Flags().BoolVar(&r.report, "report", false, "say at the end what the command used, and what ended it")
	cmd.Flags().BoolVar(&r.inScope, inScopeFlag, false, "systemd has made a scope for this process")
	_ = cmd.Flags().MarkHidden(inScopeFlag)
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// runRequest is a command that is to be run in a cgroup of its own.
type runRequest struct {
	limits   []limits.Limit
	settings []delegate.Setting
	report   bool
	inScope  bool // systemd has just made a scope for this process alone

	program string // the file of the command
	args    []string
	given   []string // the options, as they can be given to another cgdeleg
}

func parseProperties(words []string) ([]delegate.Setting, error) {
	var set []delegate.Setting
	for _, word := range words {
		file, value, ok := strings.Cut(word, "=")
		if !ok || file == "" || strings.Contains(file, "/") || strings.HasPrefix(file, "cgroup.") {
			return nil, &usageError{fmt.Errorf("-p %q: want FILE=VALUE with a controller's file, such as memory.max=2G", word)}
		}
		set = append(set, delegate.Setting{File: file, Value: value})
	}
	return set, nil
}

// subgroup is the request for the cgroup of a process.
func (r *runRequest) subgroup(pid int) delegate.SubgroupRequest {
	return delegate.SubgroupRequest{PID: pid, Name: fmt.Sprintf("run-%d", pid), Limits: r.limits, Settings: r.settings}
}

// run finds out where the cgroup can be made, and runs the command there.
func (r *runRequest) run(errOut io.Writer) error {
	if r.inScope {
		if err := delegate.EnterLeaf(machine.Machine{}); err != nil {
			return err
		}
	}
	homes, err := delegate.Homes(machine.Machine{})
	var none *delegate.NoWritableCgroupError
	switch {
	case errors.As(err, &none), err == nil && !hasControllers(homes, r.limits):
		manager, unusable := findUserManager()
		if unusable == nil && !r.inScope {
			return r.inNewScope(manager)
		}
		if none != nil {
			return &noCgroupError{none, unusable, r.limits}
		}
	case err != nil:
		return err
	}
	isRemovedLater := r.inScope || !slices.ContainsFunc(homes, func(h delegate.Home) bool { return !h.InSession })
	if r.report || !isRemovedLater {
		return r.supervise(errOut)
	}
	return r.become()
}

// hasControllers tells whether cgroups in those homes can have the limits.
func hasControllers(homes []delegate.Home, list []limits.Limit) bool {
	return !slices.ContainsFunc(list, func(l limits.Limit) bool {
		return !slices.ContainsFunc(homes, func(h delegate.Home) bool {
			return slices.Contains(h.Controllers, limits.ControllerOf(l.Name, h.IsUnified()))
		})
	})
}

// become replaces this process by the command, in its new cgroup.
func (r *runRequest) become() error {
	if _, err := delegate.NewSubgroup(r.subgroup(os.Getpid())); err != nil {
		return err
	}
	return notExecuted(r.program, syscall.Exec(r.program, r.args, os.Environ()))
}

// notExecuted says why a program that was found did not start.
func notExecuted(program string, err error) error {
	return &failure{fmt.Sprintf("%v; nothing was run", &os.PathError{Op: "exec", Path: program, Err: err})}
}
