package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/diff"
	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/cleanup"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/lock"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Every screen over a recorded machine, with its words and its exit code.
func TestScreens(t *testing.T) {
	const hybrid, openrc = "--root ../../delegate/testdata/debian12-v1-hybrid", "--root ../../delegate/testdata/openrc-v2"
	const adopted = "--root ../../delegate/testdata/"
	for name, args := range map[string]string{
		"status":                 hybrid + " status",
		"status-v2":              openrc + " status",
		"status-user":            hybrid + " ls --user tasks",
		"status-none":            "--root ../../delegate/testdata/debian12-v2-systemd status",
		"status-stale-mounts":    "--root ../../delegate/testdata/docker-cgroupns-stale status",
		"status-no-proc":         "--root testdata status",
		"status-tree":            hybrid + " status --tree",
		"status-tree-color":      hybrid + " --color always ls --tree",
		"status-json":            openrc + " status --json",
		"status-prometheus":      hybrid + " status --format prometheus",
		"status-prometheus-v2":   openrc + " status --format prometheus",
		"status-prometheus-none": "--root ../../delegate/testdata/debian12-v2-systemd status --format prometheus",
		"status-prometheus-left": "--root ../../delegate/testdata/docker-cgroupns-stale status --format prometheus",
		"status-prometheus-both": adopted + "systemd-hybrid-adopted status --format prometheus",
		"status-format-tree":     hybrid + " status --format tree",
		"status-unknown-format":  hybrid + " status --format yaml",
		"status-three-ways":      hybrid + " status --format prometheus -o user",
		"status-columns":         hybrid + " status -n -o session,USER,hierarchies",
		"status-unknown-column":  hybrid + " status -o user,nosuch",
		"status-two-ways":        hybrid + " status --json -l",
		"status-scopes":          adopted + "systemd-v2-adopted status",
		"status-scopes-tree":     adopted + "systemd-v2-adopted status --tree",
		"status-scopes-user":     adopted + "systemd-v2-adopted status -o user,session,scope -u alice",
		"status-scopes-hybrid":   adopted + "systemd-hybrid-adopted status -o user,session,scope,own,leader,processes,controllers",
		"status-scopes-json":     adopted + "systemd-hybrid-adopted status --json -u alice",
		"cleanup-dry-run":        hybrid + " cleanup --dry-run",
		"cleanup-json":           hybrid + " cleanup --dry-run --json",
		"cleanup-watch-dry-run":  hybrid + " cleanup --dry-run --watch",
		"open-recorded":          hybrid + " open --user alice",
		"open-no-user":           "open",
		"open-bad-list":          "open --user alice -c all,memory",
		"open-init":              "open --user alice --pid 1",
		"close-no-user":          "close --pid 1",
		"help-open":              "open --help",
		"help-close":             "close --help",
		"help-run":               "run --help",
		"help-path":              "path --help",
		"cleanup-dry-run-user":   openrc + " cleanup -n -u alice",
		"cleanup-recorded":       hybrid + " cleanup",
		"cleanup-bad-user":       hybrid + " cleanup -n --user a/b",
		"usage-no-command":       "",
		"usage-unknown-command":  "frobnicate",
		"usage-unknown-flag":     "status --nosuch",
		"usage-surplus-argument": "cleanup alice",
		"help-cleanup":           "cleanup --help",
		"help-status":            "status --help",
		"help-try":               "try --help",
		"try-recorded":           hybrid + " try alice",
		"try-no-user":            "try",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("LC_ALL", "C.UTF-8")
			var out, errOut bytes.Buffer
			code := run(strings.Fields(args), &out, &errOut)
			got := fmt.Sprintf("$ cgdeleg %s\n%s-- standard error --\n%s-- exit code %d --\n", args, &out, &errOut, code)
			requireGolden(t, name, got)
		})
	}
}

// requireGolden compares a screen with its golden file, or writes that.
func requireGolden(t *testing.T, name, got string) {
	t.Helper()
	golden := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s", diff.Diff(golden, want, "got", []byte(got)))
	}
}

func TestExplain(t *testing.T) {
	path := func(err error) error { return &os.PathError{Op: "open", Path: "/proc/1/cgroup", Err: err} }
	for name, test := range map[string]struct {
		err   error
		words string
		code  int
	}{
		"no root":     {&lock.Error{Path: "/run/cgdeleg/users/u", Err: unix.EACCES}, "removing sessions needs root: run it with sudo", exitPrivilege},
		"lock held":   {&lock.Error{Path: "/run/cgdeleg/users/u", Err: unix.EWOULDBLOCK}, "lock /run/cgdeleg/users/u: resource temporarily unavailable; another cgdeleg or a login holds it, try again", exitFailed},
		"hidepid":     {path(unix.EACCES), "open /proc/1/cgroup: permission denied; /proc may be mounted with hidepid: run it with sudo", exitUnknown},
		"no proc":     {path(unix.ENOENT), "open /proc/1/cgroup: no such file or directory", exitUnknown},
		"bad name":    {&layout.UserNameError{Name: "..", Reason: "means a directory"}, `user name "..": means a directory`, exitUsage},
		"privilege":   {needsRoot("this"), "this needs root: run it with sudo", exitPrivilege},
		"not removed": {&failure{"1 dead sessions could not be removed"}, "1 dead sessions could not be removed", exitFailed},
	} {
		t.Run(name, func(t *testing.T) {
			words, code := explain(test.err)
			if words != test.words || code != test.code {
				t.Errorf("got %q, %d; want %q, %d", words, code, test.words, test.code)
			}
		})
	}
}

func TestNotRemoved(t *testing.T) {
	busy := cleanup.Cleaned{User: "a", Left: unix.EBUSY}
	large := cleanup.Cleaned{User: "b", Left: fmt.Errorf("walk: %w", cgroupfs.ErrBudget)}
	if err := notRemoved([]cleanup.Cleaned{busy, {User: "c"}}); err != nil {
		t.Errorf("sessions in use are no failure, got %v", err)
	}
	var failed *failure
	if err := notRemoved([]cleanup.Cleaned{busy, large}); !errors.As(err, &failed) {
		t.Errorf("got %v, want a failure", err)
	}
}

func TestPrintable(t *testing.T) {
	for name, want := range map[string]string{
		"alice": "alice", "jürgen": "jürgen", "two words": `"two words"`, `DOMAIN\user`: `"DOMAIN\\user"`, "a\u202eb": `"a\u202eb"`,
	} {
		if got := printable(name); got != want {
			t.Errorf("printable(%q) = %s, want %s", name, got, want)
		}
	}
}
