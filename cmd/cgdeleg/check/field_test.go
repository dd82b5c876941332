package check_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// What is true of machines whose owners asked in public why containers do not start.
// Beside what is found, no fix may be printed that cannot work there.
func TestField(t *testing.T) {
	for name, test := range map[string]struct {
		want  []string // troubles
		says  string   // the first of them, or a part of it
		text  string   // of its fix, or a part of it
		fix   string   // its first command, or a part of it; "": it has none
		never []string // what no command of any fix has
	}{
		"wsl29": {[]string{"failed:login"}, "outside of the units that systemd makes for logins", "log in by ssh", "systemd-run --user --scope", []string{"cgdeleg open", "session-.scope"}},
		"rpi-memory-off": {[]string{"warning:controllers"}, "because the kernel's command line turns it off",
			"cmdline.txt", "", []string{"systemctl edit"}},
		"rpi-612-memory-absent": {[]string{"warning:controllers"}, "because the kernel's command line turns it off",
			"cmdline.txt", "", []string{"systemctl edit"}},
		"proxmox-subid": {[]string{"failed:subid"}, "none of this user namespace's", "outside, give this container more IDs", "", []string{"usermod"}},
		"subid-sss":     {[]string{"unknown:subid"}, "come from sss", "ask for them", "getsubids alice", []string{"usermod", "touch"}},
		"subuid-blank":  {[]string{"failed:subid"}, "because of a line that newuidmap does not take for it", "correct that line", "sudo editor /etc/subuid /etc/subgid", []string{"usermod"}},
		"own-uid-in-range": {[]string{"failed:subid-overlap"}, "alice's own ID is in its own range: podman and rootless Docker map both",
			"another range", "sudo editor /etc/subuid", []string{"usermod"}},
		"nixos": {[]string{"failed:pam-line", "warning:pam-cgfs", "failed:delegation"}, `"sshd" has no line of the module`,
			"in the configuration from which this machine's /etc is built", "", []string{"apt", "/etc/", "cgdeleg open"}},
		"hidepid": {[]string{"unknown:mode"}, "hidepid", "", "", []string{"cgdeleg open"}},
		"openwrt": {[]string{"failed:module"}, "this machine has no PAM", "for every login", "sudo cgdeleg open --user alice --pid 902", []string{"apt", "opkg"}},
		"cgred":   {[]string{"failed:session"}, "pam_cgroup.so moved the shell on", "take alice out of /etc/cgrules.conf", "sudo vi /etc/cgrules.conf", []string{"cgdeleg open"}},
		"slurm-v1": {[]string{"failed:session"}, "Slurm put this login into a job, and it was moved out of the job in memory freezer",
			"leaves such a login in its job", "", []string{"cgdeleg open"}},
		"usepam-no": {[]string{"failed:session"}, "sshd did not call PAM", "UsePAM yes in /etc/ssh/sshd_config", "sudo cgdeleg open", nil},
		"cgmanager": {[]string{"failed:mode"}, "no cgroup file system is mounted", "not over /sys/fs/cgroup", "", []string{"mount", "umount"}},
		"ad-name":   {[]string{"failed:subid"}, "because of a line that newuidmap does not take for it", "correct that line", "sudo editor /etc/subuid /etc/subgid", []string{"usermod"}},
		"cgroup-use": {[]string{"warning:controllers", "failed:lxc-view"}, "because the kernel's command line turns it off",
			"cmdline.txt", "", []string{"cgdeleg open"}},
		"cockpit":     {[]string{"unknown:login"}, "whether cockpit-session called PAM", "PAM service", "", []string{"cgdeleg open"}},
		"pasted-only": {[]string{"unknown:mounts", "unknown:module", "unknown:userns", "unknown:idmap-tools", "unknown:subid", "unknown:paths"}, "not recorded", "", "", []string{"umount", "apt", "cgdeleg open"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := recorded(t, "field/"+name)
			f := &check.Facts{Machine: m, System: versionsOf(t, m)}
			var err error
			if f.Subject, err = check.Caller(m); err != nil {
				t.Fatal(err)
			}
			findings := run(t, f)
			if got := troubles(findings); !slices.Equal(got, test.want) {
				t.Fatalf("got %q, want %q", got, test.want)
			}
			wantFirst(t, findings, test.says, test.fix)
			fix := findings[slices.IndexFunc(findings, isTrouble)].Fix
			if fix == nil {
				fix = &check.Fix{}
			}
			if !strings.Contains(fix.Text, test.text) || test.fix == "" && len(fix.Commands) > 0 {
				t.Errorf("its fix is %q by %v, want %q", fix.Text, fix.Commands, test.text)
			}
			for _, finding := range findings {
				wantNone(t, finding, test.never)
			}
		})
	}
}

// wantNone fails the test if a command of the finding's fix has one of the words.
func wantNone(t *testing.T, finding check.Finding, words []string) {
	t.Helper()
	if finding.Fix == nil {
		return
	}
	for _, command := range finding.Fix.Commands {
		for _, word := range words {
			if strings.Contains(command.String(), word) {
				t.Errorf("%s is fixed by %s", finding.Name, command)
			}
		}
	}
}

// versionsOf returns a system that says what the recorded one's programs said.
func versionsOf(t *testing.T, m machine.Machine) (s system) {
	t.Helper()
	data, err := m.ReadFile("/versions")
	if err != nil && !errors.Is(err, machine.ErrNotRecorded) {
		t.Fatal(err)
	}
	var clients []string
	for line := range strings.Lines(string(data)) {
		switch name, version, _ := strings.Cut(strings.TrimSpace(line), " "); name {
		case "lxc":
			s.lxc = version
		case "systemd":
			s.systemd = version
		default:
			clients = append(clients, name+" "+version)
		}
	}
	s.clients = strings.Join(clients, ", ")
	return s
}
