package check_test

import (
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
)

// Lines of /etc/subuid and /etc/subgid that may be the user's, or that lack.
func TestSubIDsOfOthers(t *testing.T) {
	both := func(text string) change { return all(write("/etc/subuid", text), write("/etc/subgid", text)) }
	unnamed := replace("/etc/passwd", "alice:", "root2:")
	passwd := write("/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
	const line = "jdoe@corp.example:100000:65536\n"
	for name, test := range map[string]struct {
		change            change
		status            check.Status
		says, text, never string
	}{
		"a name that sss has":              {all(passwd, both(line), write("/etc/nsswitch.conf", "passwd: files [NOTFOUND=continue] sss\n")), check.Unknown, "the user's name, which sss has, is not known", "id -un 1000", ""},
		"no name, and no service":          {all(passwd, both(line), write("/etc/nsswitch.conf", "passwd: files systemd\n")), check.Failed, "fewer subordinate IDs", "", ""},
		"a name that sss has, and no line": {all(passwd, both(""), write("/etc/nsswitch.conf", "passwd: files sss\n")), check.Failed, "fewer subordinate IDs", "", ""},
		"a name that sss has, by number":   {all(passwd, both(line+"1000:200000:65536\n"), write("/etc/nsswitch.conf", "passwd: files sss\n")), check.OK, "65536", "", ""},
		"another name of the number":       {all(unnamed, both(line), write("/etc/nsswitch.conf", "passwd: files sss\n")), check.Failed, "fewer subordinate IDs", "", ""},
		"a carriage return, and no line": {all(write("/etc/subuid", "alice:100000:65536\r\n"), write("/etc/subgid", "")), check.Failed, "newuidmap does not take /etc/subuid:1",
			"here alice:100000:65536; and give alice IDs in /etc/subgid as well\nsudo editor /etc/subuid\nsudo usermod --add-subgids 100000-165535 alice", ""},
		"a carriage return in both":  {both("alice:100000:65536\r\n"), check.Failed, "newuidmap does not take /etc/subuid:1 and /etc/subgid:1", "sudo editor /etc/subuid /etc/subgid", "as well"},
		"a carriage return, and IDs": {all(write("/etc/subuid", "alice:100000:65536\r\n"), write("/etc/subgid", "alice:100000:65536\n")), check.Failed, "newuidmap does not take /etc/subuid:1", "sudo editor /etc/subuid", "usermod"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, finding := range findingsOn(t, recorded(t, v2, test.change), "") {
				if finding.Name != "subid" {
					continue
				}
				text := allOf(finding)
				if finding.Status != test.status || !strings.Contains(finding.Says, test.says) || !strings.Contains(text, test.text) || test.never != "" && strings.Contains(text, test.never) {
					t.Errorf("got %s: %s", finding.Status, text)
				}
			}
		})
	}
}
