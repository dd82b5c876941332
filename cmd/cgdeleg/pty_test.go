package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine/machinetest"
)

// terminalSize is a terminal with so many columns and lines.
type terminalSize struct{ columns, lines int }

// runOnTerminal runs the command on a terminal, and returns what is on it, without the standard
// error, which is returned as well.
func runOnTerminal(t *testing.T, size terminalSize, args ...string) (shown, said string, code int) {
	t.Helper()
	master, slave := openTerminal(t, size)
	read := make(chan string)
	go func() {
		var out bytes.Buffer
		_, err := io.Copy(&out, master) // EIO when nobody has the terminal any more
		if err != nil && !errors.Is(err, unix.EIO) {
			fmt.Fprintf(&out, "reading the terminal: %v", err)
		}
		read <- out.String()
	}()
	var errOut bytes.Buffer
	code = run(args, slave, &errOut)
	slave.Close()
	return <-read, errOut.String(), code
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
		"usage-all":      {v2, "usage -o +procslimit,refused,swap,read,written"},
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
			var golden strings.Builder
			fmt.Fprintf(&golden, "$ cgdeleg %s\n", test.args)
			earlier := map[string]string{}
			for _, where := range allSurroundings {
				args := strings.Fields(test.args)
				if test.root != "" {
					args = append([]string{"--root", test.root}, args...)
				}
				screen := screenIn(t, where, args, slices.Contains(forPrograms, name))
				fmt.Fprintf(&golden, "\n-- %s --\n", where.name)
				if first, isThere := earlier[screen]; isThere {
					fmt.Fprintf(&golden, "as with %s\n", first)
					continue
				}
				earlier[screen] = where.name
				golden.WriteString(strings.ReplaceAll(screen, "\x1b", "^["))
			}
			requireGolden(t, "surroundings-"+name, golden.String())
		})
	}
}

// screenIn returns what a command shows there, with its words, and looks whether that can be
// shown.
func screenIn(t *testing.T, where surroundings, args []string, isLong bool) string {
	t.Helper()
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	t.Setenv("PAGER", "")
	for name, value := range where.env {
		t.Setenv(name, value)
	}
	var shown, said string
	if where.width > 0 {
		shown, said, _ = runOnTerminal(t, terminalSize{where.width, 200}, append([]string{"--no-pager"}, args...)...)
	} else {
		var out, errOut bytes.Buffer
		run(args, &out, &errOut)
		shown, said = out.String(), errOut.String()
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
	if said != "" {
		shown += "-- standard error --\n" + said
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
	return strings.HasPrefix(strings.TrimLeft(withoutStyles(line), " "), "sudo ")
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
