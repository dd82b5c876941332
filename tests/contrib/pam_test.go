package contrib

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/pamconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/options"
)

// distributions are those with a file in contrib/pam that is appended to one of
// /etc/pam.d, with the modules that open a session there, file by file, in their
// order.
var distributions = map[string]struct {
	to     string // the file of /etc/pam.d that it is appended to
	stock  map[string]string
	vendor string // the folder that has these files, if that is not etc/pam.d
}{
	"arch": {to: "system-login", stock: map[string]string{
		"sshd":                "session include system-remote-login\n",
		"system-remote-login": "session include system-login\n",
		"login":               "session include system-local-login\n",
		"system-local-login":  "session include system-login\n",
		"system-login": "session optional pam_loginuid.so\nsession optional pam_keyinit.so force revoke\nsession include system-auth\n" +
			"session optional pam_motd.so\nsession optional pam_umask.so\n-session optional pam_systemd.so\nsession required pam_env.so\n",
		"system-auth": "session required pam_limits.so\nsession required pam_unix.so\nsession optional pam_permit.so\n",
	}},
	"void": {to: "system-login", stock: map[string]string{
		"sshd":                "session include system-remote-login\n",
		"system-remote-login": "session include system-login\n",
		"login":               "session include system-local-login\n",
		"system-local-login":  "session include system-login\n",
		"system-login": "session optional pam_loginuid.so\nsession include system-auth\nsession optional pam_motd.so\n" +
			"-session optional pam_elogind.so\n-session optional pam_dumb_runtime_dir.so\nsession required pam_env.so\n",
		"system-auth": "session required pam_limits.so\nsession required pam_unix.so\n",
	}},
	"gentoo": {to: "system-login", stock: map[string]string{
		"sshd":                "session include system-remote-login\n",
		"system-remote-login": "session include system-login\n",
		"login":               "session include system-local-login\n",
		"system-local-login":  "session include system-login\n",
		"system-login": "session optional pam_loginuid.so\nsession required pam_env.so envfile=/etc/profile.env\nsession include system-auth\n" +
			"session optional pam_motd.so\n-session optional pam_elogind.so\n-session optional pam_openrc.so\n",
		"system-auth": "session required pam_limits.so\nsession required pam_unix.so\n",
	}},
	// PAM reads those of /usr/lib/pam.d only where /etc/pam.d has none of the name.
	"alpine":      {to: "base-session", stock: alpine},
	"alpine 3.22": {to: "base-session", stock: alpine, vendor: "usr/lib/pam.d"},
	"fedora": {to: "postlogin", stock: map[string]string{
		"sshd":          "session include password-auth\nsession include postlogin\n",
		"login":         "session include system-auth\nsession include postlogin\n",
		"password-auth": "session required pam_limits.so\n-session optional pam_systemd.so\nsession required pam_unix.so\n",
		"system-auth":   "session required pam_limits.so\n-session optional pam_systemd.so\nsession required pam_unix.so\n",
		"postlogin": "session optional pam_umask.so silent\nsession [success=1 default=ignore] pam_succeed_if.so service !~ gdm* quiet\n" +
			"session [default=1] pam_lastlog.so nowtmp\nsession optional pam_lastlog.so silent\n",
	}},
}

var alpine = map[string]string{
	"sshd":  "session include base-session\n",
	"login": "session include base-session\n",
	"base-session": "session include base-session-noninteractive\n-session optional pam_rundir.so\n" +
		"-session optional pam_elogind.so\n-session optional pam_turnstile.so\n",
	"base-session-noninteractive": "session required pam_env.so\nsession required pam_limits.so\nsession required pam_unix.so\n",
}

// managers are the modules after which the line has to stand.
var managers = []string{"pam_systemd.so", "pam_elogind.so"}

// Each file, appended where it says, gives ssh and the console a line that the
// module understands, after those of session managers.
func TestPAMFiles(t *testing.T) {
	files, err := os.ReadDir(file(t, "pam"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if _, ok := distributions[f.Name()]; !ok && f.Name() != "debian" {
			t.Errorf("contrib/pam/%s is not tested", f.Name())
		}
	}
	for name, d := range distributions {
		t.Run(name, func(t *testing.T) {
			name, _, _ := strings.Cut(name, " ")
			root := t.TempDir()
			write(t, filepath.Join(root, machine.StatFile), "", 0o644) // what is not in it is absent
			for stock, lines := range d.stock {
				write(t, filepath.Join(root, cmp.Or(d.vendor, "etc/pam.d"), stock), lines, 0o644)
			}
			before := modules(t, root, "sshd")
			if name == "fedora" {
				text := fromAuthselect(t, read(t, file(t, "pam/"+name)), "with-cgdeleg")
				write(t, filepath.Join(root, "etc/pam.d", d.to), d.stock[d.to]+text, 0o644)
			} else {
				followHead(t, root, name)
			}
			for _, service := range []string{"sshd", "login"} {
				wantLine(t, root, service)
			}
			if after := modules(t, root, "sshd"); !slices.Equal(after, append(before, "pam_cgdeleg.so")) {
				t.Errorf("the stack was\n%q, and is\n%q", before, after)
			}
		})
	}
}

// followHead types what the head of a file of contrib/pam says, of the machine
// below root.
func followHead(t *testing.T, root, name string) {
	t.Helper()
	var commands strings.Builder
	for line := range strings.Lines(read(t, file(t, "pam/"+name))) {
		if command, ok := strings.CutPrefix(line, "#   "); ok {
			commands.WriteString(strings.ReplaceAll(command, "/etc/", root+"/etc/"))
		}
	}
	cmd := exec.Command("sh", "-euc", commands.String())
	cmd.Dir = file(t, "pam")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s\n%s", err, out, commands.String())
	}
}

// modules are those of a service's session stack, in order.
func modules(t *testing.T, root, service string) (all []string) {
	t.Helper()
	lines, err := pamconf.Session(machine.Recorded(root), service)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		all = append(all, l.Module)
	}
	return all
}

// fromAuthselect writes a file as authselect(8) does from a profile's: a line
// that ends with {include if "FEATURE"} is there only with that feature.
func fromAuthselect(t *testing.T, profile, feature string) string {
	t.Helper()
	var file strings.Builder
	for line := range strings.Lines(profile) {
		line, condition, conditional := strings.Cut(strings.TrimSuffix(line, "\n"), "{")
		if conditional && condition != `include if "`+feature+`"}` {
			t.Errorf("condition {%s", condition)
		}
		file.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return file.String()
}

// wantLine looks at how a service of the machine below root opens a session.
func wantLine(t *testing.T, root, service string) {
	t.Helper()
	lines, err := pamconf.Session(machine.Recorded(root), service)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(lines, func(l pamconf.Line) bool { return l.Is("pam_cgdeleg.so") })
	if at < 0 {
		t.Fatalf("%s has no line: %v", service, lines)
	}
	ours, hasManager := lines[at], false
	if ours.Control != "optional" {
		t.Errorf("%s: control %s", service, ours.Control)
	}
	if _, complaints, err := options.Parse(ours.Args); err != nil || complaints != nil {
		t.Errorf("%s: words %q: %v %v", service, ours.Args, complaints, err)
	}
	for i, l := range lines {
		for _, manager := range managers {
			hasManager = hasManager || l.Is(manager)
			if i > at && l.Is(manager) {
				t.Errorf("%s: %s stands behind it", service, manager)
			}
		}
		if i != at && l.Is("pam_cgdeleg.so") {
			t.Errorf("%s has the line twice", service)
		}
	}
	if !hasManager {
		t.Errorf("%s has no session manager: the order is not tested", service)
	}
}

// Debian's pam-auth-update puts the line of the profile after those of session
// managers, and takes it away again. It works on a folder here, with a debconf
// database of its own.
func TestPAMAuthUpdate(t *testing.T) {
	need(t, "pam-auth-update", "libpam-runtime")
	const manager = "Name: manager\nDefault: yes\nPriority: 0\nSession-Interactive-Only: yes\nSession-Type: Additional\nSession:\n\toptional\t"
	for _, module := range managers {
		t.Run(module, func(t *testing.T) {
			root := t.TempDir()
			configs := filepath.Join(root, "usr/share/pam-configs")
			write(t, configs+"/unix", read(t, "/usr/share/pam-configs/unix"), 0o644)
			// Of profiles of one priority the last in the alphabet comes first.
			write(t, configs+"/"+strings.TrimSuffix(module, ".so"), manager+module+"\n", 0o644)
			write(t, configs+"/a-"+module, manager+module+"\n", 0o644)
			write(t, configs+"/cgdeleg", read(t, file(t, "pam/debian")), 0o644)
			for _, dir := range []string{"etc/pam.d", "var/lib/pam"} {
				if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			debconf(t, root)
			must(t, "pam-auth-update", "--root", root, "--package", "--force")
			wantLine(t, root, "common-session")
			if got := read(t, filepath.Join(root, "etc/pam.d/common-session-noninteractive")); !strings.Contains(got, "pam_cgdeleg.so") {
				t.Errorf("common-session-noninteractive has no line:\n%s", got)
			}
			must(t, "pam-auth-update", "--root", root, "--package", "--remove", "cgdeleg")
			if got := read(t, filepath.Join(root, "etc/pam.d/common-session")); strings.Contains(got, "pam_cgdeleg") || !strings.Contains(got, module) {
				t.Errorf("taken back, it is:\n%s", got)
			}
		})
	}
}

// debconf gives debconf databases below root, in which nobody is asked.
func debconf(t *testing.T, root string) {
	t.Helper()
	write(t, filepath.Join(root, "debconf.conf"),
		"Config: configdb\nTemplates: templatedb\n\nName: configdb\nDriver: File\nFilename: "+root+"/config.dat\n\n"+
			"Name: templatedb\nDriver: File\nFilename: "+root+"/templates.dat\n", 0o644)
	t.Setenv("DEBCONF_SYSTEMRC", filepath.Join(root, "debconf.conf"))
	t.Setenv("DEBIAN_FRONTEND", "noninteractive")
}
