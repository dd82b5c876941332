package check

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// checkKeys looks whether LXC knows the keys of the container's configuration. Of a version
// whose keys nobody has listed, one that is not in the list may be known or not.
func (f *Facts) checkKeys() Result {
	version := f.System.Version("lxc")
	major := 0
	if numbers := versionNumbers(version); len(numbers) > 0 {
		major = numbers[0]
	}
	r := ok("").certain()
	for _, item := range f.Config.Items {
		if lxcconf.IsKey(item.Key) {
			continue
		}
		name, isOld := lxcconf.NewKey(item.Key)
		switch {
		case isOld && major > 0 && major < lxcconf.FirstListed:
		case major >= lxcconf.FirstListed && major <= lxcconf.LastListed && isOld:
			return f.oldKey(item, name, version)
		case major >= lxcconf.FirstListed && major <= lxcconf.LastListed:
			return f.noKey(item, version)
		case r.Status == OK:
			reason := "its version is not known"
			if version != "" {
				reason = "its keys are known only of the versions 3 to 6"
			}
			r = unknown("it cannot be told whether "+strings.TrimSpace("LXC "+version)+" knows the key "+item.Key, errors.New(reason))
			r.Evidence = []Evidence{itemEvidence(item)}
		}
	}
	return r
}

// noKey is the result for a key that LXC has not, and had not before.
func (f *Facts) noKey(item lxcconf.Item, version string) Result {
	const short = len("lxc.group")
	mostEdits := 2
	if len(item.Key) <= short { // lxc.foo is not lxc.hook
		mostEdits = 1
	}
	text := "take that line out, or write a key of lxc.container.conf(5)"
	if name := lxcconf.Near(item.Key, func(a, b string) bool { return edits(a, b) <= mostEdits }); name != "" {
		text = "write " + name + " in its place"
	}
	return failed("LXC "+version+" does not know the key "+item.Key+", and refuses to start the container", itemEvidence(item)).
		fixed(text, f.editAny(item.File)).certain()
}

// oldKey is the result for a key of before LXC 2.1.
func (f *Facts) oldKey(item lxcconf.Item, name, version string) Result {
	r := failed(fmt.Sprintf("LXC %s does not know the key %s of before LXC 2.1 any more, and refuses to start the container", version, item.Key), itemEvidence(item))
	edit := f.editAny(item.File)
	program, _, answer := f.lookUp("lxc-update-config")
	isFamily := strings.HasPrefix(item.Key, "lxc.limit.") // of which that does not think
	if answer == machine.Found && !edit.Root && !isFamily {
		script := "cd " + quote(path.Dir(item.File)) + " && " + quote(program) + " -c " + quote(item.File) // it writes where it is called
		return r.fixed("write the new keys in place of the old ones, which it keeps in "+item.File+".backup", Command{Args: []string{"sh", "-c", script}}).certain()
	}
	if name == "" {
		return r.fixed("take that line out", edit).certain()
	}
	return r.fixed("write "+name+" in its place", edit).certain()
}
