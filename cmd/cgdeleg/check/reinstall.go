package check

import (
	"slices"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// reinstall has what installs a package also write again what is missing of one that is
// installed; nil where it cannot.
func reinstall(words []string) []string {
	with := func(option string) []string {
		return slices.Insert(slices.Clone(words), len(words), option)
	}
	switch words[0] {
	case "apt":
		return with("--reinstall")
	case "dnf", "yum":
		return []string{words[0], "reinstall"}
	case "zypper":
		return with("--force")
	case "transactional-update":
		return with("--force")
	case "apk":
		return []string{"apk", "fix"}
	case "xbps-install":
		return with("--force")
	case "pacman", "emerge":
		return words // they do so by themselves
	}
	return nil
}

// installIDMapTool installs the one of newuidmap and newgidmap that is missing. Both are in one
// package: where the other is there that is installed, and only wants this file again.
func (f *Facts) installIDMapTool(missing string) *Fix {
	hasOther := slices.ContainsFunc(idMapTools, func(tool idMapTool) bool {
		file, _, answer := f.lookUp(tool.name)
		return tool.name != missing && answer == machine.Found && isPackaged(file)
	})
	if !hasOther {
		return f.installIDMapTools()
	}
	fix := &Fix{Text: "install again the package that has newuidmap and newgidmap, as " + missing + " is missing"}
	for _, d := range distributions {
		if !f.isLike(d.ids...) {
			continue
		}
		words, later := f.installer(d)
		if words == nil {
			break
		}
		if words = reinstall(words); words != nil {
			fix.Text += later
			fix.Commands = []Command{byHand(append(words, d.idmapper)...)}
		}
		break
	}
	return fix
}
