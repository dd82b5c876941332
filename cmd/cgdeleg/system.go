package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/trial"
	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/systemd"
)

// systemOf returns what answers the checks' questions on a machine.
func systemOf(m machine.Machine) check.System {
	if m.IsRecorded() {
		return recordedSystem{m}
	}
	return liveSystem{}
}

// How long a bus may take to answer, and a program: podman's start is a long one.
const (
	systemPatience  = time.Second
	programPatience = 10 * time.Second
)

// liveSystem asks the programs and the buses of this machine.
type liveSystem struct{}

// Version asks each program once: several checks want to know.
func (liveSystem) Version(program string) string {
	if version, asked := versions[program]; asked {
		return version()
	}
	return ""
}

var versions = func() map[string]func() string {
	all := map[string]func() string{}
	for _, program := range check.Programs {
		switch program {
		case "systemd":
			all[program] = sync.OnceValue(systemdVersion)
		case "lxc":
			all[program] = versionOf("lxc-start")
		case "crun":
			// or else it makes its directory, and says nothing where it may not
			all[program] = versionOf("crun", "--root=/")
		default:
			all[program] = versionOf(program)
		}
	}
	return all
}()

// askVersions asks all programs, which take the most of a check's time, while other things
// are looked at.
func askVersions() {
	for _, version := range versions {
		go version()
	}
}

// versionOf returns the last word of the first line that a program prints of its
// version: "5.0.2", "crun version 1.8.1", "bubblewrap 0.8.0".
func versionOf(program string, options ...string) func() string {
	return sync.OnceValue(func() string {
		path, err := lookPath(program)
		if err != nil {
			return ""
		}
		return versionWithin(programPatience, path, options...)
	})
}

// withoutConfiguration is the environment in which podman reads no configuration: with one
// that it does not understand it does not even say its version.
func withoutConfiguration() []string {
	return append(os.Environ(), "CONTAINERS_CONF=/dev/null", "CONTAINERS_CONF_OVERRIDE=/dev/null", "CONTAINERS_STORAGE_CONF=/dev/null")
}

// versionWithin is versionOf for a program's file, which gets no more than patience.
func versionWithin(patience time.Duration, path string, options ...string) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, path, append(options, "--version")...)
	command.Env = withoutConfiguration()
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return unix.Kill(-command.Process.Pid, unix.SIGKILL) }
	command.WaitDelay = patience / 10
	out, err := command.StdoutPipe()
	if err != nil || command.Start() != nil {
		return ""
	}
	if pipe, is := out.(*os.File); is { // what the program started may hold it open
		_ = pipe.SetReadDeadline(time.Now().Add(patience))
	}
	line, _ := bufio.NewReader(io.LimitReader(out, 4096)).ReadString('\n')
	cancel() // no more is of interest
	_ = command.Wait()
	return lastVersion(line)
}

// lastVersion returns the last word of a line if it can be a version.
func lastVersion(line string) string {
	words := strings.Fields(line)
	if len(words) == 0 {
		return ""
	}
	version := words[len(words)-1]
	if version[0] < '0' || version[0] > '9' || visible(version) != version {
		return ""
	}
	return version
}

// lookPath finds a program: for root not by PATH, which may be another's.
func lookPath(program string) (string, error) {
	if os.Geteuid() != 0 {
		return exec.LookPath(program)
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		if path, err := exec.LookPath(dir + "/" + program); err == nil {
			return path, nil
		}
	}
	return "", exec.ErrNotFound
}

func systemdVersion() string {
	ctx, cancel := context.WithTimeout(context.Background(), systemPatience)
	defer cancel()
	version, err := systemd.Version(ctx)
	if err != nil {
		return ""
	}
	return version
}

func (liveSystem) IsDelegated(unit string) (delegated, known bool) {
	ctx, cancel := context.WithTimeout(context.Background(), systemPatience)
	defer cancel()
	d, err := systemd.UnitDelegation(ctx, unit)
	return d.Delegated, err == nil
}

// SearchPath is the caller's, who is the subject unless root asks.
func (liveSystem) SearchPath() []string {
	if os.Geteuid() == 0 {
		return nil
	}
	dirs := filepath.SplitList(os.Getenv("PATH"))
	return slices.DeleteFunc(dirs, func(dir string) bool { return !filepath.IsAbs(dir) })
}

// Variable is one of the caller's own environment, if the caller is the subject, or else of
// the environment with which the subject's process was started: what a shell has exported
// since nobody sees from outside.
func (liveSystem) Variable(s check.Subject, name string) string {
	switch {
	case s.PID == 0:
		return ""
	case s.Proc == "/proc/self" && os.Geteuid() == s.UID:
		return os.Getenv(name)
	}
	data, _ := (machine.Machine{}).ReadFile(s.Proc + "/environ")
	for entry := range strings.SplitSeq(string(data), "\x00") {
		if value, isIt := strings.CutPrefix(entry, name+"="); isIt {
			return value
		}
	}
	return ""
}

func (liveSystem) SudoUser() string {
	if name := os.Getenv("SUDO_USER"); name != "root" {
		return name
	}
	return ""
}

// realCaller returns the user ID of who asks as root, by sudo(8) or by the login that the
// kernel remembers (pam_loginuid(8)).
func realCaller() (uid int, isKnown bool) {
	if os.Geteuid() != 0 {
		return 0, false
	}
	const unset = 1<<32 - 1
	loginUID, _ := os.ReadFile("/proc/self/loginuid")
	for _, text := range []string{os.Getenv("SUDO_UID"), strings.TrimSpace(string(loginUID))} {
		if id, err := strconv.ParseUint(text, 10, 32); err == nil && id != 0 && id != unset {
			return int(id), true
		}
	}
	return 0, false
}

// Probe moves a process that does nothing but wait into a new cgroup, and takes
// both away.
func (liveSystem) Probe() error {
	return trial.InSubgroup(delegate.SubgroupRequest{Name: "probe"}, func([]string) {})
}

// versionsFile is the file of a recorded machine that says what the system said:
// lines such as "lxc 5.0.2".
const versionsFile = "/versions"

// variablesFile has the variables of the user's environment in the same way.
const variablesFile = "/variables"

// recordedSystem repeats what the system of a recorded machine said.
type recordedSystem struct{ machine machine.Machine }

func (r recordedSystem) SearchPath() []string { return nil }

func (r recordedSystem) Version(program string) string { return r.says(versionsFile, program) }

func (r recordedSystem) Variable(_ check.Subject, name string) string {
	return r.says(variablesFile, name)
}

func (r recordedSystem) says(file, of string) string {
	data, err := r.machine.ReadFile(file)
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

func (r recordedSystem) IsDelegated(unit string) (delegated, known bool) {
	answer := r.says(versionsFile, unit)
	return answer == "delegated", answer != ""
}

func (recordedSystem) SudoUser() string { return "" }

func (recordedSystem) Probe() error { return errRecorded }
