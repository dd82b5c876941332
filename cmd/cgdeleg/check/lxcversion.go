package check

import "fmt"

// firstOfUnified is the first LXC that knows cgroup v2 without v1 beside it.
const firstOfUnified = 3

// beforeUnified is the result for an LXC that does not know cgroup v2 alone: it finds neither
// freezer nor what systemd has on v1, and refuses to start anything (cgfsng.c of 2.0 and 2.1,
// all_controllers_found); ok if this is none.
func (f *Facts) beforeUnified(version string) Result {
	if numbers := versionNumbers(version); len(numbers) == 0 || numbers[0] >= firstOfUnified {
		return ok("")
	}
	return failed(fmt.Sprintf("LXC %s does not know cgroup v2, and starts no container on it", version)).
		fixed(fmt.Sprintf("install LXC %d.0 or later", firstOfUnified))
}
