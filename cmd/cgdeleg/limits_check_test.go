package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/limitcheck"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limitsconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine/machinetest"
)

// The screens of limits check, over a recorded machine with some files of limits.
func TestLimitsCheck(t *testing.T) {
	people := map[string]string{
		"etc/passwd": "root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n", "etc/group": "alice:x:1000:\nstudents:x:2000:alice\n",
		"etc/nsswitch.conf": "passwd: files\ngroup: files\n", machine.AbsentFile: "/etc/cgdeleg/limits.conf\n/etc/cgdeleg/limits.d\n",
	}
	wrong := map[string]string{
		"etc/cgdeleg/limits.conf": "# who for limits\n" +
			"root,uid<1000 user -\n" +
			"@students user memory.high=20% cpu.max=400 pids.max=1024\n" +
			"@teachers user memory.high=20% memory.max=150%\n" +
			"* user memory.max=2G pids.max=50\n" +
			"alice session memory.mx=4G\n" +
			"* session memory.max=4G\n",
		"etc/cgdeleg/limits.d/50-\x1b[2Jodd.conf": "alice user -\n\"\x1b[2J\" user memory.max=\x1b[2J\n",
	}
	well := map[string]string{"etc/cgdeleg/limits.d/site.conf": "root,uid<1000 user -\n@students user pids.max=1024 cpu.max=400%\n"}
	for _, test := range []struct {
		name, machine, args string
		files               map[string]string
	}{
		{"limits-check", "debian12-v1-hybrid", "limits check", wrong},
		{"limits-check-json", "debian12-v1-hybrid", "limits check --json", wrong},
		{"limits-check-color", "debian12-v1-hybrid", "--color always limits check", map[string]string{"etc/cgdeleg/limits.conf": "x user pids.max=1\n"}},
		{"limits-check-well", "openrc-v2", "limits check", well},
		{"limits-check-warnings", "openrc-v2", "limits check", map[string]string{"etc/cgdeleg/limits.conf": "bob user -\n"}},
		{"limits-check-none", "openrc-v2", "limits check", nil},
		{"limits-check-files-alone", "", "limits check", well},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("LC_ALL", "C.UTF-8")
			dir := t.TempDir()
			if test.machine != "" {
				dir = machinetest.Copy(t, "../../delegate/testdata/"+test.machine)
			}
			for _, files := range []map[string]string{people, test.files} {
				for name, text := range files {
					path := filepath.Join(dir, name)
					must(t, os.MkdirAll(filepath.Dir(path), 0o755))
					must(t, os.WriteFile(path, []byte(text), 0o644))
				}
			}
			var out, errOut bytes.Buffer
			code := run(append([]string{"--root", dir}, strings.Fields(test.args)...), &out, &errOut)
			requireGolden(t, test.name, fmt.Sprintf("$ cgdeleg %s\n%s-- standard error --\n%s-- exit code %d --\n", test.args, &out, &errOut, code))
		})
	}
}

// The manual page has all names, and its examples say what they should: nothing is wrong
// with them, not even that one line hides another.
func TestLimitsPage(t *testing.T) {
	page := readDoc(t, "docs/man/cgdeleg-limits.conf.5.scd")
	for _, name := range limits.Spellings() {
		if !strings.Contains(page, name) {
			t.Errorf("no %s", name)
		}
	}
	blocks := strings.Split(page, "```\n")
	for i := 1; i < len(blocks); i += 2 {
		f := &limitcheck.Facts{Machine: machine.Recorded(t.TempDir()), Config: limitsconf.Parse("page", strings.ReplaceAll(blocks[i], `\\`, `\`))}
		if found := limitcheck.Run(f); len(found) > 0 || len(f.Config.Rules) == 0 {
			t.Errorf("%s%+v", blocks[i], found)
		}
	}
	if len(blocks) != 7 {
		t.Errorf("%d pieces: want three examples", len(blocks))
	}
}

// Nothing was recorded of the files: it cannot be told.
func TestLimitsCheckOfNothing(t *testing.T) {
	var out, errOut bytes.Buffer
	if code := run([]string{"--root", t.TempDir(), "limits", "check"}, &out, &errOut); code != exitUnknown || !strings.Contains(out.String(), "not recorded") {
		t.Errorf("code %d: %s%s", code, &out, &errOut)
	}
	if code := run([]string{"limits"}, &out, &errOut); code != exitUsage {
		t.Errorf("limits alone: code %d", code)
	}
}

// On a terminal no line is longer than it, but for a word that is.
func TestLimitsCheckFits(t *testing.T) {
	f := limitcheck.Gather(machine.Recorded(t.TempDir()))
	defer f.Close()
	f.Config.Files = []string{"/etc/cgdeleg/limits.conf"}
	text := limitsCheckText(screen{width: 80}, f, []limitcheck.Finding{{
		File: f.Config.Files[0], Line: 4711, Column: 17, Severity: limitcheck.Error, Message: strings.Repeat("message ", 40), Fix: strings.Repeat("fix\x1b ", 40),
	}})
	lines := strings.Split(string(text), "\n")
	if len(lines) < 8 || strings.Contains(string(text), "\x1b") {
		t.Errorf("got\n%s", text)
	}
	for _, line := range lines {
		if len(line) > 80 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
}
