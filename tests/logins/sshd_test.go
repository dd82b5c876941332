package logins

import (
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed/sshd"
)

// typed answers sshd's questions with the password. sshd runs that part of PAM
// in a process of its own.
func typed() ssh.AuthMethod {
	return ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
		answers := make([]string, len(questions))
		for i := range answers {
			answers[i] = testbed.Password
		}
		return answers, nil
	})
}

func TestSSH(t *testing.T) {
	for name, c := range map[string]struct {
		auth []ssh.AuthMethod // none: the public key
		look func(*testing.T, *sshd.Client) string
	}{
		"public key":                {nil, onPipe},
		"public key, pty":           {nil, onPTY},
		"keyboard-interactive":      {[]ssh.AuthMethod{typed()}, onPipe},
		"keyboard-interactive, pty": {[]ssh.AuthMethod{typed()}, onPTY},
	} {
		t.Run(name, func(t *testing.T) {
			service(t, "sshd", "/usr/sbin/sshd")
			u := testbed.AddUser(t, "cglogssh", 21030)
			server := sshd.Start(t, sshd.Options{})
			repeat(t, []testbed.User{u}, func(t *testing.T) {
				login := server.Login(t, u.Name, c.auth...)
				output := c.look(t, login)
				login.Logout()
				wantFirst(t, u, output)
			})
		})
	}
}

func onPipe(t *testing.T, login *sshd.Client) string {
	t.Helper()
	return login.Must(t, probe)
}

func onPTY(t *testing.T, login *sshd.Client) string {
	t.Helper()
	session, err := login.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if err := session.RequestPty("dumb", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	out, err := session.CombinedOutput("tty && " + probe)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}
