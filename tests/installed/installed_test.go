// Package installed tests `make install` and `make uninstall`: what comes under which
// words, that it is right there, and that all of it goes.
package installed

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// makeIn calls make of this checkout, which is built, with a folder as DESTDIR.
func makeIn(t *testing.T, dest string, words ...string) string {
	t.Helper()
	cmd := exec.Command("make", append([]string{"-C", testbed.Root(t), "DESTDIR=" + dest}, words...)...)
	cmd.Env = append(os.Environ(), "MAKEFLAGS=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("make %s: %v\n%s", strings.Join(words, " "), err, out)
	}
	return string(out)
}

// filesIn returns what is in a folder, from it on.
func filesIn(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, strings.TrimPrefix(path, dir))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Each init gets its services, under the prefix and with the tool's path in them, and of
// the others nothing; and what came goes.
func TestInstall(t *testing.T) {
	testbed.Built(t, "cgdeleg")
	all := []string{
		"/lib/security/pam_cgdeleg.so", "PREFIX/bin/cgdeleg", "PREFIX/libexec/cgdeleg/trylogin", "PREFIX/share/cgdeleg/machine/stat",
		"PREFIX/share/bash-completion/completions/cgdeleg", "PREFIX/share/fish/vendor_completions.d/cgdeleg.fish",
		"PREFIX/share/zsh/site-functions/_cgdeleg", "PREFIX/share/doc/cgdeleg/README.md", "PREFIX/share/doc/cgdeleg/clients/lxc.md",
		"PREFIX/share/doc/cgdeleg/monitoring.md", "PREFIX/share/doc/cgdeleg/examples/limits.conf",
		"PREFIX/share/doc/cgdeleg/examples/pam/debian", "PREFIX/share/doc/cgdeleg/examples/prometheus/cgdeleg.rules.yml",
	}
	ofInit := map[string][]string{
		"systemd": {"PREFIX/lib/systemd/system/cgdeleg-serve.service", "PREFIX/lib/systemd/system/session-.scope.d/50-cgdeleg.conf",
			"PREFIX/lib/systemd/system/user-runtime-dir@.service.d/50-cgdeleg-limits.conf", "PREFIX/lib/tmpfiles.d/cgdeleg.conf"},
		"cron":   {"/etc/cron.d/cgdeleg"},
		"openrc": {"/etc/init.d/cgdeleg-serve", "/etc/conf.d/cgdeleg-serve", "/etc/logrotate.d/cgdeleg-serve"},
		"runit":  {"/etc/sv/cgdeleg-serve/run", "/etc/sv/cgdeleg-serve/log/run"},
		"s6":     {"/etc/s6/sv/cgdeleg-serve/run"},
	}
	for init := range ofInit {
		for _, prefix := range []string{"/usr", "/usr/local"} {
			if prefix == "/usr" && init != "systemd" {
				continue // as with the other one
			}
			t.Run(init+prefix, func(t *testing.T) {
				dest := t.TempDir()
				words := []string{"INIT=" + init, "PREFIX=" + prefix, "PAMDIR=/lib/security"}
				makeIn(t, dest, append([]string{"install"}, words...)...)
				files := filesIn(t, dest)
				has := func(name string) bool { return slices.Contains(files, strings.Replace(name, "PREFIX", prefix, 1)) }
				for _, name := range all {
					if !has(name) {
						t.Errorf("%s is missing", name)
					}
				}
				for other, names := range ofInit {
					for _, name := range names {
						if has(name) != (other == init) {
							t.Errorf("%s, of %s: it is there: %v", name, other, has(name))
						}
					}
				}
				for _, name := range files {
					if strings.Contains(name, "/share/") || prefix == "/usr" {
						continue
					}
					if data, _ := os.ReadFile(dest + name); regexp.MustCompile(`/usr/bin/cgdeleg`).Match(data) && !strings.HasPrefix(string(data), "\x7fELF") {
						t.Errorf("%s names the tool by another prefix", name)
					}
				}
				makeIn(t, dest, append([]string{"uninstall"}, words...)...)
				if left := filesIn(t, dest); len(left) > 0 {
					t.Errorf("left: %q", left)
				}
			})
		}
	}
}

// What an administrator has changed is neither written over nor removed, and said to be so.
func TestChangedConfiguration(t *testing.T) {
	testbed.Built(t, "cgdeleg")
	dest := t.TempDir()
	words := []string{"INIT=openrc", "PAMDIR=/lib/security"}
	makeIn(t, dest, append([]string{"install"}, words...)...)
	conf := filepath.Join(dest, "etc/conf.d/cgdeleg-serve")
	if err := os.WriteFile(conf, []byte("cgdeleg_serve_args=--json\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"install", "uninstall"} {
		if said := makeIn(t, dest, append([]string{verb}, words...)...); !strings.Contains(said, "/etc/conf.d/cgdeleg-serve was changed") {
			t.Errorf("%s does not say that it leaves the file:\n%s", verb, said)
		}
		if data, err := os.ReadFile(conf); err != nil || string(data) != "cgdeleg_serve_args=--json\n" {
			t.Errorf("after %s: %q, %v", verb, data, err)
		}
	}
}

// Every link of the installed documents leads to a file beside them, or out of the machine.
func TestLinks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "doc")
	if out, err := exec.Command(filepath.Join(testbed.Root(t), "packaging/doc.sh"), dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	links := 0
	for _, name := range filesIn(t, dir) {
		if filepath.Ext(name) != ".md" {
			continue
		}
		data, err := os.ReadFile(dir + name)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`).FindAllStringSubmatch(string(data), -1) {
			if strings.Contains(found[1], "://") {
				continue
			}
			links++
			if _, err := os.Stat(filepath.Join(dir, filepath.Dir(name), found[1])); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if links < 50 {
		t.Errorf("only %d links were looked at", links)
	}
}

// `make help` names every target that somebody would call, and no other.
func TestHelp(t *testing.T) {
	help := makeIn(t, t.TempDir(), "-s", "help")
	named := regexp.MustCompile(`(?m)^make ([a-z-]+)(?:, ([a-z-]+))?`).FindAllStringSubmatch(help, -1)
	var targets []string
	for _, found := range named {
		targets = append(targets, found[1:]...)
	}
	for _, file := range []string{"Makefile", "packaging/release/release.mk"} {
		data, err := os.ReadFile(filepath.Join(testbed.Root(t), file))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range regexp.MustCompile(`(?m)^\.PHONY: (.*)$`).FindAllStringSubmatch(string(data), -1) {
			for target := range strings.FieldsSeq(line[1]) {
				if !slices.Contains(targets, target) && target != "all" {
					t.Errorf("make help does not name %s", target)
				}
				targets = slices.DeleteFunc(targets, func(s string) bool { return s == target })
			}
		}
	}
	for _, target := range targets {
		if target != "" {
			t.Errorf("make help names %s, which is no target", target)
		}
	}
}
