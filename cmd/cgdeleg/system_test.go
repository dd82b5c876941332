package main

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Programs that say their version, or what may be in their place.
func TestVersionOf(t *testing.T) {
	const endless, short = time.Minute, 300 * time.Millisecond
	for name, test := range map[string]struct {
		script, want string
		failure      string
		patience     time.Duration // 0: endless, and it must not be needed
	}{
		"a version":                   {"echo crun version 1.8.1; echo commit: 7", "1.8.1", "", 0},
		"nothing else":                {"printf 5.0.2", "5.0.2", "", 0},
		"an error":                    {"echo no such thing; exit 1", "", `it said "no such thing"`, 0},
		"nothing":                     {"", "", `it said nothing`, 0},
		"a version, and failure":      {"echo crun version 1.21; exit 1", "1.21", "", 0},
		"control characters":          {`printf 'runc version 1.\033[31m1\n'`, "", `"runc version`, 0},
		"a flood":                     {"exec cat /dev/zero", "", `it said`, 0},
		"what it started hangs":       {"echo podman version 4.3.1; sleep 100 & exit", "4.3.1", "", 0},
		"words on the standard error": {"echo runroot must be set >&2; exit 1", "", "runroot must be set", 0},
		"it hangs":                    {"sleep 100 & sleep 100", "", `signal: killed`, short},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			got := versionWithin(cmp.Or(test.patience, endless), "/bin/sh", "-c", test.script)
			took := time.Since(began)
			if got.version != test.want || !strings.Contains(got.failure, test.failure) || (got.failure == "") != (test.failure == "") {
				t.Errorf("got %+v, want %q, failure %q", got, test.want, test.failure)
			}
			if took < test.patience || took > endless/2 {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// Root's programs are not looked for in PATH.
func TestLookPath(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if err := os.WriteFile(filepath.Join(dir, "true"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if path, err := lookPath("true"); err != nil || filepath.Dir(path) == dir {
		t.Errorf("true is %q: %v", path, err)
	}
}

// Who asks as root is who typed the command: sudo and pkexec tell the number, doas the name.
func TestAskers(t *testing.T) {
	for name, test := range map[string]struct {
		env  map[string]string
		want int
	}{
		"sudo":                        {map[string]string{"SUDO_UID": "4242"}, 4242},
		"pkexec":                      {map[string]string{"PKEXEC_UID": "4243"}, 4243},
		"doas":                        {map[string]string{"DOAS_USER": "nobody"}, 65534},
		"doas by root":                {map[string]string{"DOAS_USER": "root"}, -1},
		"doas by nobody who is known": {map[string]string{"DOAS_USER": "nosuch user"}, -1},
		"no number":                   {map[string]string{"SUDO_UID": "alice"}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			setAskers(t, nil)
			others := askers() // that of this login
			setAskers(t, test.env)
			want := others
			if test.want >= 0 {
				want = append([]int{test.want}, others...)
			}
			if got := askers(); !slices.Equal(got, want) {
				t.Errorf("got %d, want %d", got, want)
			}
		})
	}
}

// The kernel is asked for a user namespace, and what forbids one is told from what says
// nothing.
func TestUserNamespace(t *testing.T) {
	if _, err := exec.LookPath("unshare"); err != nil {
		t.Skip("unshare(1) is not installed")
	}
	err, isAsked := liveSystem{}.UserNamespace()
	allowed := exec.Command("unshare", "--user", "true").Run() == nil
	if isAsked && (err == nil) != allowed {
		t.Errorf("it says %v, and unshare(1) can make one: %v", err, allowed)
	}
	if !isAsked && allowed {
		t.Error("it was not asked, and unshare(1) can make one")
	}
}
