package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
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

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/account"
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
	if ask, isKnown := programs[program]; isKnown {
		return ask().version
	}
	return ""
}

func (liveSystem) Failure(program string) string {
	if ask, isKnown := programs[program]; isKnown {
		return ask().failure
	}
	return ""
}

// answer is what a program says that is asked for its version: that, or why not.
type answer struct{ version, failure string }

var programs = func() map[string]func() answer {
	all := map[string]func() answer{}
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
	for _, ask := range programs {
		go ask()
	}
}

// versionOf returns the last word of the first line that a program prints of its
// version: "5.0.2", "crun version 1.8.1", "bubblewrap 0.8.0".
func versionOf(program string, options ...string) func() answer {
	return sync.OnceValue(func() answer {
		path, err := lookPath(program)
		if err != nil {
			return answer{}
		}
		return versionWithin(programPatience, path, options...)
	})
}

// withoutConfiguration has podman read no configuration: with one that it does not
// understand it does not even say its version. Root's podman does not do without a storage.conf
// that names a driver and directories, which it then does not make.
func withoutConfiguration(command *exec.Cmd) (done func()) {
	command.Env = append(os.Environ(), "CONTAINERS_CONF=/dev/null", "CONTAINERS_CONF_OVERRIDE=/dev/null", "CONTAINERS_STORAGE_CONF=/dev/null")
	const storage = "[storage]\ndriver = \"vfs\"\nrunroot = \"/run/cgdeleg-none\"\ngraphroot = \"/run/cgdeleg-none\"\n"
	fd, err := unix.MemfdCreate("storage.conf", unix.MFD_CLOEXEC)
	if err != nil {
		return func() {}
	}
	file := os.NewFile(uintptr(fd), "storage.conf")
	if _, err := file.WriteString(storage); err == nil {
		command.ExtraFiles = []*os.File{file}
		command.Env = append(command.Env, "CONTAINERS_STORAGE_CONF=/proc/self/fd/3")
	}
	return func() { _ = file.Close() }
}

// versionWithin is versionOf for a program's file, which gets no more than patience.
func versionWithin(patience time.Duration, path string, options ...string) answer {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, path, append(options, "--version")...)
	defer withoutConfiguration(command)()
	// Several of them are Go's, and gone before they could use their memory again.
	command.Env = append(command.Env, "GOGC=off")
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return unix.Kill(-command.Process.Pid, unix.SIGKILL) }
	command.WaitDelay = patience / 10
	var complaint firstBytes
	command.Stderr = &complaint
	out, err := command.StdoutPipe()
	if err != nil {
		return answer{failure: err.Error()}
	}
	if err := command.Start(); err != nil {
		return answer{failure: err.Error()}
	}
	if pipe, is := out.(*os.File); is { // what the program started may hold it open
		_ = pipe.SetReadDeadline(time.Now().Add(patience))
	}
	line, _ := bufio.NewReader(io.LimitReader(out, 4096)).ReadString('\n')
	version := lastVersion(line)
	if version != "" || line != "" {
		cancel() // no more is of interest
	}
	err = command.Wait()
	if version != "" {
		return answer{version: version}
	}
	return answer{failure: complaint.reason(line, err)}
}

// firstBytes keeps the beginning of what is written to it.
type firstBytes struct{ data []byte }

func (f *firstBytes) Write(p []byte) (int, error) {
	const most = 1024
	f.data = append(f.data, p[:min(len(p), most-len(f.data))]...)
	return len(p), nil
}

// reason is why a program said no version: its first complaint, what it said instead, or how
// it ended.
func (f *firstBytes) reason(said string, ended error) string {
	first, _, _ := strings.Cut(strings.TrimSpace(string(f.data)), "\n")
	if said = strings.TrimSpace(said); said != "" {
		said = "it said " + strconv.Quote(said[:min(len(said), 100)])
	}
	how := "it said nothing"
	if ended != nil {
		how = ended.Error()
	}
	return cmp.Or(first, said, how)
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
	return lookPathOfRoot(program)
}

// lookPathOfRoot finds a program where only root puts some.
func lookPathOfRoot(program string) (string, error) {
	for _, dir := range []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		if path, err := exec.LookPath(dir + "/" + program); err == nil {
			return path, nil
		}
	}
	return "", exec.ErrNotFound
}

func systemdVersion() answer {
	ctx, cancel := context.WithTimeout(context.Background(), systemPatience)
	defer cancel()
	version, err := systemd.Version(ctx)
	if err != nil {
		return answer{} // there is none, or it is busy
	}
	return answer{version: version}
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

// KnowsVariables is true also of a user whose login is yet to come.
func (liveSystem) KnowsVariables(s check.Subject) bool {
	if s.PID == 0 || s.Proc == "/proc/self" && os.Geteuid() == s.UID {
		return true
	}
	_, err := (machine.Machine{}).ReadFile(s.Proc + "/environ")
	return err == nil
}

func (liveSystem) SudoUser() string {
	if name := cmp.Or(os.Getenv("SUDO_USER"), os.Getenv("DOAS_USER")); name != "root" {
		return name
	}
	return ""
}

// realCaller returns the user ID of who asks as root.
func realCaller() (uid int, isKnown bool) {
	if os.Geteuid() != 0 {
		return 0, false
	}
	for _, uid := range askers() {
		return uid, true
	}
	return 0, false
}

// askers returns the user IDs of who may be asking, but for root's: by sudo(8), by pkexec(1),
// by doas(1), and by the login that the kernel remembers (pam_loginuid(8)).
func askers() (uids []int) {
	const unset = 1<<32 - 1
	loginUID, _ := os.ReadFile("/proc/self/loginuid")
	doasUID := ""
	if u, err := account.ByName(machine.Machine{}, os.Getenv("DOAS_USER")); err == nil { // which tells the name alone
		doasUID = strconv.Itoa(u.Uid)
	}
	for _, text := range []string{os.Getenv("SUDO_UID"), os.Getenv("PKEXEC_UID"), doasUID, strings.TrimSpace(string(loginUID))} {
		if id, err := strconv.ParseUint(text, 10, 32); err == nil && id != 0 && id != unset {
			uids = append(uids, int(id))
		}
	}
	return uids
}

// UserNamespace starts a process in one, which then finds no program to run: the file is no
// directory. Another error than that, and than a refusal, says nothing of namespaces.
func (liveSystem) UserNamespace() (err error, isAsked bool) {
	_, err = syscall.ForkExec("/proc/self/exe/none", []string{"none"}, &syscall.ProcAttr{
		Sys: &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER},
	})
	switch {
	case errors.Is(err, unix.ENOTDIR):
		return nil, true
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES), errors.Is(err, unix.ENOSYS):
		return err, true
	}
	return nil, false
}

// Probe moves a process that does nothing but wait into a new cgroup, and takes
// both away.
func (liveSystem) Probe() error {
	return trial.InSubgroup(delegate.SubgroupRequest{Name: "probe"}, func([]delegate.Cgroup) {})
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

func (recordedSystem) Failure(string) string { return "" }

func (r recordedSystem) Variable(_ check.Subject, name string) string {
	return r.says(variablesFile, name)
}

func (r recordedSystem) KnowsVariables(check.Subject) bool {
	return r.machine.Find(variablesFile) == machine.Found
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

// The line of a recorded machine that says what came of a user namespace.
const (
	namespacesWord = "user-namespaces"
	refusedWord    = "refused"
)

func (r recordedSystem) UserNamespace() (err error, isAsked bool) {
	answer := r.says(versionsFile, namespacesWord)
	if answer == refusedWord {
		return unix.EPERM, true
	}
	return nil, answer != ""
}

func (recordedSystem) Probe() error { return errRecorded }
