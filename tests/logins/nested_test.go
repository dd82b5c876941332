package logins

import (
	"fmt"
	"maps"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed/sshd"
)

// outward logs the outer user in on a terminal, to run the command.
type outward func(t *testing.T, u testbed.User, command string) *terminal

// A login inside of another takes its application out of the outer session for as
// long as it lasts, and no other process.
func TestLoginInsideLogin(t *testing.T) {
	for application, login := range map[string]outward{"su-l": bySu, "sshd": bySSH} {
		for inner, command := range map[string]string{
			"sudo": "sudo -n -u cgloginner " + innerScript,
			"su":   "su cgloginner -c",
		} {
			t.Run(inner+" inside "+application, func(t *testing.T) {
				service(t, application, "su", "ssh", "/usr/sbin/sshd")
				service(t, inner, inner)
				writeService(t, inner, testbed.SessionLine(t, "close=wait "+threeHierarchies)) // the outer login looks at once
				a := testbed.AddUser(t, "cglogouter", 21050)
				b := testbed.AddUser(t, "cgloginner", 21051)
				sudoers(t, a, "use_pty")
				writeScripts(t, command, b)

				terminal := login(t, a, outerScript)
				output := terminal.await("inner\\s")
				if inner == "su" {
					terminal.await("Password: ")
					terminal.enter(testbed.Password)
				}
				wantUndisturbed(t, a, b, output+terminal.finish())
			})
		}
	}
}

const (
	outerScript = "/home/outer"
	innerScript = "/home/inner"
)

// writeScripts writes what the two users run. Both look where a process of the
// outer user is: before, during and after the inner login.
func writeScripts(t *testing.T, innerCommand string, inner testbed.User) {
	t.Helper()
	writeFile(t, innerScript, 0o755, "#!/bin/sh", "echo during", "cat /proc/$ASLEEP/cgroup", probe)
	innerCommand = strings.Replace(innerCommand, innerScript, "ASLEEP=$! "+innerScript, 1)
	if strings.HasSuffix(innerCommand, "-c") {
		innerCommand += ` "ASLEEP=$! ` + innerScript + `"`
	}
	outer := []string{"#!/bin/sh", "sleep 600 &", "echo before", "cat /proc/$!/cgroup", probe, "echo inner", innerCommand}
	for _, h := range testbed.Hierarchies() {
		outer = append(outer, fmt.Sprintf("[ ! -d %s/user/%s ] || echo left-in-%s", h.Point, inner.Name, h.Name))
	}
	writeFile(t, outerScript, 0o755, append(outer, "echo after", "cat /proc/$!/cgroup", probe, "kill $!", "wait $! || true")...) // a process that is still ending keeps its session
}

// wantUndisturbed looks at what the scripts wrote.
func wantUndisturbed(t *testing.T, outer, inner testbed.User, output string) {
	t.Helper()
	_, output, _ = strings.Cut(output, "before")
	before, output, _ := strings.Cut(output, "during")
	during, after, _ := strings.Cut(output, "after")

	number := wantOwnSession(t, outer, before, here(t))
	if n := wantOwnSession(t, inner, during, here(t)); n != 0 {
		t.Errorf("the inner session is number %d, want 0", n)
	}
	if n := wantOwnSession(t, outer, after, here(t)); n != number {
		t.Errorf("the outer session was number %d and is %d", number, n)
	}
	if strings.Contains(during, "left-in") {
		t.Errorf("the inner session was left behind:\n%s", during)
	}
	asleep := func(text string) map[string]string {
		text, _, _ = strings.Cut(text, "probe-begin")
		return testbed.ParsePlacement(text)
	}
	want := asleep(before)
	if want["freezer"] != fmt.Sprintf("/user/%s/%d", outer.Name, number) {
		t.Errorf("the outer user's process is in %v", want)
	}
	for when, text := range map[string]string{"during": during, "after": after} {
		if got := asleep(text); !maps.Equal(got, want) {
			t.Errorf("the outer user's process was in %v; %s the inner login it is in %v", want, when, got)
		}
	}
}

// bySu keeps the terminal the controlling one, which -c would not.
func bySu(t *testing.T, u testbed.User, command string) *terminal {
	t.Helper()
	return onTerminal(t, root, "su", "-l", u.Name, "--session-command="+command)
}

// bySSH is the real client.
func bySSH(t *testing.T, u testbed.User, command string) *terminal {
	t.Helper()
	server := sshd.Start(t, sshd.Options{})
	host, port, _ := net.SplitHostPort(server.Addr)
	c := onTerminal(t, root, "ssh", "-tt", "-F", os.DevNull, "-p", port, "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile="+os.DevNull, "-o", "PreferredAuthentications=keyboard-interactive", u.Name+"@"+host, command)
	c.await("Password: ")
	c.enter(testbed.Password)
	return c
}
