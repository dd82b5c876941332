package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// authselect is not in Debian. This stands in for it: it answers `current`,
// makes a profile of links as `create-profile --symlink-pam` does, and writes
// down what it was asked.
const standIn = `#!/bin/sh
echo "$*" >>"$ASKED"
case $1 in
current) [ -n "$CURRENT" ] || exit 2; echo "$CURRENT" ;;
create-profile)
	mkdir -p "$AUTHSELECT_CUSTOM/$2"
	for f in system-auth password-auth postlogin; do ln -s "$BASE/$f" "$AUTHSELECT_CUSTOM/$2/$f"; done ;;
esac
`

// What authselect.sh asks of authselect, and the profile that it leaves. (Not
// tried with authselect itself.)
func TestAuthselectScript(t *testing.T) {
	const line = `-session    optional                   pam_cgdeleg.so {include if "with-cgdeleg"}`
	for name, test := range map[string]struct {
		current string
		want    []string // what was asked after `current`; none: it fails
	}{
		"profile with features": {"sssd with-mkhomedir with-sudo", []string{
			"create-profile cgdeleg --base-on sssd --symlink-meta --symlink-nsswitch --symlink-pam --symlink-dconf",
			"select custom/cgdeleg with-mkhomedir with-sudo with-cgdeleg"}},
		"custom profile": {"custom/ours", []string{
			"create-profile cgdeleg --base-on custom/ours --symlink-meta --symlink-nsswitch --symlink-pam --symlink-dconf",
			"select custom/cgdeleg with-cgdeleg"}},
		"already":        {"custom/cgdeleg with-sudo", []string{"select custom/cgdeleg with-sudo with-cgdeleg"}},
		"not authselect": {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			base, custom := filepath.Join(dir, "base"), filepath.Join(dir, "custom")
			for _, file := range []string{"system-auth", "password-auth", "postlogin"} {
				write(t, filepath.Join(base, file), file+" of the base\n", 0o644)
			}
			write(t, filepath.Join(dir, "bin", "authselect"), standIn, 0o755)
			asked := filepath.Join(dir, "asked")
			cmd := exec.Command(root(t, "packaging", "rpm", "authselect.sh"))
			cmd.Env = []string{"PATH=" + filepath.Join(dir, "bin") + ":/usr/bin:/bin", "ASKED=" + asked, "CURRENT=" + test.current, "BASE=" + base, "AUTHSELECT_CUSTOM=" + custom}
			out, err := cmd.CombinedOutput()
			if (err != nil) != (test.want == nil) {
				t.Fatalf("%v: %s", err, out)
			}
			got := strings.Split(strings.TrimSpace(read(t, asked)), "\n")
			if want := append([]string{"current --raw"}, test.want...); strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("asked:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if got := read(t, filepath.Join(base, "postlogin")); got != "postlogin of the base\n" {
				t.Errorf("the base's postlogin is now %q", got)
			}
			if len(test.want) < 2 {
				return
			}
			if got, want := read(t, filepath.Join(custom, "cgdeleg", "postlogin")), "postlogin of the base\n"+line+"\n"; got != want {
				t.Errorf("postlogin %q, want %q", got, want)
			}
			for _, file := range []string{"system-auth", "password-auth"} {
				if _, err := os.Readlink(filepath.Join(custom, "cgdeleg", file)); err != nil {
					t.Errorf("it gets no updates: %v", err)
				}
			}
		})
	}
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

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
