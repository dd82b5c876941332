package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/systemd"
)

// toolsOf returns what answers the checks' questions on a machine.
func toolsOf(m cgroupfs.Machine) check.Tools {
	if m.IsRecorded() {
		return recordedTools{m}
	}
	return liveTools{}
}

// toolPatience bounds every question to a program or a bus.
const toolPatience = time.Second

// liveTools asks the programs and the buses of this machine.
type liveTools struct{}

func (liveTools) LXCVersion() string { return lxcVersion() }

// lxcVersion asks once: several checks want to know.
var lxcVersion = sync.OnceValue(func() string {
	ctx, cancel := context.WithTimeout(context.Background(), toolPatience)
	defer cancel()
	command := exec.CommandContext(ctx, "lxc-start", "--version")
	command.WaitDelay = toolPatience / 10 // for what it may have started
	out, err := command.Output()
	if err != nil {
		return ""
	}
	version, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return version
})

func (liveTools) SystemdVersion() string {
	ctx, cancel := context.WithTimeout(context.Background(), toolPatience)
	defer cancel()
	version, err := systemd.Version(ctx)
	if err != nil {
		return ""
	}
	return version
}

func (liveTools) IsDelegated(unit string) (delegated, known bool) {
	ctx, cancel := context.WithTimeout(context.Background(), toolPatience)
	defer cancel()
	d, err := systemd.UnitDelegation(ctx, unit)
	return d.Delegated, err == nil
}

func (liveTools) SudoUser() string {
	if name := os.Getenv("SUDO_USER"); name != "root" {
		return name
	}
	return ""
}

// Probe moves a process that does nothing but wait into a new cgroup, and takes
// both away.
func (liveTools) Probe() (err error) {
	child := exec.Command("cat")
	wait, err := child.StdinPipe()
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return err
	}
	paths, err := delegate.Enter(delegate.RunRequest{
		PID: child.Process.Pid, Name: fmt.Sprintf("probe-%d", child.Process.Pid),
	})
	err = errors.Join(err, wait.Close(), child.Wait())
	for _, path := range paths {
		err = errors.Join(err, removeProbe(path))
	}
	return err
}

// removeProbe removes a cgroup and the leaf in it. A process that has ended is
// still in its cgroup for a moment.
func removeProbe(path string) error {
	for end := time.Now().Add(toolPatience); ; time.Sleep(time.Millisecond) {
		if err := os.Remove(path + "/init.scope"); err == nil || errors.Is(err, os.ErrNotExist) {
			err = os.Remove(path)
			if err == nil || errors.Is(err, os.ErrNotExist) {
				return nil
			}
		}
		if err := os.Remove(path); !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
			return err
		}
	}
}

// versionsFile is the file of a recorded machine that says what the tools said:
// lines such as "lxc 5.0.2".
const versionsFile = "/versions"

// recordedTools repeat what the tools of a recorded machine said.
type recordedTools struct{ machine cgroupfs.Machine }

func (r recordedTools) version(of string) string {
	data, err := r.machine.ReadFile(versionsFile)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if name, version, _ := strings.Cut(strings.TrimSpace(line), " "); name == of {
			return version
		}
	}
	return ""
}

func (r recordedTools) LXCVersion() string     { return r.version("lxc") }
func (r recordedTools) SystemdVersion() string { return r.version("systemd") }

func (r recordedTools) IsDelegated(unit string) (delegated, known bool) {
	answer := r.version(unit)
	return answer == "delegated", answer != ""
}

func (recordedTools) SudoUser() string { return "" }

func (recordedTools) Probe() error { return errRecorded }
