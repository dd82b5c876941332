package check_test

import (
	"slices"
	"strings"
	"testing"
)

// Where nobody can write /etc no command does, and the fix says where it belongs.
func TestReadOnlyEtc(t *testing.T) {
	const rest = "21 24 0:20 / /proc rw - proc proc rw\n34 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
	for name, test := range map[string]struct {
		root string // lines of mountinfo
		text string // the beginning of the fix; "": commands write /etc
	}{
		"an image":           {"24 1 254:0 / / ro,relatime - squashfs /dev/root ro\n", "in the image from which / is mounted, which nobody can write here: give alice a free range"},
		"an image, not said": {"24 1 254:0 / / rw,relatime - erofs /dev/root ro\n", "in the image from which / is mounted, "},
		"a disk":             {"24 1 254:0 / / ro,relatime - ext4 /dev/vda ro\n", "/etc is on /, which is mounted read-only: in the image that it is made of, or where it is mounted writable, give alice"},
		"another one":        {"24 1 254:0 / / ro - squashfs /dev/root ro\n25 24 0:30 / /etc rw - overlay overlay rw\n", ""},
		"writable":           {"24 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			findings := findingsOn(t, recorded(t, "tried/etc-readonly", write("/proc/self/mountinfo", test.root+rest)), "")
			first := findings[slices.IndexFunc(findings, isTrouble)]
			isWritten := len(first.Fix.Commands) > 0 && strings.HasPrefix(first.Fix.Commands[0].String(), `sudo sh -c 'printf '\''\n1000:100000:65536\n'\'' >>/etc/subuid'`)
			if first.Name != "subid" || isWritten != (test.text == "") || !strings.HasPrefix(first.Fix.Text, test.text) {
				t.Errorf("%s is fixed by %q, %v", first.Name, first.Fix.Text, first.Fix.Commands)
			}
		})
	}
}
