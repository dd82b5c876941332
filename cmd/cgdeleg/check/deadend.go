package check

import (
	"slices"
	"strings"
)

// A deadEnd is where no container can be started, whatever else is right there: one check says
// so, and no other finds trouble.
type deadEnd struct {
	check  string // which says it
	name   string
	is     func(*Facts) bool
	result func(*Facts) Result
}

var deadEnds = []deadEnd{
	{"mode", "WSL 1", (*Facts).isWSL1, (*Facts).wsl1Result},
	{"userns", "a sandbox of Flatpak's", (*Facts).inFlatpak, (*Facts).flatpakResult},
}

// atDeadEnd is a check's result in such a place; elsewhere it is the given one.
func (f *Facts) atDeadEnd(c *Check, r Result) Result {
	i := slices.IndexFunc(deadEnds, func(d deadEnd) bool { return d.is(f) })
	isInTrouble := func(name string) bool { return f.resultAnywhere(ByName(name)).Status.IsTrouble() }
	switch {
	case i < 0:
		return r
	case deadEnds[i].check == c.Name:
		return deadEnds[i].result(f)
	case c.Name != "user" && (r.Status.IsTrouble() || slices.ContainsFunc(c.DependsOn, isInTrouble)):
		return skip("this is " + deadEnds[i].name + ": see the check " + deadEnds[i].check)
	}
	return r
}

const versionFile = "/proc/version"

// isWSL1 tells whether the kernel is what Windows shows of itself to programs for Linux. That
// of WSL 2 is Linux, and calls itself microsoft.
func (f *Facts) isWSL1() bool {
	words := f.readWords(versionFile)
	return len(words) > 2 && strings.HasSuffix(words[2], "-Microsoft")
}

func (f *Facts) wsl1Result() Result {
	return failed("this is WSL 1, which has neither the cgroups nor the namespaces that containers need", Evidence{versionFile, brief(f.readWord(versionFile))}).
		fixed("have Windows run this distribution by WSL 2 (wsl --set-version NAME 2, and wsl --list says the NAME)")
}

// flatpakInfo is in every sandbox of Flatpak's (flatpak-run(1)).
const flatpakInfo = "/.flatpak-info"

func (f *Facts) inFlatpak() bool { return f.Machine.Exists(flatpakInfo) }

func (f *Facts) flatpakResult() Result {
	return failed("this shell is in a sandbox of Flatpak's, which lets nobody make user namespaces", Evidence{flatpakInfo, "is there"}).
		fixed("start containers from a terminal outside of it, or by flatpak-spawn --host, which starts programs there")
}
