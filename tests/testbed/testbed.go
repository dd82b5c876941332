package testbed

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Password is the password of every user that AddUser makes.
const Password = "secret"

// PasswordHash is crypt(3)'s of Password.
const PasswordHash = "$6$cgdeleg$5HTeKCkzfDSmV/ccNLYaIq.9ucf4gnYHDmn4gw8EIDGe7CpmgsGcVgYRDYKuAgBVJqyJ1724lm/uDO8MNvmTn."

// User is an account in the private /etc/passwd.
type User struct {
	Name     string
	UID, GID int
	Home     string
}

// Need skips the test where tier 2 cannot run, and where a program is missing.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	if missing != "" {
		t.Skip(missing)
	}
	for _, p := range programs {
		if p == "gcc" && prebuilt() != "" {
			continue
		}
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if Musl() {
			t.Skipf("the Alpine-like root has no %s (docs/musl.md says why)", p)
		}
		t.Skipf("needs %s: run `make setup`", p)
	}
}

// Musl says whether this is the Alpine-like root of tests/musl: its
// applications, its PAM and the module are built with musl, and the worker is a
// program.
func Musl() bool { return prebuilt() != "" }

// prebuilt is the folder with the tests' C programs where there is no compiler;
// elsewhere empty. tests/musl/run.sh sets it.
func prebuilt() string { return os.Getenv("CGDELEG_PREBUILT") }

// AddUser makes an account for the length of the test, with a home directory
// and subordinate IDs, and at the end looks that none of its cgroups is left.
// The name may be one that useradd refuses, as long as it has no colon.
func AddUser(t testing.TB, name string, uid int) User {
	t.Helper()
	u := User{Name: name, UID: uid, GID: uid, Home: fmt.Sprintf("/home/u%d", uid)}
	appendLine(t, "/etc/passwd", fmt.Sprintf("%s:x:%d:%d::%s:/bin/bash", name, u.UID, u.GID, u.Home))
	appendLine(t, "/etc/group", fmt.Sprintf("g%d:x:%d:", uid, u.GID))
	appendLine(t, "/etc/shadow", fmt.Sprintf("%s:%s:19000:0:99999:7:::", name, PasswordHash))
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		appendLine(t, file, fmt.Sprintf("%s:%d:65536", name, uid<<16))
	}
	if err := os.Mkdir(u.Home, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(u.Home, u.UID, u.GID); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		WantNothingLeft(t, name)
		for _, file := range []string{"/etc/passwd", "/etc/group", "/etc/shadow", "/etc/subuid", "/etc/subgid"} {
			removeLines(t, file, name, fmt.Sprintf("g%d", uid))
		}
		if err := os.RemoveAll(u.Home); err != nil {
			t.Error(err)
		}
	})
	return u
}

func appendLine(t testing.TB, file, line string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintln(f, line); err != nil {
		t.Fatal(err)
	}
}

func removeLines(t testing.TB, file string, names ...string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var kept strings.Builder
	for line := range strings.Lines(string(data)) {
		name, _, _ := strings.Cut(line, ":")
		if name != names[0] && name != names[1] {
			kept.WriteString(line)
		}
	}
	if err := os.WriteFile(file, []byte(kept.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Root returns the top folder of the project.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "pam", "module.c")); err == nil {
			return dir
		}
	}
	t.Fatal("no folder with pam/module.c above the test")
	return ""
}

// Built returns the path of a file that make put into build/, or of another build of it in
// the folder that CGDELEG_BUILT names (tests/sanitizers).
func Built(t testing.TB, name string) string {
	t.Helper()
	if other := filepath.Join(os.Getenv("CGDELEG_BUILT"), name); other != name {
		if _, err := os.Stat(other); err == nil {
			return other
		}
	}
	path := filepath.Join(Root(t), "build", name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run `make` first", err)
	}
	return path
}

// SessionLine returns a PAM line for the built module.
func SessionLine(t testing.TB, options string) string {
	return "session optional " + Built(t, "pam_cgdeleg.so") + " " + options
}

// WriteService writes the private /etc/pam.d/SERVICE for the length of the
// test. It authenticates with pam_unix, or not at all where the application is
// root.
func WriteService(t testing.TB, service string, sessionLines ...string) {
	t.Helper()
	writeService(t, service, append([]string{"auth sufficient pam_rootok.so"}, asking(sessionLines)...))
}

// WriteAskingService is WriteService for applications that run as root and are
// to ask for the password nevertheless, as sshd and login do.
func WriteAskingService(t testing.TB, service string, sessionLines ...string) {
	t.Helper()
	writeService(t, service, asking(sessionLines))
}

func asking(sessionLines []string) []string {
	return append([]string{
		"auth required pam_unix.so",
		"account required pam_unix.so",
		"password required pam_deny.so",
		"session required pam_permit.so",
	}, sessionLines...)
}

func writeService(t testing.TB, service string, lines []string) {
	t.Helper()
	path := filepath.Join("/etc/pam.d", service)
	before, existed := os.ReadFile(path)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if existed == nil {
			_ = os.WriteFile(path, before, 0o644)
		} else {
			_ = os.Remove(path)
		}
	})
}

// TempDir makes a directory for the length of the test that all users can enter and
// whose path is fit for the files of PAM and sshd, wherever $TMPDIR is.
func TempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/run", "test") // private to the tests
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// CompileC builds a C program of the tests; gcc's further arguments are
// libraries, or -shared -fPIC for a PAM module; CGDELEG_CFLAGS has more. In the Alpine-like
// root it takes what was built there beforehand.
func CompileC(t testing.TB, source string, further ...string) string {
	t.Helper()
	program := filepath.Join(TempDir(t), strings.TrimSuffix(filepath.Base(source), ".c"))
	if dir := prebuilt(); dir != "" {
		copyFile(t, filepath.Join(dir, filepath.Base(program)), program)
		return program
	}
	args := append([]string{"-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", "-o", program, source}, further...)
	args = append(args, strings.Fields(os.Getenv("CGDELEG_CFLAGS"))...)
	if out, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	return program
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o755); err != nil {
		t.Fatal(err)
	}
}
