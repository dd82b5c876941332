package check

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"
)

// sysctlDirs are what is read at boot, each file of a name in the first that has it, all by
// their names, so that the last one counts (sysctl.d(5)).
var sysctlDirs = []string{"/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"}

// sysctlConf is read after them by sysctl --system, which other inits than systemd call or do
// the like of. systemd reads it only by a link to it in one of the directories.
const sysctlConf = "/etc/sysctl.conf"

// keptSysctl returns the commands that set a kernel parameter for every boot: in those of an
// administrator's files that set it to 0 and would be read after a new one, and in a new one
// where these are not the last word.
func (f *Facts) keptSysctl(name, setting string) (edited []string, commands []Command) {
	own := "99-" + name + ".conf"
	key, _, _ := strings.Cut(setting, "=")
	conf, _ := f.Machine.ReadFile(sysctlConf)
	isLast := false // whether an edited file has the last word
	add := func(file string) {
		isLast = true
		if !slices.Contains(edited, file) {
			edited = append(edited, file)
		}
	}
	var names []string
	for _, dir := range sysctlDirs {
		more, _ := f.Machine.ReadDir(dir)
		names = append(names, more...)
	}
	slices.Sort(names)
	for _, file := range slices.Compact(names) {
		if !strings.HasSuffix(file, ".conf") || file <= own {
			continue
		}
		i := slices.IndexFunc(sysctlDirs, func(dir string) bool { return f.Machine.Exists(path.Join(dir, file)) })
		if i < 0 {
			continue // it has gone meanwhile
		}
		dir := sysctlDirs[i]
		data, _ := f.Machine.ReadFile(path.Join(dir, file))
		switch {
		case !forbids(data, key):
		case file == "99-sysctl.conf" && bytes.Equal(data, conf): // the link of Debian's and Fedora's
			add(sysctlConf)
		case dir == sysctlDirs[0]:
			add(path.Join(dir, file))
		default: // a package's: a new file comes after it
			own = strings.TrimSuffix(file, ".conf") + "_" + name + ".conf"
			isLast = false
		}
	}
	if forbids(conf, key) {
		wasLast := isLast
		add(sysctlConf)
		isLast = wasLast || !f.hasSystemd()
	}
	for _, file := range edited {
		script := fmt.Sprintf("s|^[[:blank:]]*-*%s[[:blank:]]*=.*|%s|", strings.ReplaceAll(key, ".", "[./]"), setting)
		commands = append(commands, asRoot("sed", "-i", script, file))
	}
	if !isLast {
		keep := fmt.Sprintf("mkdir -p %[1]s && echo %[2]s >%[1]s/%[3]s", sysctlDirs[0], setting, own)
		commands = append(commands, asRoot("sh", "-c", keep))
	}
	return edited, commands
}

// forbids tells whether a file of sysctl's sets the key to 0. A line may begin with a dash, and
// have slashes in place of the dots.
func forbids(data []byte, key string) bool {
	isZero := false
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if strings.ReplaceAll(strings.TrimPrefix(strings.TrimSpace(name), "-"), "/", ".") == key {
			isZero = strings.TrimSpace(value) == "0"
		}
	}
	return isZero
}
