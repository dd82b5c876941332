package check

import (
	"strings"
	"testing"
)

func TestAsksLoginShell(t *testing.T) {
	for line, want := range map[string]bool{
		"": false, "sudo": false, "sudo -i": true, "sudo -u anna -i": true, "sudo -iu anna": true, "sudo -Hiu anna": true, "sudo --login": true,
		"sudo -u anna": false, "sudo -ui": false, "sudo -u i": false, "sudo -uanna -i": true, "sudo --user anna -i": true, "sudo --user=anna -i": true,
		"sudo -u anna bash -i": false, "sudo -u anna -- bash -i": false, "sudo A=b -i": true, "sudo -u anna ls -l": false, "/usr/bin/sudo -nSi": true,
		"su": false, "su -": true, "su - anna": true, "su anna": false, "su -l anna": true, "su anna -l": true, "su --login anna": true,
		"su anna -c ls": false, "su anna -c -l": false, "su -pl anna": true, "su -s /bin/sh anna": false, "su -- -l": false, "su -lc id anna": true,
		"runuser -l anna": true, "runuser -u anna -- ls -l": false, "runuser -u anna": false,
	} {
		if got := asksLoginShell(strings.Fields(line)); got != want {
			t.Errorf("%s: %v", line, got)
		}
	}
}
