package pasted

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"mountinfo": "mountinfo", "proc-self-mountinfo": "mountinfo", "proc_self_mountinfo.txt": "mountinfo", "Mountinfo.TXT": "mountinfo", "self_mountinfo": "mountinfo", "proc-1234-mountinfo": "mountinfo",
		"cgroup": "cgroup", "proc-self-cgroup": "cgroup", "709-cgroup.txt": "cgroup", "1-cgroup": "1-cgroup", "proc-1-cgroup": "1-cgroup", "proc_1_cgroup.txt": "1-cgroup",
		"cgroups": "cgroups", "proc_cgroups": "cgroups", "status": "status", "cmdline": "cmdline", "proc-cmdline": "cmdline", "proc-self-cmdline": "",
		"config": "config", "lxc-config": "config", "config.txt": "config", "uid_map": "uid_map", "proc-self-gid_map.txt": "gid_map",
		"subuid": "subuid", "etc-subuid": "subuid", "subgid.txt": "subgid", "os-release": "os-release", "etc_os-release": "os-release", "lxc-usernet": "lxc-usernet", "etc-lxc-lxc-usernet": "lxc-usernet",
		"nsswitch.conf": "nsswitch.conf", "etc-nsswitch.conf": "nsswitch.conf", "passwd": "passwd", "version": "versions", "versions.txt": "versions",
		"sshd": "pam.d/sshd", "common-session": "pam.d/common-session", "pam.d-mine": "pam.d/mine", "etc_pam.d_sshd": "pam.d/sshd", "pam-cockpit": "pam.d/cockpit",
		"/proc/self/cgroup": "cgroup", "/proc/1/cgroup": "1-cgroup", "/proc/1/status": "", "/proc/77/status": "status", "/proc/$$/cgroup": "cgroup", "/proc/self/../1/cgroup": "",
		"/etc/pam.d/sshd": "pam.d/sshd", "/usr/lib/pam.d/sshd": "pam.d/sshd", "/etc/pam.d/../shadow": "", "/home/a/.local/share/lxc/c1/config": "config", "/root/.ssh/config": "", "/config": "",
		"shadow": "", "screenshot.png": "", "": "", "-": "", "..": "", "pam.d-": "", "EXPECTED": "",
		"/usr/lib/os-release": "os-release", "/proc/sys/user/max_user_namespaces": "max_user_namespaces",
	} {
		k, isKnown := kindOfName(name)
		if k.name != want || isKnown != (want != "") {
			t.Errorf("%q is %q, want %q", name, k.name, want)
		}
	}
}

// files are what was recognised, as name to content.
func filesOf(p *Paste) map[string]string {
	all := map[string]string{}
	for _, f := range p.Files {
		all[f.Name] = string(f.Data)
	}
	return all
}

func TestText(t *testing.T) {
	const cgroup, init = "0::/user/alice/0\n", "0::/init.scope\n"
	const mount, root = "34 22 0:26 / /c rw - cgroup2 cgroup2 rw\n", "24 1 254:0 / / rw - ext4 /dev/vda rw\n"
	for name, test := range map[string]struct {
		text string
		want map[string]string
		user string
	}{
		"a prompt":                    {"$ cat /proc/self/cgroup\n" + cgroup, map[string]string{"cgroup": cgroup}, "alice"},
		"root's":                      {"# cat /proc/1/cgroup\n" + init, map[string]string{"1-cgroup": init}, ""},
		"bash's":                      {"bash-5.1$ cat /proc/1/cgroup\n" + init, map[string]string{"1-cgroup": init}, ""},
		"Debian's":                    {"bob@host:~/x$ cat /proc/self/cgroup\n0::/\n", map[string]string{"cgroup": "0::/\n"}, "bob"},
		"Fedora's":                    {"[bob@host ~]$ cat /proc/self/cgroup\n0::/\n", map[string]string{"cgroup": "0::/\n"}, "bob"},
		"zsh's":                       {"bob@host ~ % cat /proc/self/cgroup\n0::/\n", map[string]string{"cgroup": "0::/\n"}, "bob"},
		"Alpine's":                    {"/ # cat /proc/self/cgroup\n0::/\n", map[string]string{"cgroup": "0::/\n"}, ""},
		"a theme's":                   {"➜  ~ cat /proc/self/cgroup\n0::/\n", map[string]string{"cgroup": "0::/\n"}, ""},
		"sudo":                        {"$ sudo cat /proc/1/cgroup\n" + init, map[string]string{"1-cgroup": init}, ""},
		"no prompt":                   {"cat /proc/1/cgroup\n" + init, map[string]string{"1-cgroup": init}, ""},
		"a heading":                   {"/proc/1/cgroup:\n" + init, map[string]string{"1-cgroup": init}, ""},
		"a heading by name":           {"1-cgroup:\n" + init, map[string]string{"1-cgroup": init}, ""},
		"a heading in a sentence":     {"And this is `/proc/1/cgroup`:\n```\n" + init + "```\n", map[string]string{"1-cgroup": init}, ""},
		"a title":                     {"### /proc/1/cgroup\n\n" + init, map[string]string{"1-cgroup": init}, ""},
		"head's":                      {"==> /proc/1/cgroup <==\n" + init + "\n==> /x <==\n" + cgroup, map[string]string{"1-cgroup": init}, ""},
		"two files":                   {"$ cat /proc/self/cgroup /etc/subuid\n" + cgroup + "alice:1:2\n", map[string]string{"cgroup": cgroup, "subuid": "alice:1:2\n"}, "alice"},
		"two commands":                {"$ cat /proc/1/cgroup; cat /etc/subuid\n" + init + "alice:1:2\n", map[string]string{"1-cgroup": init, "subuid": "alice:1:2\n"}, ""},
		"init and oneself":            {"$ cat /proc/1/cgroup /proc/self/cgroup\n" + init + cgroup, map[string]string{"1-cgroup": init, "cgroup": cgroup}, "alice"},
		"shapes":                      {"my cgroup is\n" + cgroup + "and\n" + mount, map[string]string{"cgroup": cgroup, "mountinfo": mount}, "alice"},
		"another process":             {"$ cat /proc/self/cgroup\n" + cgroup + "$ cat /proc/77/cgroup\n0::/x\n", map[string]string{"cgroup": cgroup}, "alice"},
		"another one behind":          {cgroup + "and\n0::/x\n", map[string]string{"cgroup": cgroup}, "alice"},
		"another machine":             {"$ docker exec c cat /proc/self/cgroup\n" + cgroup + "$ cat /proc/1/cgroup\n" + init, map[string]string{"1-cgroup": init}, ""},
		"a part of cgroup":            {"$ grep cpu /proc/self/cgroup\n4:cpu:/\n$ cat /proc/1/cgroup\n" + init, map[string]string{"1-cgroup": init}, ""},
		"a part of mountinfo":         {"$ grep -E 'cgroup|ext4' /proc/self/mountinfo\n" + root + mount, map[string]string{"mountinfo": mount}, ""},
		"a part of another part":      {"$ cat /proc/self/mountinfo | grep cgroup\n" + root + mount, map[string]string{"mountinfo": mount}, ""},
		"a broken line":               {"$ cat /proc/self/mountinfo\n" + root + "34 22 0:26 /\n /c rw - cgroup2 cgroup2 rw\n" + "35 22 0:27 / /d rw - tmpfs tmpfs rw\n", map[string]string{"mountinfo": root + "34 22 0:26 /\n /c rw - cgroup2 cgroup2 rw\n35 22 0:27 / /d rw - tmpfs tmpfs rw\n"}, ""},
		"an elision":                  {"$ cat /proc/self/mountinfo\n" + root + "[...]\n", map[string]string{"mountinfo": root + "[...]\n"}, ""},
		"prose behind":                {"$ cat /proc/1/cgroup\n" + init + "\nWhat is wrong? My uid: 1000\n", map[string]string{"1-cgroup": init}, ""},
		"a line in two":               {"$ cat /proc/self/cgroup\n4:cpu:/\nx\n0::/\n", map[string]string{"cgroup": "4:cpu:/\nx\n0::/\n"}, ""},
		"config, comments and blanks": {"$ cat c/lxc/c1/config\n# id map\n\nlxc.a = 1\n# Config:\n  lxc.b = 2\nThanks!\n", map[string]string{"config": "# id map\n\nlxc.a = 1\n# Config:\n  lxc.b = 2\n"}, ""},
		"config by its lines":         {"so\nlxc.a = 1\n# x\nlxc.b = 2\n", map[string]string{"config": "lxc.a = 1\nlxc.b = 2\n"}, ""},
		"cgroup behind a config":      {"config:\nlxc.a = 1\n" + cgroup, map[string]string{"config": "lxc.a = 1\n", "cgroup": cgroup}, "alice"},
		"subuid by its lines":         {"alice:1:2\nbob:3:4\n", map[string]string{"subuid": "alice:1:2\nbob:3:4\n"}, ""},
		"both by their lines":         {"alice:1:2\nbob:3:4\nalice:1:2\nbob:3:4\n", map[string]string{"subuid": "alice:1:2\nbob:3:4\n", "subgid": "alice:1:2\nbob:3:4\n"}, ""},
		"both, and not sure which":    {cgroup + "alice:1:2\nalice:3:4\nbob:3:4\n", map[string]string{"cgroup": cgroup}, "alice"},
		"two lines of one":            {"$ cat /etc/subuid\nalice:1:2\nalice:3:4\n", map[string]string{"subuid": "alice:1:2\nalice:3:4\n"}, ""},
		"a blank at the end":          {"$ cat /etc/subuid\nalice:1:2 \nbob:3:4\r\nx:1:1\n", map[string]string{"subuid": "alice:1:2 \nbob:3:4\r\nx:1:1\n"}, ""},
		"carriage returns":            {"$ cat /etc/subuid\r\nalice:1:2\r\nbob:3:4\r\n", map[string]string{"subuid": "alice:1:2\nbob:3:4\n"}, ""},
		"colours":                     {"$ cat /etc/subuid\n\x1b[01;31malice\x1b[m\x1b[K:1:2\n", map[string]string{"subuid": "alice:1:2\n"}, ""},
		"a web page's":                {"# cat /etc/subuid<br>alice:1:2<br/>\nlxc.x = &lt;a&amp;b&gt;\n", map[string]string{"subuid": "alice:1:2\n", "config": "lxc.x = <a&b>\n"}, ""},
		"versions":                    {"$ lxc-start --version\n5.0.2\n$ runc --version\nrunc version 1.1.5+ds1\ncommit: 1.1.5\nsystemd 252 (252.22-1~deb12u1)\n", map[string]string{"versions": "lxc 5.0.2\nrunc 1.1.5+ds1\n"}, ""},
		"versions by their lines":     {"systemd 252 (252.22-1~deb12u1)\npodman version 4.3.1\nbubblewrap 0.8.0\n", map[string]string{"versions": "systemd 252\npodman 4.3.1\nbwrap 0.8.0\n"}, ""},
		"sysctl":                      {"kernel.unprivileged_userns_clone = 0\n", map[string]string{"unprivileged_userns_clone": "0\n"}, ""},
		"the kernel's command line":   {"BOOT_IMAGE=/vmlinuz root=/dev/vda ro quiet\n", map[string]string{"cmdline": "BOOT_IMAGE=/vmlinuz root=/dev/vda ro quiet\n"}, ""},
		"lxc-info is no status":       {"$ lxc-info -n c1\nName: c1\nState: STOPPED\n$ cat /proc/1/cgroup\n" + init, map[string]string{"1-cgroup": init}, ""},
		"LXC's form": {" * The output of\n   * `lxc-start --version` : **3.0.3**\n   * `cat /proc/self/cgroup`:\n```\n➜  ~ cat /proc/self/cgroup\n4:cpu:/user/alice/0\n0::/\n```\n   * `cat /proc/1/cgroup`\n" + init,
			map[string]string{"versions": "lxc 3.0.3\n", "cgroup": "4:cpu:/user/alice/0\n0::/\n", "1-cgroup": init}, "alice"},
		"grep in many files":          {cgroup + "$ grep alice /etc/sub* 2>/dev/null\n/etc/subgid:alice:1:2\n/etc/subuid:alice:3:4\n", map[string]string{"cgroup": cgroup, "subgid": "alice:1:2\n", "subuid": "alice:3:4\n"}, "alice"},
		"grep elsewhere":              {"$ ssh x grep alice /etc/subuid /etc/subgid\n/etc/subgid:alice:1:2\n$ cat /proc/1/cgroup\n" + init, map[string]string{"1-cgroup": init}, ""},
		"a shell in a container":      {"$ docker exec -it c sh\n/ # cat /proc/self/cgroup\n0::/x\n/ # exit\n$ cat /proc/1/cgroup\n" + init, map[string]string{"1-cgroup": init}, ""},
		"a shell on another machine":  {"a@h:~$ ssh x\nWelcome\na@x:~$ cat /proc/self/cgroup\n0::/x\na@h:~$ cat /proc/1/cgroup\n" + init, map[string]string{"1-cgroup": init}, ""},
		"a prompt of another machine": {"a@h:~$ cat /proc/1/cgroup\n" + init + "root@c1:/# cat /proc/self/cgroup\n" + cgroup, map[string]string{"1-cgroup": init}, ""},
		"root on the same machine":    {"a@h:~$ cat /etc/subuid\na:1:2\nroot@h:~# cat /proc/1/cgroup\n" + init, map[string]string{"subuid": "a:1:2\n", "1-cgroup": init}, ""},
		"no file on another machine":  {"$ ssh x cat /etc/lxc/lxc-usernet\ncat: /etc/lxc/lxc-usernet: No such file or directory\n$ cat /etc/lxc/lxc-usernet\nbob veth br0 1\n", map[string]string{"lxc-usernet": "bob veth br0 1\n"}, ""},
		"all but comments":            {"$ grep -v '^#' .local/share/lxc/c1/config\nlxc.a = 1\n$ cat /etc/nsswitch.conf | grep -v ^#\npasswd: files\n", map[string]string{"config": "lxc.a = 1\n", "nsswitch.conf": "passwd: files\n"}, ""},
		"only some lines":             {"$ grep idmap .local/share/lxc/c1/config\nlxc.a = 1\n$ cat /etc/nsswitch.conf | grep -v sss\npasswd: files\n$ cat /proc/1/cgroup\n" + init, map[string]string{"1-cgroup": init}, ""},
		"somebody else's IDs":         {cgroup + "$ grep bob /etc/subuid\nbob:1:2\n", map[string]string{"cgroup": cgroup}, "alice"},
		"one's own IDs":               {cgroup + "$ cat /etc/subuid | grep -w alice\nalice:1:2\n$ grep \"^$USER:\" /etc/subgid\nalice:1:2\n", map[string]string{"cgroup": cgroup, "subuid": "alice:1:2\n", "subgid": "alice:1:2\n"}, "alice"},
		"some of all IDs":             {cgroup + "$ head -1 /etc/subuid\nalice:1:2\n", map[string]string{"cgroup": cgroup}, "alice"},
		"two users":                   {"bob@h:~$ cat /proc/self/cgroup\n" + cgroup, map[string]string{"cgroup": cgroup}, ""},
		"root's prompt, and a user's": {"root@h:~# cat /proc/self/status\nUid:\t1000\t1000\t1000\t1000\n", map[string]string{"status": "Uid:\t1000\t1000\t1000\t1000\n"}, ""},
		"id":                          {"uid=1000(bob) gid=1000(bob) groups=1000(bob)\nUid:\t1000\t1000\t1000\t1000\n", map[string]string{"status": "Uid:\t1000\t1000\t1000\t1000\n"}, "bob"},
		"id of somebody else":         {"uid=1001(bob) gid=1000(bob) groups=1000(bob)\nUid:\t1000\t1000\t1000\t1000\n", map[string]string{"status": "Uid:\t1000\t1000\t1000\t1000\n"}, ""},
		"the home of the container":   {"lxc.rootfs.path = dir:/home/bob/.local/share/lxc/c/rootfs\n", map[string]string{"config": "lxc.rootfs.path = dir:/home/bob/.local/share/lxc/c/rootfs\n"}, "bob"},
		"a mount is no home":          {"lxc.mount.entry = /home/bob/x x none bind\n", map[string]string{"config": "lxc.mount.entry = /home/bob/x x none bind\n"}, ""},
		"one owner is no name":        {"$ cat /etc/subuid\nbob:1:2\n", map[string]string{"subuid": "bob:1:2\n"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Text(strings.NewReader(test.text))
			if err != nil {
				t.Fatal(err)
			}
			got := filesOf(p)
			for name, want := range test.want {
				if got[name] != want {
					t.Errorf("%s: got %q, want %q", name, got[name], want)
				}
			}
			if len(got) != len(test.want) {
				t.Errorf("got %q, want %q", p.Names(), test.want)
			}
			if user := p.User(); user != test.user {
				t.Errorf("the user is %q, want %q", user, test.user)
			}
		})
	}
}

func TestUTF16(t *testing.T) {
	data := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune("$ cat /etc/subuid\r\nalice:1:2\r\n")) {
		data = append(data, byte(unit), byte(unit>>8))
	}
	p, err := Text(bytes.NewReader(data))
	if err != nil || filesOf(p)["subuid"] != "alice:1:2\n" {
		t.Errorf("got %v, %v", p, err)
	}
}

func TestErrors(t *testing.T) {
	var nothing *NothingError
	for _, text := range []string{"", "hello", "\x00\x01\xff", "$ cat /etc/shadow\nroot:*:1:2\n", "Name: x\nState: y\n"} {
		if _, err := Text(strings.NewReader(text)); !errors.As(err, &nothing) {
			t.Errorf("%q: %v", text, err)
		}
	}
	var tooLarge *TooLargeError
	if _, err := Text(strings.NewReader(strings.Repeat("0::/\n", MaxSize/5+1))); !errors.As(err, &tooLarge) {
		t.Errorf("a large text: %v", err)
	}
	dir := t.TempDir()
	if _, err := Dir(dir); !errors.As(err, &nothing) || nothing.IsRecording {
		t.Errorf("an empty directory: %v", err)
	}
	if _, err := Dir("../check/testdata/systemd-v2"); !errors.As(err, &nothing) || !nothing.IsRecording {
		t.Errorf("a recorded machine: %v", err)
	}
	if _, err := Dir(dir + "/none"); !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, machine.ErrNotRecorded) {
		t.Errorf("no directory: %v", err)
	}
	half := bytes.Repeat([]byte("lxc.a = 1\n"), MaxSize/10/2+10)
	for _, name := range []string{"config", "subuid"} {
		if err := os.WriteFile(filepath.Join(dir, name), half, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Dir(dir); !errors.As(err, &tooLarge) {
		t.Errorf("large files: %v", err)
	}
}

// A directory may come from anybody: no link leads out of it.
func TestDirIsClosed(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("lxc.uts.name = secret\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(dir, "config")); err != nil {
		t.Fatal(err)
	}
	if p, err := Dir(dir); err == nil {
		t.Errorf("read %q", filesOf(p))
	}
}

// What is laid out is what was recognised, of the process both as its own and as /proc/self.
func TestRecord(t *testing.T) {
	text := "$ cat /proc/self/status\nPid:\t77\nUid:\t1\t1\t1\t1\n$ cat /proc/1/cgroup\n0::/init.scope\n$ cat /proc/self/cgroup\n0::/x\n" +
		"$ cat /etc/pam.d/sshd\nsession required pam_unix.so\n$ cat /etc/lxc/lxc-usernet\ncat: /etc/lxc/lxc-usernet: No such file or directory\n"
	p, err := Text(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := p.Record(dir); err != nil {
		t.Fatal(err)
	}
	m := machine.Recorded(dir)
	for path, want := range map[string]string{
		"/proc/self/cgroup": "0::/x\n", "/proc/77/cgroup": "0::/x\n", "/proc/1/cgroup": "0::/init.scope\n", "/proc/77/status": "Pid:\t77\nUid:\t1\t1\t1\t1\n",
		"/etc/pam.d/sshd": "session required pam_unix.so\n",
	} {
		if data, err := m.ReadFile(path); string(data) != want {
			t.Errorf("%s: %q, %v", path, data, err)
		}
	}
	if got := m.Find("/etc/lxc/lxc-usernet"); got != machine.Absent {
		t.Errorf("what is said not to be there is %v", got)
	}
	if got := m.Find("/etc/subuid"); got != machine.Unknown {
		t.Errorf("what nobody pasted is %v", got)
	}
}

// FuzzText looks at what holds for any text: each file has a name that is known and some
// lines, once, and no more comes out than went in.
func FuzzText(f *testing.F) {
	texts, err := filepath.Glob("../testdata/pasted/*/*")
	if err != nil || len(texts) == 0 {
		f.Fatal("no texts: ", err)
	}
	for _, name := range texts {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Text(bytes.NewReader(data))
		if err != nil {
			return
		}
		size := 0
		var paths []string
		for _, file := range p.Files {
			size += len(file.Data)
			if len(file.Data) == 0 || file.path == "" || filepath.Clean(file.path) != file.path || slices.Contains(paths, file.path) {
				t.Errorf("file %q at %q: %q", file.Name, file.path, file.Data)
			}
			paths = append(paths, file.path)
		}
		if most := 3*len(data) + 64; size > most { // UTF-16, and versions with longer names
			t.Errorf("%d bytes of %d", size, len(data))
		}
		if pid := p.PID(); pid < 1 || pid > NoPID {
			t.Errorf("PID %d", pid)
		}
		_ = p.User()
	})
}
