package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
)

// lxcNetFiles are what LXC's service lxc-net reads, which makes the bridge: each is a script,
// and the last line that sets something counts (config/init/common/lxc-net.in).
var lxcNetFiles = []string{"/etc/sysconfig/lxc", "/etc/sysconfig/lxc-net", "/etc/default/lxc", "/etc/default/lxc-net"}

// lxcNetSetting returns what lxc-net has a variable set to, and where; no evidence if nothing
// sets it.
func (f *Facts) lxcNetSetting(variable string) (value string, at Evidence) {
	for _, file := range lxcNetFiles {
		data, _ := f.Machine.ReadFile(file)
		number := 0
		for line := range strings.Lines(string(data)) {
			number++
			line = strings.TrimSpace(line)
			if set, isIt := strings.CutPrefix(line, variable+"="); isIt {
				set, _, _ = strings.Cut(set, " ") // a comment
				value, at = strings.Trim(set, `"'`), Evidence{fmt.Sprintf("%s:%d", file, number), line}
			}
		}
	}
	return value, at
}

// bridgeOff is the result where lxc-net is told to make no bridge, or another one: then it does
// nothing for this one when it is started. isOff is false if it is not told so.
func (f *Facts) bridgeOff(r Result, link lxcconf.Item, start []Command) (off Result, isOff bool) {
	if !slices.ContainsFunc(start, func(c Command) bool {
		return strings.HasPrefix(c.Args[len(c.Args)-1], "lxc-net") || slices.Contains(c.Args, "lxc-net")
	}) {
		return r, false // Alpine's own service
	}
	const use, bridge = "USE_LXC_BRIDGE", "LXC_BRIDGE"
	if value, at := f.lxcNetSetting(bridge); at.Path != "" && value != link.Value {
		r.Evidence = append(r.Evidence, at)
		return r.fixed("name in its place "+value+", which lxc-net makes, or another that is there", f.editAny(link.File)), true
	}
	value, at := f.lxcNetSetting(use)
	if at.Path == "" || value == "true" {
		return r, false
	}
	r.Evidence = append(r.Evidence, at)
	commands := []Command{asRoot("sed", "-i", `s/^[[:blank:]]*`+use+`=.*/`+use+`="true"/`, at.file())}
	for _, c := range start { // it may run already, and have made none
		switch n := len(c.Args) - 1; {
		case slices.Contains(c.Args, "--now"):
			commands = append(commands, asRoot("systemctl", "enable", c.Args[n]), asRoot("systemctl", "restart", c.Args[n]))
		case c.Args[n] == "start":
			commands = append(commands, asRoot(append(slices.Clone(c.Args[:n]), "restart")...))
		default:
			commands = append(commands, c)
		}
	}
	return r.fixed("have lxc-net make it, now and at boot", commands...), true
}
