package privilege

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// asChild is the variable by which this program is asked to be the one that drops.
const asChild = "CGDELEG_TEST_DROPS"

// kept are the capabilities that the child asks for.
var kept = []int{unix.CAP_CHOWN, unix.CAP_SYSLOG}

func TestMain(m *testing.M) {
	if os.Getenv(asChild) == "" {
		os.Exit(m.Run())
	}
	if err := Drop(kept...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	told := child{PID: os.Getpid(), Args: os.Args[1:], Name: lineOf("/proc/self/status", "Name")}
	_, _ = fmt.Fscan(os.NewFile(3, "inherited"), &told.File)
	threads, _ := filepath.Glob("/proc/self/task/*/status")
	for _, thread := range threads {
		status := map[string]string{}
		for _, name := range []string{"CapBnd", "CapPrm", "CapEff", "NoNewPrivs", "Seccomp"} {
			status[name] = lineOf(thread, name)
		}
		told.Threads = append(told.Threads, status)
	}
	told.Unfiltered = unfiltered()
	_ = json.NewEncoder(os.Stdout).Encode(told)
}

// child is what the child tells of itself.
type child struct {
	PID        int
	Args       []string
	Name, File string
	Threads    []map[string]string
	Unfiltered []string // calls that did not fail with EPERM
}

func lineOf(file, name string) string {
	data, _ := os.ReadFile(file)
	for line := range strings.Lines(string(data)) {
		if value, is := strings.CutPrefix(line, name+":\t"); is {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// unfiltered makes the calls that are denied, with arguments with which none of them could do
// anything; and only if there is a filter.
func unfiltered() (all []string) {
	const none = ^uintptr(0)
	if err := unix.Unshare(0); err != unix.EPERM { // which anybody may
		return []string{"all"}
	}
	for _, number := range denied {
		if _, _, errno := unix.Syscall6(uintptr(number), none, none, none, none, none, none); errno != unix.EPERM {
			all = append(all, fmt.Sprintf("%d: %v", number, errno))
		}
	}
	return all
}

// run has this program drop, under another that it is started by.
func run(t *testing.T, under ...string) (told child, pid int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("inherited\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := append(slices.Clone(under), program, "an argument", "")
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env, cmd.ExtraFiles, cmd.Stderr = append(os.Environ(), asChild+"=1"), []*os.File{f}, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := json.Unmarshal(out, &told); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return told, cmd.Process.Pid
}

// keptOf returns what is left of a set of capabilities.
func keptOf(t *testing.T, set string) string {
	t.Helper()
	bits, err := strconv.ParseUint(set, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	var mask uint64
	for _, capability := range kept {
		mask |= 1 << capability
	}
	return fmt.Sprintf("%016x", bits&mask)
}

// Every thread of the process has lost it, which is otherwise as it was.
func TestDrop(t *testing.T) {
	told, pid := run(t)
	if _, isKnown := architectures[runtime.GOARCH]; !isKnown {
		t.Skip("there is no filter for this architecture")
	}
	if told.PID != pid || !slices.Equal(told.Args, []string{"an argument", ""}) || told.File != "inherited" || told.Name != lineOf("/proc/self/status", "Name") {
		t.Errorf("it is another process: %+v", told)
	}
	want := map[string]string{"NoNewPrivs": "1", "Seccomp": "2"}
	for _, name := range []string{"CapBnd", "CapPrm", "CapEff"} {
		want[name] = lineOf("/proc/self/status", name)
		if os.Geteuid() == 0 { // who may not drop it keeps it, and has no use for it
			want[name] = keptOf(t, want[name])
		}
	}
	if len(told.Threads) < 2 {
		t.Errorf("it has %d threads: this shows nothing of others", len(told.Threads))
	}
	for _, thread := range told.Threads {
		if !maps.Equal(thread, want) {
			t.Errorf("a thread has %v, want %v", thread, want)
		}
	}
	if len(told.Unfiltered) > 0 {
		t.Errorf("not denied: %v", told.Unfiltered)
	}
}

// Where securebits say what root has, nothing is dropped of that.
func TestDropUnderSecurebits(t *testing.T) {
	if _, err := exec.LookPath("setpriv"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs root, and setpriv(1)")
	}
	told, _ := run(t, "setpriv", "--securebits", "+noroot", "--inh-caps", "+chown,+kill", "--ambient-caps", "+chown,+kill")
	for _, thread := range told.Threads {
		if thread["CapEff"] != fmt.Sprintf("%016x", 1<<unix.CAP_CHOWN|1<<unix.CAP_KILL) || thread["Seccomp"] != "2" {
			t.Errorf("a thread has %v", thread)
		}
	}
}

// Calls of another kind of the architecture are denied, whatever they are, and what is not
// denied is allowed.
func TestProgram(t *testing.T) {
	const ours, other = 7, 8
	code := program(ours)
	for _, test := range []struct {
		architecture, number uint32
		isDenied             bool
	}{
		{ours, unix.SYS_READ, false},
		{ours, unix.SYS_OPENAT2, false},
		{ours, unix.SYS_CLONE3, false},
		{ours, otherNumbers - 1, false},
		{ours, otherNumbers, true},
		{ours, otherNumbers | unix.SYS_READ, true},
		{ours, denied[0], true},
		{ours, denied[len(denied)-1], true},
		{other, unix.SYS_READ, true},
	} {
		want := uint32(unix.SECCOMP_RET_ALLOW)
		if test.isDenied {
			want = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
		}
		if got := interpret(t, code, test.architecture, test.number); got != want {
			t.Errorf("architecture %d, call %#x: %#x, want %#x", test.architecture, test.number, got, want)
		}
	}
}

// interpret runs a filter as the kernel does, as far as ours go.
func interpret(t *testing.T, code []unix.SockFilter, architecture, number uint32) (verdict uint32) {
	t.Helper()
	var loaded uint32
	for at := 0; at < len(code); at++ {
		c := code[at]
		holds := false
		switch c.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			loaded = map[uint32]uint32{numberAt: number, architectureAt: architecture}[c.K]
			continue
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			holds = loaded == c.K
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			holds = loaded >= c.K
		case unix.BPF_RET | unix.BPF_K:
			return c.K
		default:
			t.Fatalf("instruction %d: %#x", at, c.Code)
		}
		if holds {
			at += int(c.Jt)
		} else {
			at += int(c.Jf)
		}
	}
	t.Fatal("it comes to no end")
	return 0
}
