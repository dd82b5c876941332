package commands

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// completingShell is a shell that has cgdeleg's completions.
type completingShell struct {
	name string
	argv []string
	// init has the shell read the completions from a file, and write the line that is being
	// edited to another on ^G.
	init string
	// escapes is what the shell writes in front of a comma.
	escapes string
}

var completingShells = []completingShell{
	{"bash", []string{"bash", "--norc", "--noprofile", "-i"},
		`. /usr/share/bash-completion/bash_completion; . %s; bind -x '"\C-g": printf %%s "$READLINE_LINE" >%s'`, `\`},
	{"zsh", []string{"zsh", "-f", "-i"},
		`autoload -Uz compinit; compinit -u -D; . %s; w() { print -rn -- "$BUFFER" >%s }; zle -N w; bindkey '^G' w`, ""},
	{"fish", []string{"fish", "-N", "-i"},
		`source %s; bind \cg 'commandline | string collect >%s'`, ""},
}

const editedLine = "/home/line"

// start starts the shell for a user, with cgdeleg and its completions, and waits until it
// reads commands.
func (s completingShell) start(t *testing.T, u testbed.User) *onPty {
	t.Helper()
	testbed.Need(t, s.name)
	if s.name == "bash" {
		if _, err := os.Stat("/usr/share/bash-completion/bash_completion"); err != nil {
			t.Skipf("needs bash-completion: %v", err)
		}
	}
	script := filepath.Join(u.Home, "completions")
	made := cgdeleg(t, &u, "completion", s.name)
	made.want(t, 0, "")
	write(t, script, 0o644, made.out)
	write(t, editedLine, 0o666, "")
	if err := os.Chmod(editedLine, 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(s.argv[0], s.argv[1:]...)
	cmd.Dir = u.Home
	cmd.Env = []string{"TERM=xterm", "PATH=/home:" + os.Getenv("PATH"), "HOME=" + u.Home, "LC_ALL=C.UTF-8", "USER=" + u.Name, "PAGER="}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(u.UID), Gid: uint32(u.GID)}}
	p := startOnPty(t, cmd)
	ready := filepath.Join(u.Home, "ready")
	t.Cleanup(func() { os.Remove(ready) })
	p.press(fmt.Sprintf(s.init, script, editedLine) + "; touch " + ready + "\n")
	testbed.Eventually(t, s.name+" to be ready", func() bool {
		_, err := os.Stat(ready)
		return err == nil
	})
	return p
}

// complete types a line and the tab key, and returns what the line is then. It types them
// again where the terminal loses them: while a command ends. So a line may come twice, and
// what begins otherwise is the one before.
func (p *onPty) complete(typed string) (line string) {
	p.t.Helper()
	if err := os.Truncate(editedLine, 0); err != nil {
		p.t.Fatal(err)
	}
	begin := typed[:max(strings.LastIndex(typed, " ")+3, strings.Index(typed, "=")+1)]
	var pressed time.Time
	testbed.Eventually(p.t, "the line after "+typed, func() bool {
		if time.Since(pressed) > 5*time.Second {
			p.press("\x15" + typed + "\t\x07")
			pressed = time.Now()
		}
		data, err := os.ReadFile(editedLine)
		line = strings.TrimSuffix(string(data), "\n")
		return err == nil && strings.HasPrefix(line, begin)
	})
	return line
}

// completed is what the tab key makes of a line.
type completed struct{ typed, line string }

// What the tab key makes of a line, in each of the shells.
func TestCompletions(t *testing.T) {
	testbed.HierarchyNamed(t, "memory")
	u := testbed.AddUser(t, "cgcomplete", 24111)
	forUsers(t)
	write(t, "/home/cgdtestprogram", 0o755, "#!/bin/sh\n")
	makeContainers(t, u, "mycontainer")
	if err := os.MkdirAll(filepath.Join(u.Home, "machines", "recorded"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, shell := range completingShells {
		t.Run(shell.name, func(t *testing.T) {
			p := shell.start(t, u)
			for _, test := range []completed{
				{"cgdeleg chec", "cgdeleg check "},
				{"cgdeleg limits expl", "cgdeleg limits explain "},
				{"cgdeleg help chec", "cgdeleg help check "},
				{"cgdeleg status --use", "cgdeleg status --user "},
				{"cgdeleg status --user cgcomp", "cgdeleg status --user cgcomp"}, // has no session
				{"cgdeleg check --user cgcomp", "cgdeleg check --user cgcomplete "},
				{"cgdeleg check --user=cgcomp", "cgdeleg check --user=cgcomplete "},
				{"cgdeleg check --container my", "cgdeleg check --container mycontainer "},
				{"cgdeleg check deleg", "cgdeleg check delegation "},
				{"cgdeleg --color=al", "cgdeleg --color=always "},
				{"cgdeleg --color al", "cgdeleg --color always "},
				{"cgdeleg --root mach", "cgdeleg --root machines/"},
				{"cgdeleg run -- cgdtest", "cgdeleg run -- cgdtestprogram "},
				{"cgdeleg run --memory 1G cgdtest", "cgdeleg run --memory 1G cgdtestprogram "},
				{"cgdeleg run --memory 1G -- ls mach", "cgdeleg run --memory 1G -- ls machines/"},
				{"cgdeleg run -p memory.soft", "cgdeleg run -p memory.soft_limit_in_bytes="},
				{"cgdeleg status -o +lea", "cgdeleg status -o +leader"},
				{"cgdeleg status -o user,lea", "cgdeleg status -o user" + shell.escapes + ",leader"},
				{"cgdeleg open -c mem", "cgdeleg open -c memory"},
			} {
				if got := p.complete(test.typed); got != test.line {
					t.Errorf("%q becomes %q, want %q", test.typed, got, test.line)
				}
			}
		})
	}
}

// makeContainers makes containers of LXC's, as far as their names go.
func makeContainers(t *testing.T, u testbed.User, names ...string) {
	t.Helper()
	for _, name := range names {
		dir := filepath.Join(u.Home, ".local/share/lxc", name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "config"), 0o644, "")
	}
}

// A container's name is no command of who completes it, whoever gave it.
func TestCompletionsOfHostileNames(t *testing.T) {
	u := testbed.AddUser(t, "cgcomphost", 24112)
	forUsers(t)
	mark := makeMarks(t) + "/mark"
	names := map[string]string{
		"ax": "ax$(touch $M)", "bx": "bx;touch $M;", "cx": "cx`touch $M`", "dx": "dx' ; touch $M '", "ex": `ex" ; touch $M ; "`, "fx": "fx\ntouch $M", "gx": "gx(touch $M)",
	}
	makeContainers(t, u, slices.Collect(maps.Values(names))...)
	for _, shell := range completingShells {
		t.Run(shell.name, func(t *testing.T) {
			p := shell.start(t, u)
			set := "export M=" + mark
			if shell.name == "fish" {
				set = "set -x M " + mark
			}
			p.press(set + "\n")
			for prefix := range names {
				line := p.complete("cgdeleg check -q --container " + prefix)
				if !strings.HasSuffix(line, " ") {
					t.Errorf("%s becomes %q", prefix, line)
				}
				p.complete(strings.TrimSuffix(line, " ")) // which the shell's own code evaluates
				p.press("; touch \"$M.end\"\n")
				testbed.Eventually(t, "the command to end", func() bool { return os.Remove(mark+".end") == nil })
			}
			if _, err := os.Stat(mark); err == nil {
				t.Errorf("a name was run:\n%q", p.said())
			}
		})
	}
}
