package main

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/usage"
)

// parsedLimits are the limits that the options come to.
func parsedLimits(args ...string) (list []limits.Limit, err error) {
	var words limitWords
	cmd := &cobra.Command{RunE: func(cmd *cobra.Command, _ []string) error {
		list, err = words.parse(cmd.Flags().Changed)
		return nil
	}}
	words.add(cmd)
	cmd.SetArgs(args)
	if err := cmd.Execute(); err != nil {
		return nil, err
	}
	return list, err
}

// What options come to is what the same comes to in limits.conf.
func TestRunOptions(t *testing.T) {
	for args, want := range map[string]string{
		"":                                "",
		"--memory 1.5G":                   "memory.max=1536M",
		"--memory 20%":                    "memory.max=20%",
		"--memory max":                    "memory.max=max",
		"--memory 2G --swap 0":            "memory.max=2G memory.swap.max=0",
		"--cpus 1.5":                      "cpu.max=150%",
		"--cpus 0.25":                     "cpu.max=25%",
		"--cpus .5":                       "cpu.max=50%",
		"--cpus 2":                        "cpu.max=200%",
		"--cpus 0.001":                    "cpu.max=0.1%",
		"--cpus 1.2345":                   "cpu.max=123.45%",
		"--cpus 0010":                     "cpu.max=1000%",
		"--cpus max":                      "cpu.max=max",
		"--tasks 100":                     "pids.max=100",
		"--io /dev/sda,rbps=10M,wbps=max": "io.max=/dev/sda rbps=10M wbps=max",
		"--io 8:0,riops=1K --io /,wbps=1": "io.max=8:0 riops=1000 io.max=/ wbps=1",
	} {
		list, err := parsedLimits(strings.Fields(args)...)
		var got []string
		for _, l := range list {
			got = append(got, l.String())
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: got %q, %v, want %s", args, got, err, want)
		}
	}
	if list, err := parsedLimits("--io", "/a,b rbps=1M"); err != nil || len(list) != 1 || list[0].Value.Device != "/a,b" {
		t.Errorf("a path with a comma: %v, %v", list, err)
	}
}

// A wrong value is an error of usage that names the option, the value, and what is right.
func TestRunWrongOptions(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"--memory 2X", `--memory "2X": not a number; want bytes with K, M, G or T, a percentage, or max: 512M, 1.5G, 20%`},
		{"--memory 2", `--memory "2": no program starts in less than 1M; want bytes with K, M, G or T: 512M, 1.5G`},
		{"--memory=", `--memory "": not a number; want bytes`},
		{"--swap -1", `--swap "-1": not a number`},
		{"--cpus 1,5", `--cpus "1,5": want a number of CPUs with four digits after the point at most, or max: 1.5, 0.25`},
		{"--cpus 150%", `--cpus "150%": want a number of CPUs`},
		{"--cpus 1.", `--cpus "1.": want a number of CPUs`},
		{"--cpus .", `--cpus ".": want a number of CPUs`},
		{"--cpus 1.23456", `--cpus "1.23456": want a number of CPUs`},
		{"--cpus=", `--cpus "": want a number of CPUs`},
		{"--cpus 0", `--cpus "0": out of bounds; want a number of CPUs with four digits after the point at most, or max: 1.5, 0.25; at least 0.001`},
		{"--tasks many", `--tasks "many": not a number; want a number of processes`},
		{"--io /dev/sda", `--io "/dev/sda": not a device and its rates; want a device, or a path on one, and rates: /dev/sda,rbps=10M`},
		{"--io sda,rbps=1M", `--io "sda,rbps=1M": the device is neither an absolute path nor MAJ:MIN`},
		{"--io /,rbps=0", `--io "/,rbps=0": rbps: 0 would be no access at all`},
		{"--io /,rbps=1M --io /,wbps=1M", `--io "/,wbps=1M": there are two options for /; give all its rates in one`},
	} {
		_, err := parsedLimits(strings.Fields(test.args)...)
		words, code := explain(err)
		if code != exitUsage || !strings.HasPrefix(words, test.want) {
			t.Errorf("%s: exit code %d, %s\nwant %s", test.args, code, words, test.want)
		}
	}
}

// Who has no cgroup for a limit is told how there is one.
func TestExplainRun(t *testing.T) {
	none := &delegate.NoWritableCgroupError{Cgroups: []hierarchy.Membership{{Hierarchy: "unified", Path: "/x"}}}
	list, err := parsedLimits("--memory", "2G", "--cpus", "1.5", "--tasks", "100", "--io", "/dev/sda,rbps=1K,wbps=max")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"no systemd":           {&noCgroupError{none, errNoSystemd, list}, "make others in: log in again, by a service whose PAM file has pam_cgdeleg.so, or ask cgdeleg check why it has none; it is in unified:/x"},
		"cgroup v1":            {&noCgroupError{none, errNotV2, list}, "why it has none; it is in"},
		"no variable":          {&noCgroupError{none, errNoDirectory, list}, "once this shell knows of it: export XDG_RUNTIME_DIR=/run/user/"},
		"no user manager":      {&noCgroupError{none, errNoManager, list}, "after: sudo loginctl enable-linger "},
		"no program":           {&noCgroupError{none, errNoProgram, list}, "systemd-run, which is not installed; it is in"},
		"root":                 {&noCgroupError{none, errIsRoot, list}, "systemd-run --scope -p MemoryMax=2G -p CPUQuota=150% -p TasksMax=100 -p 'IOReadBandwidthMax=/dev/sda 1024' -p 'IOWriteBandwidthMax=/dev/sda infinity' -- COMMAND; it is in"},
		"root, without limits": {&noCgroupError{none, errIsRoot, nil}, "systemd-run --scope -- COMMAND"},
		"no controller": {&delegate.NoControllerError{Limit: list[0], Controller: "memory", Delegated: []string{"freezer", "pids"}},
			"--memory: no delegated hierarchy has the controller memory; delegated: freezer pids; add memory to -c on the PAM line (where systemd manages cgroup v2: to Delegate= in session-.scope.d/50-cgdeleg.conf); nothing was run"},
		"no such limit":  {&limits.NoEquivalentError{Limit: limits.Limit{Name: limits.MemorySwapMax}, Hierarchy: "memory", Reason: "x"}, "--swap: memory.swap.max cannot be set in hierarchy memory: x; nothing was run"},
		"no such device": {fmt.Errorf("%w", &limits.SettingError{Limit: list[3], Err: &limits.DeviceError{Path: "/x", Err: syscall.ENOENT}}), "--io: /x: no such file or directory; nothing was run"},
	} {
		t.Run(name, func(t *testing.T) {
			if words, code := explain(test.err); code != exitFailed || !strings.Contains(words, test.want) {
				t.Errorf("exit code %d: %s\nwant %s", code, words, test.want)
			}
		})
	}
}

// The scope's cgdeleg is given the same options.
func TestScopeCommand(t *testing.T) {
	var given []string
	root := newRoot()
	cmd, _, err := root.Find([]string{"run"})
	if err != nil {
		t.Fatal(err)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		given = givenFlags(cmd)
		return nil
	}
	root.SetArgs([]string{"run", "--memory", "2G", "--io", "/,rbps=1M", "--io", "/x y rbps=1M", "--report", "-p", "cpu.weight=50", "--", "make", "-j8"})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	r := runRequest{args: []string{"make", "-j8"}, given: given}
	want := []string{
		"systemd-run", "--user", "--scope", "--quiet", "--collect", "--property=Delegate=yes", "--",
		"/usr/bin/cgdeleg", "run", "--in-scope", "--io=/,rbps=1M", "--io=/x y rbps=1M", "--memory=2G", "--property=cpu.weight=50", "--report=true", "--", "make", "-j8",
	}
	if got := r.scopeCommand("/usr/bin/cgdeleg"); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// What a limit needs is asked of the cgroups that there are.
func TestHasControllers(t *testing.T) {
	home := func(hierarchy string, controllers ...string) delegate.Home {
		return delegate.Home{Cgroup: delegate.Cgroup{Hierarchy: hierarchy}, Controllers: controllers}
	}
	list, err := parsedLimits("--memory", "1G", "--io", "/,rbps=1M")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		homes []delegate.Home
		want  bool
	}{
		"v2":               {[]delegate.Home{home("unified", "memory", "io")}, true},
		"v2 without io":    {[]delegate.Home{home("unified", "memory", "pids")}, false},
		"v1":               {[]delegate.Home{home("memory", "memory"), home("blkio", "blkio")}, true},
		"v1 without blkio": {[]delegate.Home{home("memory", "memory"), home("unified")}, false},
		"nothing":          {nil, false},
	} {
		if got := hasControllers(test.homes, list); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func found(n int64) usage.Count { return usage.Count{Answer: machine.Found, N: n} }

// What the report says, by how the command ended and what was counted.
func TestRunReport(t *testing.T) {
	absent := usage.Count{Answer: machine.Absent}
	own := usage.Limit{Answer: machine.Found, IsSet: true, N: 64 << 20, File: "memory.max", FromBase: "/user/alice/0/run-77", IsOwn: true}
	above := own
	above.FromBase = "/user/alice"
	quiet := usage.Usage{
		Memory: usage.Memory{Peak: found(20 << 20), OOMKills: found(0)}, CPU: usage.CPU{Used: found(1_500_000_000)}, Processes: usage.Processes{Peak: found(7), Refused: found(0)},
	}
	killed := usage.Usage{
		Memory:    usage.Memory{Peak: found(64 << 20), Max: own, OOMKills: found(1)},
		CPU:       usage.CPU{Used: found(300_000_000), ThrottledTime: found(100_000_000), Throttled: found(3), Periods: found(10)},
		Processes: usage.Processes{Peak: found(4), Max: usage.Limit{Answer: machine.Found, IsSet: true, N: 100}, Refused: found(0)},
	}
	crowded := quiet
	crowded.Processes = usage.Processes{Peak: found(4), Max: usage.Limit{Answer: machine.Found, IsSet: true, N: 3}, Refused: found(2)}
	uncounted := usage.Usage{
		Memory: usage.Memory{Peak: absent, OOMKills: absent}, CPU: usage.CPU{Used: usage.Count{}, ThrottledTime: absent}, Processes: usage.Processes{Peak: absent, Refused: absent},
	}
	const byKill, bySegv = syscall.WaitStatus(syscall.SIGKILL), syscall.WaitStatus(syscall.SIGSEGV)
	exited := func(code int) syscall.WaitStatus { return syscall.WaitStatus(code << 8) }
	var all strings.Builder
	for _, test := range []struct {
		title   string
		status  syscall.WaitStatus
		used    usage.Usage
		reached *usage.Limit
	}{
		{"ended well", exited(0), quiet, nil},
		{"failed", exited(2), quiet, nil},
		{"its own limit", byKill, killed, &own},
		{"a limit above", byKill, killed, &above},
		{"it was not seen which limit", byKill, killed, nil},
		{"a child of a shell", exited(137), killed, &own},
		{"a child, and it went on", exited(3), killed, &own},
		{"killed by somebody", byKill, quiet, nil},
		{"a shell's child was, by somebody", exited(137), quiet, nil},
		{"killed, and nothing counts why", byKill, uncounted, nil},
		{"another signal", bySegv, quiet, nil},
		{"another signal, and a child was killed", bySegv, killed, &above},
		{"too many processes", exited(2), crowded, nil},
	} {
		r := runReport{name: "make", status: test.status, threads: 4, Usage: test.used}
		if test.reached != nil {
			r.reached, r.isReached = *test.reached, true
		}
		fmt.Fprintf(&all, "-- %s --\n", test.title)
		r.print(&all)
	}
	requireGolden(t, "run-report", all.String())
}
