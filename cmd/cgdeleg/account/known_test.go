package account

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

func TestKnown(t *testing.T) {
	const passwd, group = "root:x:0:0::/:/bin/sh\nalice:x:1000:1001::/:/bin/sh\n", "root:x:0:\nstudents:x:2000:alice\n"
	for _, test := range []struct {
		name, nsswitch string
		unknown        machine.Answer
	}{
		{"files alone", "passwd:\tfiles # sss\ngroup: files\n", machine.Absent},
		{"a directory", "passwd: files sss\ngroup: files [SUCCESS=merge] sss\n", machine.Unknown},
		{"nobody says", "", machine.Unknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.Mkdir(filepath.Join(dir, "etc"), 0o755))
			for name, text := range map[string]string{"passwd": passwd, "group": group, "nsswitch.conf": test.nsswitch} {
				must(t, os.WriteFile(filepath.Join(dir, "etc", name), []byte(text), 0o644))
			}
			m := machine.Recorded(dir)
			want := map[string]machine.Answer{"alice": machine.Found, "carol": test.unknown, "1000": test.unknown, "-s": machine.Unknown}
			if got := Known(m, Users, []string{"alice", "carol", "1000", "-s"}); !maps.Equal(got, want) {
				t.Errorf("users: got %v, want %v", got, want)
			}
			want = map[string]machine.Answer{"students": machine.Found, "2000": machine.Found, "2001": test.unknown, "alice": test.unknown}
			if got := Known(m, Groups, []string{"students", "2000", "2001", "alice"}); !maps.Equal(got, want) {
				t.Errorf("groups: got %v, want %v", got, want)
			}
		})
	}
	if got := Known(machine.Recorded(t.TempDir()), Users, []string{"alice"}); got["alice"] != machine.Unknown {
		t.Errorf("nothing was recorded: got %v", got)
	}
}

// On the running machine getent(1) is asked, and what it does not say is unknown.
func TestKnownAsks(t *testing.T) {
	if _, err := exec.LookPath("getent"); err != nil {
		t.Skip("needs getent(1): ", err)
	}
	if got := Known(machine.Machine{}, Users, []string{"root", "nobody-is-called-this"}); got["root"] != machine.Found || got["nobody-is-called-this"] != machine.Absent {
		t.Errorf("got %v", got)
	}
	dir := t.TempDir()
	for script, want := range map[string]machine.Answer{
		"exit 1":                              machine.Unknown,
		"exit 2":                              machine.Absent,
		"echo somebody:x:7:7::/:/; exit 2":    machine.Absent,
		"echo nobody-else:x:7:7::/:/; exit 2": machine.Found,
		"kill -9 $$":                          machine.Unknown,
	} {
		must(t, os.WriteFile(filepath.Join(dir, "getent"), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
		t.Setenv("PATH", dir+":/usr/bin:/bin")
		if got := Known(machine.Machine{}, Users, []string{"nobody-else"}); got["nobody-else"] != want {
			t.Errorf("%s: got %v, want %v", script, got, want)
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, "getent"), []byte("#!/bin/sh\necho first:x:7:7::/:/\nexec sleep 600\n"), 0o755))
	got, begin := map[string]machine.Answer{}, time.Now()
	askDirectory(Users, []string{"first", "second"}, got, 2*time.Second)
	if got["first"] != machine.Found || got["second"] != machine.Unknown || time.Since(begin) > time.Minute {
		t.Errorf("a directory that hangs: got %v after %v", got, time.Since(begin))
	}
	t.Setenv("PATH", t.TempDir())
	if got := Known(machine.Machine{}, Groups, []string{"nobody-else"}); got["nobody-else"] != machine.Unknown {
		t.Errorf("without getent: got %v", got)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
