package check

import (
	"fmt"
	"strings"
)

// fewForPodman is the result where podman is there without LXC, and the user has fewer IDs than
// LXC would need, but some. isIt is false if it is not so, or there is more to be said of these.
func (f *Facts) fewForPodman(both []subIDs) (r Result, isIt bool) {
	if f.Partial || f.Nested > 1 || f.System.Version("podman") == "" || f.System.Version("lxc") != "" || f.hasIDMap() {
		return r, false
	}
	for i := range both {
		s := &both[i]
		if s.isUnread || s.count() == 0 || s.count() < oneContainer && (total(s.own) >= oneContainer || len(s.meant(f.Subject)) > 0) {
			return r, false
		}
	}
	users, groups := both[0].count(), both[1].count()
	fewest := min(users, groups)
	if fewest >= oneContainer {
		return r, false
	}
	if r, isTrouble := f.podmansResult(both, fewest); isTrouble {
		return r.certain(), true
	}
	evidence := []Evidence{both[0].evidence(), both[1].evidence()}
	if fewest >= enoughOfPodmans {
		return ok(fmt.Sprintf("%d user IDs, and %d group IDs", users, groups), evidence...).certain(), true
	}
	says := fmt.Sprintf("%s has %d subordinate IDs: podman starts containers, but cannot unpack an image with a file whose ID is above that, such as one of nobody's (%d)", f.Subject.Called(), fewest, enoughOfPodmans)
	return warning(says, evidence...).with(f.newRangeFix(both, oneContainer), "").certain(), true
}

// asPodman is a failure where podman is installed, which maps all that a user has, and starts
// nothing. LXC maps what a container's configuration says.
func (f *Facts) asPodman(says string, evidence ...Evidence) Result {
	if f.System.Version("podman") == "" {
		return warning(says, evidence...)
	}
	r := failed(says, evidence...)
	r.isPodmans = true
	return r
}

// IsPodmans tells whether such a trouble keeps podman from starting containers, and not LXC,
// which is there as well.
func (f *Facts) IsPodmans(finding Finding) bool {
	isIt := finding.isPodmans || finding.IsOfClient() && strings.HasPrefix(finding.Name, "podman")
	return isIt && f.System.Version("lxc") != ""
}
