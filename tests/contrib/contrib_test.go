// Package contrib tests the files of contrib/ with the programs that they are
// for: pam-auth-update, systemd, runit, s6, promtool, Ansible.
package contrib

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

func TestMain(m *testing.M) { os.Exit(testbed.MainAlone(m)) }

// file returns the path of a file or folder of contrib/.
func file(t *testing.T, name string) string {
	t.Helper()
	return filepath.Join(testbed.Root(t), "contrib", name)
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// need skips the test where a program is missing; package is Debian's that has it.
func need(t *testing.T, program, debian string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("needs %s: apt-get install %s", program, debian)
	}
}

// withBuilt puts build/, which has cgdeleg, in front of PATH.
func withBuilt(t *testing.T) {
	t.Helper()
	t.Setenv("PATH", filepath.Dir(testbed.Built(t, "cgdeleg"))+":"+os.Getenv("PATH"))
}

// run returns what a command says, both outputs together.
func run(t *testing.T, name string, args ...string) (said string, err error) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}

// must is run, of what has to work.
func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	said, err := run(t, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, said)
	}
	return said
}
