package check

import (
	"strings"
	"testing"
)

// What sshd's command line says, by its arguments or as it shows them itself.
func TestSSHDOptions(t *testing.T) {
	for _, test := range []struct{ cmdline, usePAM, file string }{
		{"/usr/sbin/sshd\x00-D\x00", "", ""},
		{"/usr/sbin/sshd\x00-D\x00-o\x00UsePAM=no\x00", "no", ""},
		{"/usr/sbin/sshd\x00-oUsePAM=no\x00", "no", ""},
		{"/usr/sbin/sshd\x00-o\x00usepam no\x00-o\x00UsePAM=yes\x00", "no", ""},
		{"/usr/sbin/sshd\x00-o\x00Port=22\x00UsePAM=no\x00", "", ""},
		{"/usr/sbin/sshd\x00-f\x00/etc/other\x00", "", "/etc/other"},
		{"/usr/sbin/sshd\x00-f/etc/other\x00", "", "/etc/other"},
		{"sshd: /usr/sbin/sshd -D -o UsePAM=no [listener] 0 of 10-100 startups", "no", ""},
		{"sshd: /usr/sbin/sshd -D -o UsePAM no [listener] 0 of 10-100 startups\x00\x00\x00", "no", ""},
		{"sshd: alice [priv]", "", ""},
		{"", "", ""},
	} {
		f := withFiles(t, map[string]string{"proc/7/cmdline": test.cmdline})
		if usePAM, file := sshdOptions(f.readArgs(7)); usePAM != test.usePAM || file != test.file {
			t.Errorf("%q: %q, %q", test.cmdline, usePAM, file)
		}
	}
}

// Lines of sshd_config(5), and what stands in other files.
func TestUsePAMIn(t *testing.T) {
	const conf = "etc/ssh/sshd_config"
	for name, test := range map[string]struct {
		files map[string]string
		yes   bool
		where string // "": it is not known
	}{
		"yes":                    {map[string]string{conf: "UsePAM yes\n"}, true, "/etc/ssh/sshd_config:1"},
		"no word":                {map[string]string{conf: "Port 22\n"}, false, "/etc/ssh/sshd_config"},
		"behind Match":           {map[string]string{conf: "Match all\nUsePAM yes\n"}, false, "/etc/ssh/sshd_config"},
		"a file elsewhere":       {map[string]string{conf: "Include /etc/crypto/a.conf\nUsePAM no\n", "etc/crypto/a.conf": "UsePAM yes\n"}, true, "/etc/crypto/a.conf:1"},
		"says nothing of it":     {map[string]string{conf: "Include /etc/crypto/a.conf\nUsePAM yes\n", "etc/crypto/a.conf": "Ciphers a\n"}, true, "/etc/ssh/sshd_config:2"},
		"one that is not there":  {map[string]string{conf: "Include /etc/crypto/a.conf\nUsePAM yes\n", "absent": "/etc/crypto/a.conf\n"}, true, "/etc/ssh/sshd_config:2"},
		"one not recorded":       {map[string]string{conf: "Include /etc/crypto/a.conf\nUsePAM yes\n", "absent": ""}, false, ""},
		"a pattern of folders":   {map[string]string{conf: "Include /etc/*/a.conf\nUsePAM yes\n"}, false, ""},
		"a pattern in a folder":  {map[string]string{conf: "Include x.d/*.conf\nUsePAM yes\n", "etc/ssh/x.d/1.conf": "UsePAM no\n"}, false, "/etc/ssh/x.d/1.conf:1"},
		"includes itself":        {map[string]string{conf: "Include sshd_config\n"}, false, ""},
		"two files of a pattern": {map[string]string{conf: "Include x.d/*.conf y.conf\n", "etc/ssh/x.d/1.conf": "Port 1\n", "etc/ssh/y.conf": "UsePAM yes\n"}, true, "/etc/ssh/y.conf:1"},
	} {
		t.Run(name, func(t *testing.T) {
			got := withFiles(t, test.files).usePAM()
			if got.known != (test.where != "") || got.known && (got.yes != test.yes || got.where.Path != test.where) {
				t.Errorf("got %+v", got)
			}
			if !got.known && !strings.Contains(got.where.Value, "not read") {
				t.Errorf("it does not say why: %+v", got)
			}
		})
	}
}
