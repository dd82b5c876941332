package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"unsafe"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/usage"
)

// runInsideCommand is what becomes the command: cgdeleg run-inside DESCRIPTOR PROGRAM WORD...
const runInsideCommand = "run-inside"

// newRunInside waits until its process has been moved into its cgroup, and becomes the
// command there.
func newRunInside() *cobra.Command {
	return &cobra.Command{
		Use: runInsideCommand, Hidden: true, DisableFlagParsing: true, Args: usageArgs(cobra.MinimumNArgs(3)),
		RunE: func(_ *cobra.Command, args []string) error {
			fd, err := strconv.Atoi(args[0])
			if err != nil {
				return &usageError{err}
			}
			unix.CloseOnExec(fd)
			if !waitInside(fd) {
				return &exit{exitFailed} // whoever started this says why
			}
			return notExecuted(args[1], syscall.Exec(args[1], args[2:], os.Environ()))
		},
	}
}

// waitInside says that this process is ready, and waits until it is told to go on; false if
// it is not to. From the first of both on Go must make no thread: the cgroup may allow no more
// than there are. So its scheduler hears nothing of the wait.
func waitInside(fd int) (goOn bool) {
	var buffer [1]byte
	at := uintptr(unsafe.Pointer(&buffer[0]))
	for _, call := range []uintptr{unix.SYS_WRITE, unix.SYS_READ} {
		for {
			n, _, errno := unix.RawSyscall(call, uintptr(fd), at, 1)
			if errno == unix.EINTR {
				continue
			}
			if errno != 0 || n != 1 {
				return false
			}
			break
		}
	}
	return true
}

// waiting is a process that becomes the command when it is told to.
type waiting struct {
	*os.Process
	end *os.File // of a channel to it
}

// isReady waits until it makes no more threads; the error is why it does not become ready.
func (w waiting) isReady() error {
	_, err := w.end.Read(make([]byte, 1))
	return err
}

// goOn has it become the command.
func (w waiting) goOn() error {
	_, err := w.end.Write([]byte{0})
	return errors.Join(err, w.end.Close())
}

// giveUp ends it.
func (w waiting) giveUp() {
	_ = w.end.Close()
	_, _ = w.Wait()
}

// leastDescriptor is above those that a command may expect from its shell: 3 and those
// after it.
const leastDescriptor = 100

// start starts it, with everything that this process was given: also descriptors.
func (r *runRequest) start() (w waiting, err error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return w, os.NewSyscallError("socketpair", err)
	}
	defer unix.Close(ends[0])
	w.end = os.NewFile(uintptr(ends[1]), "channel")
	inherited, err := unix.FcntlInt(uintptr(ends[0]), unix.F_DUPFD, leastDescriptor)
	if err != nil {
		w.end.Close()
		return w, os.NewSyscallError("fcntl", err)
	}
	defer unix.Close(inherited)
	args := append([]string{"cgdeleg", runInsideCommand, strconv.Itoa(inherited), r.program}, r.args...)
	w.Process, err = os.StartProcess("/proc/self/exe", args, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		w.end.Close()
	}
	return w, err
}

// threads is how many it has. The kernel counts them as processes of its cgroup.
func (w waiting) threads() int64 {
	threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", w.Pid))
	return int64(len(threads))
}

// supervise runs the command in its new cgroup, waits for it, says what there is to
// report, and removes the cgroup. Its error has the command's exit status.
func (r *runRequest) supervise(errOut io.Writer) error {
	command, err := r.start()
	if err != nil {
		return err
	}
	stop := passSignals(command.Process)
	defer stop()
	cgroups, err := r.enter(command)
	if err != nil {
		command.giveUp()
		return err
	}
	report := runReport{name: r.args[0], threads: command.threads()}
	report.before, _ = usage.MemoryLimits(machine.Machine{}, cgroups)
	if err := command.goOn(); err != nil {
		command.giveUp()
		_ = delegate.RemoveSubgroup(machine.Machine{}, cgroups)
		return &failure{fmt.Sprintf("process %d ended early: %v; nothing was run", command.Pid, err)}
	}
	state, err := command.Wait()
	if err != nil {
		return err
	}
	report.status = state.Sys().(syscall.WaitStatus)
	if r.report {
		report.look(machine.Machine{}, cgroups)
		report.print(errOut)
	}
	if err := delegate.RemoveSubgroup(machine.Machine{}, cgroups); err != nil {
		complain(errOut, "the cgroup of the command, %s, is left: %s", cgroups[0].Dir, reasonLeft(err))
	}
	return exitOf(report.status)
}

// enter moves a waiting process into its new cgroup.
func (r *runRequest) enter(command waiting) ([]delegate.Cgroup, error) {
	if err := command.isReady(); err != nil {
		return nil, &failure{fmt.Sprintf("process %d did not start: %v; nothing was run", command.Pid, err)}
	}
	return delegate.NewSubgroup(r.subgroup(command.Pid))
}

// exitOf is the exit status of a command as a shell has it; nil for 0.
func exitOf(status syscall.WaitStatus) error {
	switch {
	case status.Signaled():
		return &exit{128 + int(status.Signal())}
	case status.ExitStatus() != 0:
		return &exit{status.ExitStatus()}
	}
	return nil
}

// passSignals passes on to the command the signals that are for it. Those of the keyboard
// the kernel sends to both, if both are in the foreground of their terminal.
func passSignals(to *os.Process) (stop func()) {
	var passed []os.Signal
	for _, s := range []os.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2} {
		if !signal.Ignored(s) {
			passed = append(passed, s)
		}
	}
	came := make(chan os.Signal, 16)
	signal.Notify(came, passed...)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-came:
				isKey := s == unix.SIGINT || s == unix.SIGQUIT
				if !isKey || !isInForeground() {
					_ = to.Signal(s)
				}
			case <-done:
				return
			}
		}
	}()
	return func() { signal.Stop(came); close(done) }
}

// isInForeground tells whether this process gets what is typed on its terminal.
func isInForeground() bool {
	fd, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false // it has none
	}
	defer unix.Close(fd)
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// signalText is a signal's name.
func signalText(s syscall.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(s))
}
