package clients

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
	"github.com/cgdeleg/pam_cgdeleg/tests/testbed/sshd"
)

// Logins in the container user-parent: its init runs an sshd on its loopback
// interface, and login(1) on a terminal.

// loginsInit is the part of the container's init that lets people log in.
const loginsInit = `
/bin/busybox ip link set lo up
/usr/sbin/sshd -e 2>/tmp/sshd.log
while :; do
	/bin/busybox setsid /sbin/agetty --noclear tty1 vt220
	/bin/busybox sleep 0.1
done &
`

// allowLogins gives the container what its sshd and login need, their PAM files
// with these session lines, and the user of the machine a key for ubuntu.
func (p *parent) allowLogins(t *testing.T, u testbed.User, session ...string) {
	t.Helper()
	testbed.Need(t, "ssh", "ssh-keygen", "/usr/sbin/sshd", "/bin/login", "/sbin/agetty")
	etc := filepath.Join(p.rootfs, "etc")
	for _, dir := range []string{etc + "/ssh", p.rootfs + "/run/sshd", p.rootfs + "/home/ubuntu/.ssh", p.rootfs + "/var/log"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	replaceIn(t, etc+"/shadow", "ubuntu:*:", "ubuntu:"+testbed.PasswordHash+":")
	pam := strings.Join(append([]string{
		"auth required pam_unix.so", "account required pam_unix.so", "session required pam_permit.so",
	}, session...), "\n") + "\n"
	for name, content := range map[string]string{
		"pam.d/sshd":  pam,
		"pam.d/login": pam,
		"ssh/sshd_config": "ListenAddress 127.0.0.1\nUsePAM yes\nUseDNS no\nPrintMotd no\nPidFile none\nLogLevel VERBOSE\n" +
			"StrictModes no\nHostKey /etc/ssh/host\n",
	} {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	appendTo(t, etc+"/passwd", "sshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n")
	writeOwned(t, u, ".ssh/config", "Host user-parent", "User ubuntu", "BatchMode yes", "StrictHostKeyChecking accept-new", "LogLevel ERROR",
		"ProxyCommand lxc-attach -n user-parent -- /bin/busybox nc 127.0.0.1 22")
	key := filepath.Join(u.Home, ".ssh/id_ed25519")
	for _, args := range [][]string{
		{"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key},
		{"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", etc + "/ssh/host"},
		{"cp", key + ".pub", p.rootfs + "/home/ubuntu/.ssh/authorized_keys"},
		{"chown", "-R", fmt.Sprintf("%[1]d:%[1]d", u.UID), filepath.Dir(key)},
		{"chown", "-R", fmt.Sprintf("%[1]d:%[1]d", p.root), etc, p.rootfs + "/run", p.rootfs + "/var"},
		{"chown", "-R", fmt.Sprintf("%[1]d:%[1]d", p.root+1000), p.rootfs + "/home/ubuntu"},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
}

func appendTo(t *testing.T, file, text string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, append(data, text...), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// insideShell is a shell of ubuntu's in the container, and how it ends.
type insideShell struct {
	*shell
	end func(t *testing.T)
}

// bySSH logs in through the container's own sshd, as the user types it in a
// login of the machine's.
func bySSH(t *testing.T, login *sshd.Client) insideShell {
	t.Helper()
	s := startShell(t, login, "ssh user-parent sh")
	return insideShell{s, s.end}
}

// bySu becomes ubuntu without a login's application in the container.
func bySu(t *testing.T, login *sshd.Client) insideShell {
	t.Helper()
	s := startShell(t, login, attachSu)
	return insideShell{s, s.end}
}

// byConsole logs in at the container's first terminal.
func byConsole(t *testing.T, login *sshd.Client) insideShell {
	t.Helper()
	session, err := login.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	in, out := startOnTerminal(t, session, "exec lxc-console -n user-parent -t 1")
	typeAt := func(prompt, text string) {
		t.Helper()
		await(t, session, out, prompt)
		if _, err := io.WriteString(in, text+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	typeAt("to enter Ctrl+a itself", "") // the terminal's prompt may have been before
	typeAt("login: ", "ubuntu")
	typeAt("assword: ", testbed.Password)
	// From here on the terminal is as quiet as a pipe.
	typeAt("$ ", "stty -echo; PS1= PS2=; echo quiet'ly'")
	await(t, session, out, "quietly\n")
	s := newShell(t, session, in, out)
	return insideShell{s, func(t *testing.T) {
		t.Helper()
		if _, err := io.WriteString(in, "exit\n"); err != nil {
			t.Fatal(err)
		}
		await(t, session, out, "login: ") // of the next one: PAM's session is closed
		if _, err := io.WriteString(in, "\x01q"); err != nil {
			t.Fatal(err)
		}
		if err := session.Wait(); err != nil {
			t.Errorf("lxc-console: %v", err)
		}
	}}
}

// startOnTerminal starts a command line on a terminal of its own.
func startOnTerminal(t *testing.T, session *ssh.Session, command string) (io.WriteCloser, *bufio.Reader) {
	t.Helper()
	in, err := session.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := session.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.RequestPty("vt220", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	if err := session.Start(command); err != nil {
		t.Fatal(err)
	}
	return in, bufio.NewReader(plain{out})
}

// plain reads from a terminal, which ends lines with a carriage return too.
type plain struct{ io.Reader }

func (p plain) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	return copy(b, bytes.ReplaceAll(b[:n], []byte("\r"), nil)), err
}

// await reads until the text comes.
func await(t *testing.T, session *ssh.Session, out *bufio.Reader, text string) {
	t.Helper()
	stop := time.AfterFunc(testbed.Patience, func() { _ = session.Close() })
	defer stop.Stop()
	var said strings.Builder
	for !strings.HasSuffix(said.String(), text) {
		c, err := out.ReadByte()
		if err != nil {
			t.Fatalf("no %q on the terminal: %v\n%s", text, err, said.String())
		}
		said.WriteByte(c)
	}
}
