package check

import (
	"path"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// defaultConf is what lxc-create makes root's containers from. Users' are made from their own
// (lxc.system.conf(5), lxc.default_config), which is a copy of it at first.
const defaultConf = "/etc/lxc/default.conf"

// ownDefaultConf is what lxc-create makes the subject's containers from.
func (f *Facts) ownDefaultConf() string { return f.Subject.Home + "/.config/lxc/default.conf" }

// inOwnCopy has what a fix would change in root's default configuration changed in the user's.
func (f *Facts) inOwnCopy(fix *Fix) *Fix {
	isIt := func(c Command) bool {
		return slices.ContainsFunc(c.Args, func(arg string) bool { return strings.Contains(arg, defaultConf) })
	}
	if f.Config == nil || f.Config.File != defaultConf || f.Subject.UID == 0 || f.Subject.Home == "" || !slices.ContainsFunc(fix.Commands, isIt) {
		return fix
	}
	file := f.ownDefaultConf()
	hasOne := f.usersFiles().Find(file) == machine.Found
	own := Fix{Text: "in " + file + ", as LXC reads " + defaultConf + " only for root's containers: " + fix.Text}
	if !hasOne {
		own.Text = "copy " + defaultConf + ", which LXC reads only for root's containers, to " + file + ", and in the copy: " + fix.Text
		script := "[ -e " + quote(file) + " ] || cp " + defaultConf + " " + quote(file) // another fix may have made it
		own.Commands = []Command{{Args: []string{"mkdir", "-p", path.Dir(file)}}, {Args: []string{"sh", "-c", script}}}
	}
	for _, c := range fix.Commands {
		switch {
		case isIt(c) && hasOne: // whose lines are others
			edit := f.edit(file)
			edit.Or = c.Or
			own.Commands = withCommand(own.Commands, edit)
		case isIt(c):
			c.Args, c.Root = slices.Clone(c.Args), false
			for i := range c.Args {
				c.Args[i] = strings.ReplaceAll(c.Args[i], defaultConf, file)
			}
			own.Commands = append(own.Commands, c)
		default:
			own.Commands = append(own.Commands, c)
		}
	}
	return &own
}
