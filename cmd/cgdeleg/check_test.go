package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine/machinetest"
)

// runOn runs the command over a copy of a recorded machine with some files
// written anew.
func runOn(t *testing.T, name string, files map[string]string, args string) (out, errOut string, code int) {
	t.Helper()
	dir := machinetest.Copy(t, filepath.Join("check/testdata", name))
	for path, content := range files {
		if err := os.WriteFile(filepath.Join(dir, path), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var o, e bytes.Buffer
	code = run(append([]string{"--root", dir}, strings.Fields(args)...), &o, &e)
	return o.String(), e.String(), code
}

// What users write, such as a container's configuration, cannot forge a line of
// the screen nor of what fix prints, nor speak to the terminal.
func TestHostileConfiguration(t *testing.T) {
	const config = "/home/alice/.local/share/lxc/c1/config"
	files := map[string]string{config: "lxc.idmap = u 0 0 65536\nlxc.cgroup2.\x1b[2J\x1b]0;pwned\a.x = 1\n"}
	for _, args := range []string{"check --container c1", "check -q --container c1", "fix config-limits --container c1", "fix config-idmap --container c1"} {
		out, errOut, _ := runOn(t, "no-systemd-v2", files, args)
		if strings.ContainsAny(out+errOut, "\x1b\a") {
			t.Errorf("%s: control characters on the screen: %q", args, out+errOut)
		}
		if strings.Contains(out, "usermod") {
			t.Errorf("%s: root is told to give away its own IDs:\n%s", args, out)
		}
	}
	if out, _, _ := runOn(t, "no-systemd-v2", files, "check config-limits --container c1"); !strings.Contains(out, `\x1b[2J`) {
		t.Errorf("the evidence is lost:\n%s", out)
	}
}

// A check that was asked for and could not be made is not a success.
func TestBlockedExitCode(t *testing.T) {
	out, _, code := runOn(t, "systemd-v2-no-dropin", nil, "check -q session leaf")
	if code != exitFailed || strings.Count(out, "\n") != 1 || !strings.HasPrefix(out, "CGD-020 delegation") {
		t.Errorf("code %d, said:\n%s", code, out)
	}
	if _, _, code = runOn(t, "systemd-v2-no-dropin", nil, "check user mode"); code != 0 {
		t.Errorf("checks that are well: code %d", code)
	}
}

// What cannot be written is no success, whatever was found.
func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("needs /dev/full: ", err)
	}
	defer full.Close()
	for _, args := range []string{"check", "check -q", "check --json", "check --list", "fix delegation", "status", "version"} {
		var errOut bytes.Buffer
		code := run(append([]string{"--root", "check/testdata/systemd-v2-no-dropin"}, strings.Fields(args)...), full, &errOut)
		if code == 0 || !strings.Contains(errOut.String(), "no space left") {
			t.Errorf("%s: code %d, said %q", args, code, errOut.String())
		}
	}
}

func TestEmptyUser(t *testing.T) {
	for _, command := range []string{"check", "fix mode"} {
		var out, errOut bytes.Buffer
		if code := run(append(strings.Fields(command), "--user", ""), &out, &errOut); code != exitUsage {
			t.Errorf("%s: code %d: %s%s", command, code, &out, &errOut)
		}
	}
}

// What the verdict tells to type asks about the same machine and user, and finds the trouble.
func TestAskedAgain(t *testing.T) {
	dir := renamed(t, "systemd-v2", "alice")
	put(t, dir, "etc/lxc/default.conf", "lxc.apparmor.profile = generated\n", 0o644)
	put(t, dir, "sys/module/apparmor/parameters/enabled", "Y\n", 0o644)
	out, errOut, _ := runOnDir(dir, "check --user alice")
	command := "--user alice --lxc-config /etc/lxc/default.conf config-apparmor"
	if !strings.Contains(out, "can start containers here.") || !strings.Contains(out, "But a new container that LXC makes from /etc/lxc/default.conf does not start: cgdeleg check --root "+dir+" "+command+" says why.") {
		t.Fatalf("said %s%s", out, errOut)
	}
	if out, errOut, code := runOnDir(dir, "check "+command); code != exitFailed || !strings.Contains(out, "FAILED   config-apparmor") {
		t.Errorf("code %d, said %s%s", code, out, errOut)
	}
}

// That LXC wants what no session can have is said, and that there is no fix for it.
func TestNothingToOpen(t *testing.T) {
	dir := renamed(t, "no-systemd-v2", "alice")
	put(t, dir, "home/alice/.config/lxc/lxc.conf", "lxc.cgroup.use = freezer\n", 0o644)
	out, errOut, code := runOnDir(dir, "check -q lxc-view")
	if code != exitFailed || !strings.Contains(out, "lxc.cgroup.use names freezer") {
		t.Errorf("code %d, said %s%s", code, out, errOut)
	}
}

// Of a report of which a container's configuration, or what names its directory, is no part, the
// other checks have their say.
func TestConfigurationNotRecorded(t *testing.T) {
	dir := renamed(t, "no-systemd-v2", "alice")
	must(t, os.RemoveAll(dir+"/home/alice/.local/share/lxc/c1/config"))
	put(t, dir, machine.AbsentFile, "/nosuch\n", 0o644)
	out, errOut, code := runOnDir(dir, "check -q config leaf --container c1")
	if code != exitUnknown || !strings.Contains(out, "the container's configuration cannot be read: open ") || !strings.Contains(out, ": not recorded") {
		t.Errorf("code %d, said %s%s", code, out, errOut)
	}
}

// Root reads a user's files as that user: it shows nothing of root's, and an open has
// no effect.
func TestConfigurationIsReadAsUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to read as another user")
	}
	home, err := os.MkdirTemp("/tmp", "home") // what t.TempDir makes only root may go through
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(home)) })
	must(t, os.Chmod(home, 0o755))
	alice := check.Subject{Name: "alice", UID: 61234, GID: 61235, Groups: []int{61236}, Home: home}
	for name, mode := range map[string]os.FileMode{"secret": 0o600, "own": 0o600, "by-group": 0o640, "common": 0o644} {
		put(t, home, name, "lxc.uts.name = "+name+"\n", mode)
	}
	must(t, os.Chown(home+"/own", alice.UID, 0))
	must(t, os.Chown(home+"/by-group", 0, alice.Groups[0]))
	must(t, os.Symlink("/proc/kmsg", home+"/kmsg"))
	must(t, os.Symlink(home+"/own", home+"/link"))
	must(t, unix.Mkfifo(home+"/pipe", 0o666))
	config := home + "/.local/share/lxc/c1/config"
	for _, test := range []struct {
		include string
		err     error
		words   string
	}{
		{"own", nil, ""}, {"by-group", nil, ""}, {"common", nil, ""}, {"link", nil, ""},
		{"secret", fs.ErrPermission, "it was read as the user, who may not"},
		{"kmsg", machine.ErrKernelFile, "nothing was checked"},
		{"pipe", machine.ErrNotRegular, "nothing was checked"},
	} {
		t.Run(test.include, func(t *testing.T) {
			put(t, home, config[len(home):], "lxc.include = "+home+"/"+test.include+"\n", 0o644)
			what := target{container: "c1"}
			got, err := what.lxcConfig(machine.Machine{}, &alice)
			if !errors.Is(err, test.err) || (got == nil) != (test.err != nil) {
				t.Fatalf("got %v, %v; want %v", got, err, test.err)
			}
			if err == nil {
				return
			}
			var config *configError
			if words, _ := explain(err); !errors.As(err, &config) || !strings.Contains(words, test.words) {
				t.Errorf("it says %q", words)
			}
		})
	}
}
