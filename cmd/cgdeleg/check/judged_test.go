package check_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
)

// The troubles of machines are said with their cause, and no fix does harm.
func TestWordsOfFixes(t *testing.T) {
	for name, test := range map[string]struct {
		container string
		want      []string
		says      []string // what is in the first trouble's words, evidence, fix or commands
		never     []string // what is in no trouble's
	}{
		"subtree-user-off": {"", []string{"warning:controllers"},
			[]string{"sudo sh -c 'echo +memory >/sys/fs/cgroup/user/cgroup.subtree_control'", "and log in again", "files that belong to root"},
			[]string{"user/alice/cgroup.subtree_control"}},
		"c-rootfs-missing": {"c1", []string{"failed:config-rootfs"},
			[]string{"/c1/config:5: lxc.rootfs.path = ", "/c1/rootfs: is there", "sed -i '5s|=.*|= dir:/home/alice/.local/share/lxc/c1/rootfs|' /home/alice/.local/share/lxc/c1/config"},
			[]string{"lxc-create"}},
		"pam-auth-type": {"", []string{"failed:pam-line"},
			[]string{"a line of the module with the type auth", "/etc/pam.d/common-session:6: auth optional pam_cgdeleg.so", `sed -i "6s/auth/session/"`},
			[]string{"printf"}},
		"pam-sufficient-before": {"", []string{"failed:session"},
			[]string{"a line before it may have skipped it", "/etc/pam.d/common-session:1: sufficient pam_unix.so", "write required in place of sufficient in line 1", "the lines of pam_systemd.so and pam_cgdeleg.so, in this order, before line 1", "editor /etc/pam.d/common-session"},
			[]string{"system's log"}},
		"newgidmap-missing": {"", []string{"failed:idmap-tools"}, []string{"sudo apt install --reinstall uidmap"}, nil},
		"no-sudo": {"", []string{"failed:pam-line"},
			[]string{"cgdeleg open --user alice --pid 701 # as root\n", "-- lxc-start --name NAME"}, []string{"sudo", "(as root)", "NAME # as root"}},
		"synology":             {"", []string{"failed:module", "failed:idmap-tools", "failed:subid"}, nil, []string{"usermod", "apt"}},
		"tinysshd":             {"", []string{"failed:login"}, []string{"this shell was started by tinysshd, which opens no PAM session", "sudo cgdeleg open"}, []string{"/etc/pam.d"}},
		"pbs-job":              {"", []string{"failed:login"}, []string{"PBS has put this shell into a job (/pbs_jobs.service/jobid/123.pbs1)", "under the job's limits"}, []string{"cgdeleg open", "PAM service"}},
		"alpine-busybox-crond": {"", []string{"failed:login"}, []string{"by crond, which calls no PAM here", "sudo cgdeleg open"}, []string{">>/etc/pam.d"}},
		"sshd-of-the-user":     {"", []string{"failed:login"}, []string{"the sshd among its ancestors (process 700) runs as alice, not as root"}, []string{"sshd_config", "system's log"}},
		"gdm-autologin":        {"", []string{"failed:pam-line"}, []string{"came through gdm-session-worker, whose"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			findings := findingsOf(t, "tried/"+name, test.container)
			if got := troubles(findings); !slices.Equal(got, test.want) {
				t.Fatalf("got %q, want %q", got, test.want)
			}
			findings = slices.DeleteFunc(findings, func(f check.Finding) bool { return !isTrouble(f) })
			for _, word := range test.says {
				if text := allOf(findings[0]); !strings.Contains(text, word) {
					t.Errorf("%q is not in\n%s", word, text)
				}
			}
			for _, finding := range findings {
				for _, word := range test.never {
					if text := allOf(finding); strings.Contains(text, word) {
						t.Errorf("%q is in\n%s", word, text)
					}
				}
			}
		})
	}
}

// allOf is all that is said of a finding.
func allOf(f check.Finding) string {
	lines := []string{f.Says}
	for _, e := range f.Evidence {
		lines = append(lines, e.Path+": "+e.Value)
	}
	if f.Fix != nil {
		lines = append(lines, f.Fix.Text)
		for _, c := range f.Fix.Commands {
			lines = append(lines, c.String())
		}
	}
	return strings.Join(lines, "\n")
}

// lxc-create makes no container where there is a configuration of its name.
func TestRootfsGone(t *testing.T) {
	const c1 = "/home/alice/.local/share/lxc/c1"
	for name, changes := range map[string][]change{
		"or, if it is gone, make the container again by lxc-create, as alice, under another name, or once this one is removed": {remove(c1 + "/rootfs"), appendTo("/absent", c1+"/rootfs\n")},
		"editor " + c1 + "/config": {remove(c1 + "/rootfs"), appendTo("/absent", c1+"/rootfs\n")},
		"not recorded":             {replace("/absent", c1+"/rootf\n", "")},
	} {
		findings := findingsOn(t, recorded(t, "tried/c-rootfs-missing", changes...), "c1")
		first := findings[slices.IndexFunc(findings, isTrouble)]
		if text := allOf(first); first.Name != "config-rootfs" || !strings.Contains(text, name) {
			t.Errorf("%q is not in\n%s: %s", name, first.Name, text)
		}
	}
}

// What a container's limits need and a session lacks is one trouble, and no two.
func TestOneCauseOfLimits(t *testing.T) {
	for _, name := range []string{"rpi-memory-off", "rpi-612-memory-absent"} {
		got := troubles(findingsOf(t, "field/"+name, "c1"))
		if want := []string{"failed:config-limits", "unknown:config-rootfs"}; !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
		if got, want := troubles(findingsOf(t, "field/"+name, "")), []string{"warning:controllers"}; !slices.Equal(got, want) {
			t.Errorf("%s without a container: got %q, want %q", name, got, want)
		}
	}
}
