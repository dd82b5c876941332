package check_test

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
)

// What is to be done outside of a container is said in the words of what has started it, and
// nothing that nobody can do in there.
func TestOutside(t *testing.T) {
	const masked = "every /proc here has something mounted over parts of it"
	for name, test := range map[string]struct {
		want       []string // troubles
		says, text string   // parts of the first one, and of its fix
		never      []string // in no fix
	}{
		"k8s-pod-v2":          {[]string{"failed:mounts", "failed:userns"}, "mounted read-only", "securityContext.privileged: true", []string{"--privileged", "mount -o", "mkdir"}},
		"docker-masked-proc":  {[]string{"failed:userns"}, masked, "start this container with --security-opt systempaths=unconfined", nil},
		"docker-seccomp-leaf": {[]string{"failed:userns"}, "filter of system calls (seccomp)", "with --security-opt seccomp=unconfined and --security-opt systempaths=unconfined", nil},
		"pve-no-nesting":      {[]string{"failed:userns"}, masked, "nesting=1", nil},
		"nspawn-U":            {[]string{"failed:subid"}, "none of this user namespace's", "--private-users=FIRST:NUMBER", []string{"lxc.idmap", "usermod"}},
		"lxd-isolated":        {[]string{"failed:subid"}, "none of this user namespace's", "security.idmap.size", []string{"lxc.idmap", "usermod"}},
	} {
		t.Run(name, func(t *testing.T) {
			findings := findingsOf(t, "tried/"+name, "")
			if got := troubles(findings); !slices.Equal(got, test.want) {
				t.Fatalf("got %q, want %q", got, test.want)
			}
			i := slices.IndexFunc(findings, func(f check.Finding) bool { return f.Status == check.Failed })
			if first := findings[i]; !strings.Contains(first.Says, test.says) || !strings.Contains(first.Fix.Text, "outside, ") || !strings.Contains(first.Fix.Text, test.text) {
				t.Errorf("it says %q, fixed by %q; want %q and %q", first.Says, first.Fix.Text, test.says, test.text)
			}
			for _, finding := range findings {
				wantNone(t, finding, test.never)
				for _, word := range test.never {
					if finding.Fix != nil && strings.Contains(finding.Fix.Text, word) {
						t.Errorf("%s is fixed by %q", finding.Name, finding.Fix.Text)
					}
				}
			}
		})
	}
}

// What a filter of system calls has the kernel tells, and without that nobody: of Docker's it
// is then not known, and others let user namespaces be made.
func TestFilter(t *testing.T) {
	const dockers, lxcs = "tried/docker-seccomp-leaf", "in-lxc-v2"
	alone := write("/proc/self/mountinfo", "21 24 0:20 / /proc rw - proc proc rw\n24 1 0:99 / / rw - overlay overlay rw\n34 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
	for name, test := range map[string]struct {
		machine string
		system  system
		want    check.Status
		says    string // a part
	}{
		"Docker's, not asked":       {dockers, system{}, check.Unknown, "cannot be told whether the filter"},
		"Docker's, which allows it": {dockers, system{isAsked: true}, check.OK, ""},
		"Docker's, which does not":  {dockers, system{isAsked: true, userNamespace: unix.EPERM}, check.Failed, "forbids user namespaces"},
		"LXC's, not asked":          {lxcs, system{}, check.OK, ""},
		"LXC's, which does not":     {lxcs, system{isAsked: true, userNamespace: unix.EPERM}, check.Failed, "forbids user namespaces"},
	} {
		t.Run(name, func(t *testing.T) {
			m := recorded(t, test.machine, alone)
			f := &check.Facts{Machine: m, System: test.system}
			var err error
			if f.Subject, err = check.Caller(m); err != nil {
				t.Fatal(err)
			}
			check.Gather(f)
			defer f.Close()
			got := check.Run(f, []*check.Check{check.ByName("userns")}, nil)[0]
			if got.Status != test.want || !strings.Contains(got.Says, test.says) {
				t.Errorf("got %s, %q", got.Status, got.Says)
			}
		})
	}
}

// A /proc is hidden only if no other is seen as a whole, and what is mounted over a directory
// that is always empty hides nothing.
func TestHiddenProc(t *testing.T) {
	const proc, sys = "21 24 0:20 / /proc rw,nosuid - proc proc rw\n", "61 21 0:20 /sys /proc/sys ro - proc proc rw\n"
	for name, test := range map[string]struct {
		lines  string
		hidden bool
	}{
		"a whole one":                    {proc, false},
		"one with a part covered":        {proc + sys, true},
		"another beside it":              {proc + sys + "80 24 0:44 / /dev/.lxc/proc rw - proc proc rw\n", false},
		"a read-only one beside it":      {proc + sys + "80 24 0:44 / /run/proc ro - proc proc ro\n", true},
		"a part of one beside it":        {proc + sys + "80 24 0:44 /sys /run/sys rw - proc proc rw\n", true},
		"binfmt_misc":                    {proc + "62 21 0:40 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw\n", false},
		"one of lxcfs's files":           {proc + "62 21 0:45 /proc/uptime /proc/uptime rw - fuse.lxcfs lxcfs rw\n", true},
		"something over another mount":   {proc + "62 24 0:45 / /mnt rw - tmpfs none rw\n", false},
		"the whole covered, and another": {proc + "62 21 0:45 / /proc rw - tmpfs none rw\n80 24 0:44 / /p rw - proc proc rw\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			mounts := test.lines + "24 1 0:99 / / rw - overlay overlay rw\n34 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
			got := findingsOn(t, recorded(t, "tried/docker-masked-proc", write("/proc/self/mountinfo", mounts)), "")
			if hidden := slices.Contains(troubles(got), "failed:userns"); hidden != test.hidden {
				t.Errorf("got %q", troubles(got))
			}
		})
	}
}
