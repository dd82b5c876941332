package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/trial"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine/machinetest"
)

// terminalSize is a terminal with so many columns and lines.
type terminalSize struct{ columns, lines int }

// runOnTerminal runs the command on a terminal, and returns what is on it, and the standard
// error, which is elsewhere.
func runOnTerminal(t *testing.T, size terminalSize, args ...string) (shown, said string, code int) {
	t.Helper()
	var errOut bytes.Buffer
	shown = shownOnTerminal(t, size, func(w io.Writer) { code = run(args, w, &errOut) })
	return shown, errOut.String(), code
}

// shownOnTerminal returns what a function writes to a terminal.
//
// What has not been read when the last one closes the terminal may be lost with it, on a busy
// machine. So it stays open until the end has come, which is a NUL: it is written over and over,
// since the kernel may also forget to hand on what was in its buffer until there is more.
func shownOnTerminal(t *testing.T, size terminalSize, show func(w io.Writer)) string {
	t.Helper()
	master, slave := openTerminal(t, size)
	defer slave.Close()
	read := make(chan string, 1)
	go func() {
		shown, err := bufio.NewReader(master).ReadString(0)
		if err != nil {
			shown += fmt.Sprintf("reading the terminal: %v", err)
		}
		read <- strings.TrimSuffix(shown, "\x00")
	}()
	show(slave)
	for {
		_, err := slave.Write([]byte{0})
		must(t, err)
		select {
		case shown := <-read:
			return shown
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// openTerminal returns both ends of a new terminal, which writes lines as they are.
func openTerminal(t *testing.T, size terminalSize) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there are no terminals here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	must(t, err)
	must(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("the terminal cannot be opened: %v", err)
	}
	must(t, unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: uint16(size.columns), Row: uint16(size.lines)}))
	mode, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	must(t, err)
	mode.Oflag &^= unix.OPOST
	must(t, unix.IoctlSetTermios(int(slave.Fd()), unix.TCSETS, mode))
	return master, slave
}

// surroundings are where a screen is shown.
type surroundings struct {
	name  string
	width int // of the terminal; 0: a pipe
	env   map[string]string
}

var allSurroundings = []surroundings{
	{"80 columns, UTF-8", 80, map[string]string{"LC_ALL": "C.UTF-8"}},
	{"80 columns, C locale", 80, map[string]string{"LC_ALL": "C"}},
	{"80 columns, NO_COLOR", 80, map[string]string{"LC_ALL": "C.UTF-8", "NO_COLOR": "1"}},
	{"80 columns, dumb terminal", 80, map[string]string{"LC_ALL": "C.UTF-8", "TERM": "dumb"}},
	{"200 columns, UTF-8", 200, map[string]string{"LC_ALL": "C.UTF-8"}},
	{"200 columns, C locale", 200, map[string]string{"LC_ALL": "C"}},
	{"piped, UTF-8", 0, map[string]string{"LC_ALL": "C.UTF-8"}},
	{"piped, C locale", 0, map[string]string{"LC_ALL": "C"}},
}

// Each screen in all surroundings. A screen that is like an earlier one is named, and not
// written again.
func TestSurroundings(t *testing.T) {
	v2 := v2Machine(t)
	hybrid, openrc := "../../delegate/testdata/debian12-v1-hybrid", "../../delegate/testdata/openrc-v2"
	limited := limitsMachine(t)
	forPrograms := []string{"check-quiet", "status-raw", "usage-raw"} // a line each, however long
	for name, test := range map[string]struct{ root, args string }{
		"check":          {"check/testdata/systemd-v2-no-dropin", "check"},
		"check-quiet":    {"check/testdata/systemd-v2-no-dropin", "check -q"},
		"check-verbose":  {"check/testdata/systemd-v2-no-dropin", "check -v"},
		"check-list":     {"check/testdata/systemd-v2-no-dropin", "check --list"},
		"check-explain":  {"check/testdata/systemd-v2-no-dropin", "check --explain leaf"},
		"fix-list":       {"check/testdata/systemd-v2-no-dropin", "fix"},
		"fix":            {"check/testdata/systemd-v2-no-dropin", "fix delegation"},
		"status-tree":    {hybrid, "status --tree"},
		"status":         {hybrid, "status -l"},
		"status-all":     {openrc, "status -o +scope,limit,peak,oom,hierarchies"},
		"status-raw":     {hybrid, "status -r"},
		"status-columns": {hybrid, "status --list-columns"},
		"usage":          {v2, "usage"},
		"usage-all":      {v2, "usage -o +taskslimit,refused,swap,read,written"},
		"usage-user":     {v2, "usage alice"},
		"usage-raw":      {v2, "usage -r"},
		"usage-columns":  {v2, "usage --list-columns"},
		"top":            {v2, "top -b -n 1"},
		"cleanup":        {hybrid, "cleanup --dry-run"},
		"limits-check":   {limited, "limits check"},
		"limits-explain": {limited, "limits explain alice"},
		"limits-apply":   {limited, "limits apply --dry-run"},
		"open":           {hybrid, "open --dry-run -u alice --pid 1001"},
		"help":           {"", "--help"},
		"help-status":    {"", "status --help"},
		"version":        {"", "version"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"--no-pager"}, strings.Fields(test.args)...)
			if test.root != "" {
				args = append([]string{"--root", test.root}, args...)
			}
			golden := inSurroundings(t, slices.Contains(forPrograms, name), func(w, errOut io.Writer) { run(args, w, errOut) })
			requireGolden(t, "surroundings-"+name, "$ cgdeleg "+test.args+"\n"+golden)
		})
	}
	t.Run("try", func(t *testing.T) {
		success := &trial.Answer{Text: "Success"}
		outcome := trial.Outcome{Open: success, Close: success, HasTried: true, Places: []trial.Place{
			{Hierarchy: "freezer", Cgroup: "/user/alice/0", Directory: "/nosuch/freezer", Owner: 4242, IsNew: true, Session: "user/alice/0", Subgroup: trial.Subgroup{Entered: true}},
			{Hierarchy: "memory", Cgroup: "/user/alice/0", Directory: "/nosuch/memory", IsNew: true, Session: "user/alice/0", Subgroup: trial.Subgroup{Error: "no hierarchy is delegated to this process"}},
		}, Log: []trial.Line{{Priority: 6, Text: "pam_unix(sshd:session): session opened for user alice(uid=4242) by (uid=0)"}}}
		result := judge(tryOptions{user: "alice", service: "sshd"}, 4242, &outcome)
		requireGolden(t, "surroundings-try", inSurroundings(t, false, func(w, _ io.Writer) {
			out, err := screenOn(w, "auto")
			must(t, err)
			must(t, printf(out, "%s", tryText(out, &outcome, result)))
		}))
	})
}

// inSurroundings returns what is shown in each of them. Lines that are for programs may be
// longer than the terminal is wide.
func inSurroundings(t *testing.T, isLong bool, show func(w, errOut io.Writer)) string {
	t.Helper()
	var golden strings.Builder
	earlier := map[string]string{}
	for _, where := range allSurroundings {
		screen := screenIn(t, where, isLong, show)
		fmt.Fprintf(&golden, "\n-- %s --\n", where.name)
		if first, isThere := earlier[screen]; isThere {
			fmt.Fprintf(&golden, "as with %s\n", first)
			continue
		}
		earlier[screen] = where.name
		golden.WriteString(strings.ReplaceAll(screen, "\x1b", "^["))
	}
	return golden.String()
}

// screenIn returns what is shown there, and looks whether it can be shown there.
func screenIn(t *testing.T, where surroundings, isLong bool, show func(w, errOut io.Writer)) string {
	t.Helper()
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	for name, value := range where.env {
		t.Setenv(name, value)
	}
	var out, errOut bytes.Buffer
	shown := ""
	if where.width > 0 {
		shown = shownOnTerminal(t, terminalSize{where.width, 200}, func(w io.Writer) { show(w, &errOut) })
	} else {
		show(&out, &errOut)
		shown = out.String()
	}
	for line := range strings.Lines(shown) {
		if n := len([]rune(withoutStyles(strings.TrimSuffix(line, "\n")))); where.width > 0 && n > where.width && !isLong && !isWhole(line) {
			t.Errorf("%s: a line has %d columns: %s", where.name, n, line)
		}
		if strings.Trim(line, asciiCharacters) != "" && where.env["LC_ALL"] == "C" {
			t.Errorf("%s: a line is not ASCII: %s", where.name, line)
		}
	}
	if strings.Contains(shown, "\x1b") && (where.width == 0 || where.env["NO_COLOR"] != "" || where.env["TERM"] == "dumb") {
		t.Errorf("%s: there are colours: %s", where.name, shown)
	}
	if errOut.Len() > 0 {
		shown += "-- standard error --\n" + errOut.String()
	}
	return shown
}

// asciiCharacters are those that a C locale can show, and what ends a line or sets words off.
var asciiCharacters = func() string {
	text := "\n\x1b"
	for c := ' '; c < 0x7f; c++ {
		text += string(c)
	}
	return text
}()

// isWhole tells whether a line must not be broken: a command that is to be copied.
func isWhole(line string) bool {
	text := strings.TrimLeft(withoutStyles(line), " ")
	return strings.HasPrefix(text, "sudo ") || strings.HasPrefix(text, "systemd-run ")
}

// limitsMachine has files of limits with mistakes, and a user with a session.
func limitsMachine(t *testing.T) (dir string) {
	t.Helper()
	dir = machinetest.Copy(t, "../../delegate/testdata/openrc-v2")
	for name, text := range map[string]string{
		"etc/passwd": "root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n", "etc/group": "alice:x:1000:\nstudents:x:2000:alice\n",
		"etc/nsswitch.conf": "passwd: files\ngroup: files\n", "proc/meminfo": "MemTotal: 8388608 kB\nSwapTotal: 0 kB\n",
		"proc/sys/kernel/pid_max": "32768\n", "proc/sys/kernel/threads-max": "60000\n", machine.AbsentFile: "/etc/cgdeleg/limits.d\n",
		"etc/cgdeleg/limits.conf":                     "@students user memory.max=25% cpu.max=150% pids.max=50%\n@students session memory.max=1G\n@teachers user memory.mx=2\n",
		"sys/fs/cgroup/user/alice/memory.max":         "4294967296\n",
		"sys/fs/cgroup/user/alice/pids.max":           "max\n",
		"sys/fs/cgroup/user/alice/cpu.max":            "max 100000\n",
		"sys/fs/cgroup/user/alice/memory.current":     "3221225472\n",
		"sys/fs/cgroup/user/alice/cgroup.controllers": "cpu memory pids\n",
	} {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return dir
}
