package machine

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// statLine is a /proc/PID/stat of a process that is called so, with some fields
// changed, which are counted as proc_pid_stat(5) does, and cut off after the last.
func statLine(name string, last int, changed map[int]string) string {
	fields := []string{"10", "(" + name + ")", "S"}
	for n := 4; n <= last; n++ {
		fields = append(fields, strconv.Itoa(1000+n))
	}
	for n, value := range map[int]string{4: "7", 5: "8", 7: "34816", 22: "4242", 41: "2"} {
		if n <= last {
			fields[n-1] = value
		}
	}
	for n, value := range changed {
		fields[n-1] = value
	}
	return strings.Join(fields[:min(last, len(fields))], " ") + "\n"
}

func TestTerminalNumbers(t *testing.T) {
	for _, want := range []struct{ major, minor uint32 }{{136, 0}, {136, 255}, {136, 256}, {136, 1<<20 - 1}, {4, 1}, {229, 0}} {
		encoded := want.minor&0xff | want.major<<8 | want.minor&^0xff<<12 // new_encode_dev
		if major, minor := TerminalNumbers(encoded); major != want.major || minor != want.minor {
			t.Errorf("%x: got %d:%d, want %d:%d", encoded, major, minor, want.major, want.minor)
		}
	}
}

// The second field is whatever the process calls itself, in parentheses.
func TestProcess(t *testing.T) {
	const all = 52
	whole := func(name string) string { return statLine(name, all, nil) }
	with := func(n int, value string) string { return statLine("sh", all, map[int]string{n: value}) }
	named := func(name string) Process {
		return Process{PID: 10, Name: name, Parent: 7, Group: 8, Terminal: 136 << 8, Started: 42420 * time.Millisecond, Policy: 2}
	}
	but := func(change func(p *Process)) Process {
		p := named("sh")
		change(&p)
		return p
	}
	refused := Process{}
	for _, test := range []struct {
		name, stat string
		want       Process
	}{
		{"ordinary", whole("sh"), named("sh")},
		{"space", whole("tmux: server"), named("tmux: server")},
		{"closing parenthesis", whole("a) b"), named("a) b")},
		{"forged fields", whole("x) S 4711 (y"), named("x) S 4711 (y")},
		{"forged line", whole("x) S 1 1 1\n10 (y"), named("x) S 1 1 1\n10 (y")},
		{"only parentheses", whole("))((("), named("))(((")},
		{"closing before opening", whole(")("), named(")(")},
		{"newline", whole("a\nb"), named("a\nb")},
		{"not UTF-8", whole("\xff"), named("\xff")},
		{"no name", whole(""), named("")},
		{"of another PID namespace's /proc", with(1, "4711"), named("sh")},
		{"parent outside of the namespace", with(4, "0"), but(func(p *Process) { p.Parent = 0 })},
		{"no terminal", with(7, "0"), but(func(p *Process) { p.Terminal = 0 })},
		{"a terminal that is a negative number", with(7, "-2146400000"), but(func(p *Process) { p.Terminal = 2148567296 })},
		{"not realtime", with(41, "0"), but(func(p *Process) { p.Policy = 0 })},
		{"started with the machine", with(22, "0"), but(func(p *Process) { p.Started = 0 })},
		{"a kernel that does not say the policy", statLine("sh", 40, nil), but(func(p *Process) { p.Policy = -1 })},
		{"cut right behind the start", statLine("sh", 22, nil), but(func(p *Process) { p.Policy = -1 })},
		{"fields that are not looked at", with(23, "x"), named("sh")},
		{"cut before the start", statLine("sh", 21, nil), refused},
		{"cut short", statLine("sh", 3, nil), refused},
		{"cut behind the name", statLine("sh", 2, nil), refused},
		{"cut in the name", "10 (sh", refused},
		{"no parenthesis", "10 sh S 7 8\n", refused},
		{"closing alone", "10 sh) S 7 8\n", refused},
		{"opening behind closing", "10 )sh( S 7 8\n", refused},
		{"empty", "", refused},
		{"parent that is no number", with(4, "x"), refused},
		{"group that is no number", with(5, "-"), refused},
		{"start that is no number", with(22, "4x"), refused},
		{"policy that is no number", with(41, "0x1"), refused},
		{"number too large", with(4, "99999999999999999999"), refused},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := record(t, map[string]string{"proc/10/stat": test.stat})
			got, err := m.Process(10)
			if got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
			if test.want == refused {
				requirePathError(t, err, "/proc/10/stat", unix.EINVAL)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("gone", func(t *testing.T) {
		p, err := record(t, map[string]string{AbsentFile: "/proc/10/stat\n"}).Process(10)
		requirePathError(t, err, "/proc/10/stat", unix.ENOENT)
		if p != (Process{}) {
			t.Errorf("got %+v", p)
		}
	})
	t.Run("this one", func(t *testing.T) {
		p, err := Machine{}.Process(unix.Getpid())
		if err != nil || p.PID != unix.Getpid() || p.Parent != unix.Getppid() || p.Group != unix.Getpgrp() || p.Started <= 0 || p.Policy < 0 {
			t.Errorf("got %+v, %v", p, err)
		}
	})
}

// sched(7).
func TestIsRealtime(t *testing.T) {
	for policy, want := range map[int]bool{-1: false, 0: false, 1: true, 2: true, 3: false, 5: false, 6: true, 7: false} {
		if got := (Process{Policy: policy}).IsRealtime(); got != want {
			t.Errorf("policy %d: %v", policy, got)
		}
	}
}

// proc_pid_status(5).
func TestStatus(t *testing.T) {
	const whole = "Name:\tsh (1) x\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t10\nPid:\t10\nPPid:\t7\nTracerPid:\t0\n" +
		"Uid:\t1000\t1001\t1002\t1003\nGid:\t100\t101\t102\t103\nGroups:\t4 24 27 \nNoNewPrivs:\t1\n"
	nobody := Status{PID: -1, Parent: -1, UID: -1, GID: -1, RealUID: -1}
	but := func(change func(s *Status)) Status {
		s := nobody
		change(&s)
		return s
	}
	for _, test := range []struct {
		name, status string
		want         Status
	}{
		{"whole", whole, Status{Name: "sh (1) x", PID: 10, Parent: 7, UID: 1001, GID: 101, RealUID: 1000, Groups: []int{4, 24, 27}, NoNewPrivs: true}},
		{"empty", "", nobody},
		{"no groups", "Groups:\t \n", nobody},
		{"last line without a newline", "Pid:\t10\nPPid:\t7", but(func(s *Status) { s.PID, s.Parent = 10, 7 })},
		{"cut off in the user IDs", "Uid:\t1000", but(func(s *Status) { s.RealUID = 1000 })},
		{"cut off behind the word", "Uid:", nobody},
		{"cut off in the word", "Ui", nobody},
		{"parent outside of the namespace", "PPid:\t0\n", but(func(s *Status) { s.Parent = 0 })},
		{"no numbers", "Pid:\tx\nPPid:\t-\nUid:\ta\tb\nGid:\t1\tb\nGroups:\t4 x 27\nNoNewPrivs:\tyes\n", but(func(s *Status) { s.Groups = []int{4, 27} })},
		{"a kernel without NoNewPrivs", "Name:\tsh\n", but(func(s *Status) { s.Name = "sh" })},
		{"no colon", "Name sh\nPid 10\n", nobody},
		{"name that the kernel escaped", "Name:\ta\\nUid:\t0\t0\n", but(func(s *Status) { s.Name = "a\\nUid:\t0\t0" })},
		{"name with a colon", "Name:\tkworker/0:1\n", but(func(s *Status) { s.Name = "kworker/0:1" })},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := record(t, map[string]string{"proc/10/status": test.status})
			got, err := m.StatusOf(10)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, test.want)
			}
		})
	}
	_, err := record(t, map[string]string{AbsentFile: "/proc/10\n"}).StatusOf(10)
	requirePathError(t, err, "/proc/10/status", unix.ENOENT)
	s, err := Machine{}.Status("/proc/self")
	if err != nil || s.PID != unix.Getpid() || s.Parent != unix.Getppid() || s.UID != unix.Geteuid() || s.RealUID != unix.Getuid() || s.GID != unix.Getegid() {
		t.Errorf("of this process: %+v, %v", s, err)
	}
}

func TestName(t *testing.T) {
	m := record(t, map[string]string{"proc/1/comm": "init\n", "proc/2/comm": "a\nb\n", "proc/3/comm": "", "proc/4/comm": " x ) \n"})
	for pid, want := range map[int]string{1: "init", 2: "a\nb", 3: "", 4: " x ) ", 5: ""} {
		if got := m.Name(pid); got != want {
			t.Errorf("PID %d is called %q, want %q", pid, got, want)
		}
	}
}

// Whatever a process calls itself, the fields after that are the kernel's.
func FuzzProcessName(f *testing.F) {
	for _, s := range []string{"sh", "", "a) b", ") S 1 1", "x\n10 (y", "\xff", "((", "))"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		p, ok := parseStatFile([]byte(statLine(name, 52, nil)))
		if want := (Process{Name: name, Parent: 7, Group: 8, Terminal: 136 << 8, Started: 42420 * time.Millisecond, Policy: 2}); !ok || p != want {
			t.Errorf("got %+v, %v; want %+v", p, ok, want)
		}
	})
}

func FuzzProcess(f *testing.F) {
	for _, s := range []string{statLine("sh", 52, nil), statLine("a) b", 22, nil), "", "(", ")", ")(", "() S", "1 () S x"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, ok := parseStatFile(data)
		if ok && (p.PID != 0 || len(strings.Fields(string(data))) < 20) {
			t.Errorf("%q: %+v", data, p)
		}
		_ = p.IsRealtime()
	})
}

func FuzzStatus(f *testing.F) {
	for _, s := range []string{"", "Name:\tx\nPid:\t1\nUid:\t1\t2\t3\t4\n", "Uid:", "Groups: 1 2 x", ":\n:", "PPid:\t-7\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) {
		s := parseStatusFile(data)
		if !strings.Contains(data, "Uid:") && (s.UID != -1 || s.RealUID != -1) || !strings.Contains(data, "Gid:") && s.GID != -1 || len(s.Groups) > len(data) {
			t.Errorf("%q: %+v", data, s)
		}
	})
}
