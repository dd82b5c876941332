package contrib

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// AppArmor's parser takes the profile, and an application's that includes the abstraction.
// What they let programs do is tried where they are enforced, in tests/vm (apparmor.sh).
func TestAppArmor(t *testing.T) {
	need(t, "apparmor_parser", "apparmor")
	dir := t.TempDir() // stands for /etc/apparmor.d
	for _, folder := range []string{"abi", "abstractions", "tunables"} {
		if err := os.CopyFS(filepath.Join(dir, folder), os.DirFS(filepath.Join("/etc/apparmor.d", folder))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(dir, os.DirFS(file(t, "apparmor"))); err != nil {
		t.Fatal(err)
	}
	const application = "abi <abi/3.0>,\ninclude <tunables/global>\nprofile application /usr/bin/application {\n  include <abstractions/%s>\n}\n"
	write(t, filepath.Join(dir, "application"), strings.ReplaceAll(application, "%s", "cgdeleg"), 0o644)
	write(t, filepath.Join(dir, "wrong"), strings.ReplaceAll(application, "%s", "nothing"), 0o644)
	for name, isRight := range map[string]bool{"cgdeleg-serve": true, "application": true, "wrong": false} {
		out, err := exec.Command("apparmor_parser", "--skip-kernel-load", "--skip-cache", "--base", dir, filepath.Join(dir, name)).CombinedOutput()
		if (err == nil) != isRight {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// checkmodule takes SELinux's module. What it lets sshd do is tried in tests/vm (selinux.sh).
func TestSELinux(t *testing.T) {
	need(t, "checkmodule", "checkpolicy")
	compile := func(source string) (string, error) {
		out, err := exec.Command("checkmodule", "-M", "-m", "-o", filepath.Join(t.TempDir(), "cgdeleg.mod"), source).CombinedOutput()
		return string(out), err
	}
	right := file(t, "selinux/cgdeleg.te")
	if out, err := compile(right); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	wrong := filepath.Join(t.TempDir(), "cgdeleg.te")
	write(t, wrong, strings.ReplaceAll(read(t, right), "\ttype cgroup_t;\n", ""), 0o644)
	if out, err := compile(wrong); err == nil {
		t.Errorf("it takes a module with a type that is not declared:\n%s", out)
	}
}

// Both give a worker the capabilities that it keeps, and no others.
func TestConfinedCapabilities(t *testing.T) {
	words := func(name, pattern string) (all []string) {
		for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(read(t, name), -1) {
			all = append(all, strings.Fields(strings.ToLower(match[1]))...)
		}
		slices.Sort(all)
		return all
	}
	want := words(filepath.Join(testbed.Root(t), "pam/child.c"), `KEEP\(CAP_(\w+)\)`)
	for name, pattern := range map[string]string{
		"apparmor/abstractions/cgdeleg": `(?m)^  capability (\w+),$`,
		"selinux/cgdeleg.te":            `self:capability \{(.*)\}`,
	} {
		if got := words(file(t, name), pattern); len(want) == 0 || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}
