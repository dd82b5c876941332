package commands

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// pagerKeys are what turns a pager into a way to everything, each with the enter key after
// it and after what follows from it: a shell, a pipe, an editor, another file, a log.
var pagerKeys = []string{"!touch /home/marks/shell\r\r", "| touch /home/marks/pipe\r\r", ":e /home/secret\r\r", "E/home/secret\r\r", "s/home/marks/log\r\r", "v\r\r"}

// Who may run cgdeleg alone by sudo gets nothing else by its pager: no program, no other
// file, and no log, whatever their variables are and whichever less there is. The last
// rows show what would come of it.
func TestSudosPager(t *testing.T) {
	testbed.Need(t, "sudo", "less", "busybox")
	u := testbed.AddUser(t, "cgpager", 24110)
	program := forUsers(t)
	testbed.WriteService(t, "sudo")
	write(t, "/etc/sudoers.d/cgpager", 0o440, "Defaults:cgpager env_keep += \"PAGER EDITOR HOME XDG_CONFIG_HOME LESSOPEN LESSKEYIN LESSSECURE LESSSECURE_ALLOW\"\n"+
		"cgpager ALL=(ALL) NOPASSWD: "+program+" check --list\n")
	write(t, "/home/secret", 0o600, "thesecret\n")
	write(t, filepath.Join(u.Home, ".lesskey"), 0o644, "#env\nLESSSECURE_ALLOW = shell,pipe,edit,examine,logfile,lessopen\n")
	hostile := []string{"PAGER=touch /home/marks/pager", "EDITOR=touch /home/marks/editor; :", "LESSOPEN=|touch /home/marks/open; cat %s",
		"LESSSECURE=", "LESSSECURE_ALLOW=shell,pipe,edit,examine,logfile,lessopen", "LESSKEYIN=" + u.Home + "/.lesskey"}
	for _, test := range []struct {
		name    string
		less    string // what /usr/bin/less is, if not less
		by      testbed.User
		command []string
		env     []string
		isPaged bool
		want    string // one of the marks that are left
	}{
		{"sudo", "", u, []string{"sudo", "-n", program, "check", "--list"}, hostile, true, ""},
		{"sudo with busybox's less", "busybox", u, []string{"sudo", "-n", program, "check", "--list"}, hostile, false, ""},
		{"another user by sudo", "", u, []string{"sudo", "-n", "-u", "daemon", program, "check", "--list"}, hostile, true, ""},
		{"root's own pager", "", testbed.User{Home: "/root"}, []string{program, "check", "--list"}, []string{"PAGER=touch /home/marks/pager"}, false, "pager"},
		{"root's own less", "", testbed.User{Home: "/root"}, []string{program, "check", "--list"}, []string{"PAGER=less"}, true, "shell"},
		{"root's own busybox", "busybox", testbed.User{Home: "/root"}, []string{program, "check", "--list"}, []string{"PAGER=/usr/bin/less"}, true, "log"},
	} {
		t.Run(test.name, func(t *testing.T) {
			marks := makeMarks(t)
			if test.less != "" {
				standIn(t, "/usr/bin/less", test.less)
			}
			text := pressAll(t, test.by, test.isPaged, test.env, test.command...)
			if test.want == "" && !strings.Contains(text, "CGD-001") {
				t.Errorf("it shows %q", text)
			}
			left, err := os.ReadDir(marks)
			if err != nil {
				t.Fatal(err)
			}
			_, err = os.Stat(filepath.Join(marks, test.want))
			if isClean := len(left) == 0 && !strings.Contains(text, "thesecret"); test.want == "" && !isClean || err != nil {
				t.Errorf("left: %v; shown:\n%q", left, text)
			}
		})
	}
}

func write(t *testing.T, file string, mode os.FileMode, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(file) })
}

// makeMarks makes the directory in which programs leave what tells of them.
func makeMarks(t *testing.T) string {
	t.Helper()
	const marks = "/home/marks"
	if err := os.Mkdir(marks, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(marks, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(marks) })
	return marks
}

// standIn puts one program in another's place.
func standIn(t *testing.T, file, program string) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(path, file, "", unix.MS_BIND, ""); err != nil { // in this mount namespace
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(file, unix.MNT_DETACH) })
}

// pressAll runs a command on a terminal of the user's, as often as there are keys, and
// presses these if a pager waits for them. It returns all that was shown.
func pressAll(t *testing.T, by testbed.User, isPaged bool, env []string, command ...string) string {
	t.Helper()
	var all strings.Builder
	for _, keys := range pagerKeys {
		cmd := exec.Command(command[0], command[1:]...)
		cmd.Dir = "/"
		cmd.Env = append([]string{"TERM=xterm", "PATH=/usr/bin:/bin", "HOME=" + by.Home, "LC_ALL=C.UTF-8"}, env...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(by.UID), Gid: uint32(by.GID)}}
		p := startOnPty(t, cmd)
		if isPaged {
			p.await(0, "CGD-001")
			time.Sleep(200 * time.Millisecond)
			p.press(keys)
			time.Sleep(300 * time.Millisecond) // what a key starts
			p.press("q")
			p.finish("qq")
		} else {
			p.finish("")
		}
		all.WriteString(p.said())
	}
	return all.String()
}

// finish waits for the end, and presses further keys until it comes.
func (p *onPty) finish(keys string) {
	p.t.Helper()
	ended := make(chan struct{})
	go func() { _ = p.cmd.Wait(); close(ended) }() // how it ended is not asked
	deadline := time.After(testbed.Patience)
	for {
		select {
		case <-ended:
			return
		case <-deadline:
			_ = p.cmd.Process.Kill()
			p.t.Errorf("it does not end: %q", p.said())
			<-ended
			return
		case <-time.After(time.Second):
			p.press(keys)
		}
	}
}
