// Package main is `make demo`: a login of an ordinary user through the real
// libpam with the built module, by `cgdeleg try`. The PAM file lies in a directory
// of its own; nothing in /etc changes.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

func main() {
	err := demo()
	var ended *exec.ExitError // cgdeleg has said why
	if errors.As(err, &ended) {
		os.Exit(ended.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func demo() error {
	who, err := ordinaryUser()
	if err != nil {
		return err
	}
	set, err := hierarchy.Find(machine.Machine{})
	if err != nil {
		return err
	}
	defer set.Close()
	defer tidyUp(set.All)()
	dir, err := os.MkdirTemp("", "cgdeleg-demo")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	module, err := filepath.Abs("../build/pam_cgdeleg.so")
	if err != nil {
		return err
	}
	line := "session optional " + module + " debug close=wait\n"
	if err := os.WriteFile(filepath.Join(dir, "demo"), []byte(line), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "other"), nil, 0o644); err != nil { // which libpam wants
		return err
	}
	fmt.Printf("The PAM file of this demo's service:\n%s\n# cgdeleg try %s --service demo --pam-dir %s\n", line, who.Username, dir)
	cmd := exec.Command("../build/cgdeleg", "try", who.Username, "--service", "demo", "--pam-dir", dir, "--trylogin", "../build/trylogin")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// ordinaryUser is who called sudo, or the first with a user ID from 1000 on, or
// nobody.
func ordinaryUser() (*user.User, error) {
	if name := os.Getenv("SUDO_USER"); name != "" && name != "root" {
		return user.Lookup(name)
	}
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(passwd)) {
		f := strings.Split(line, ":")
		if len(f) > 2 {
			if uid, err := strconv.Atoi(f[2]); err == nil && uid >= 1000 && uid < 60000 {
				return user.Lookup(f[0])
			}
		}
	}
	return user.Lookup("nobody")
}

// tidyUp returns a function that removes what the module leaves in place for
// the next login: an empty user/ and the v2 controllers it enabled at the base,
// unless they were there before the demo.
func tidyUp(found []*hierarchy.Hierarchy) func() {
	var undo []func()
	for _, h := range found {
		base := filepath.Join(h.Mount.Point, h.Base)
		users := filepath.Join(base, "user")
		if _, err := os.Stat(users); err != nil {
			undo = append(undo, func() { _ = syscall.Rmdir(users) })
		}
		control := filepath.Join(base, "cgroup.subtree_control")
		if before, err := os.ReadFile(control); err == nil {
			undo = append(undo, func() { disable(control, string(before)) })
		}
	}
	return func() {
		for _, f := range undo {
			f()
		}
	}
}

func disable(control, before string) {
	now, _ := os.ReadFile(control)
	for c := range strings.FieldsSeq(string(now)) {
		if !strings.Contains(" "+strings.TrimSpace(before)+" ", " "+c+" ") {
			_ = os.WriteFile(control, []byte("-"+c), fs.FileMode(0))
		}
	}
}
