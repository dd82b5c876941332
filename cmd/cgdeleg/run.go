package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
)

func newRun(s *settings) *cobra.Command {
	var properties []string
	cmd := &cobra.Command{
		Use:   "run [-p FILE=VALUE]... -- COMMAND [ARGUMENT]...",
		Short: "Run a command in a cgroup of its own, with limits",
		Long: `Make the cgroup run-PID below this session's, in every hierarchy that is
delegated to you, set limits there, and run the command in it. No process of
cgdeleg stays: the command takes its place. It needs no root, only a session
that pam_cgdeleg made.

The cgroup goes when nothing runs in it any more, at the latest at logout.`,
		Example: `  cgdeleg run -p memory.max=2G -p pids.max=100 -- make -j8
  cgdeleg run -p memory.limit_in_bytes=2G -- make -j8     (cgroup v1)`,
		Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			if s.root != "" {
				return &usageError{errors.New("nothing can be run on a recorded machine (--root)")}
			}
			set, err := parseProperties(properties)
			if err != nil {
				return err
			}
			return runIn(set, args)
		},
	}
	cmd.Flags().StringArrayVarP(&properties, "property", "p", nil, "write VALUE to the cgroup's `FILE=VALUE`, such as memory.max=2G")
	cmd.Flags().SetInterspersed(false)
	return cmd
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

// runIn replaces this process by the command, in its new cgroup.
func runIn(set []delegate.Setting, args []string) error {
	program, err := exec.LookPath(args[0])
	if err != nil {
		return &failure{fmt.Sprintf("%v; nothing was run", err)}
	}
	_, err = delegate.NewSubgroup(delegate.SubgroupRequest{
		PID: os.Getpid(), Name: fmt.Sprintf("run-%d", os.Getpid()), Settings: set,
	})
	if err != nil {
		return err
	}
	return &os.PathError{Op: "exec", Path: program, Err: syscall.Exec(program, args, os.Environ())}
}
