package check_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/ociconf"
)

// A bundle that maps the user's own ID alone takes neither newuidmap nor subordinate IDs.
func TestOwnIDAlone(t *testing.T) {
	const file = "/home/alice/b/config.json"
	for name, test := range map[string]struct {
		bundle change // nil: none was asked about
		group  int
		want   check.Status
	}{
		"own":                    {write("/nothing", ""), 1000, check.Skipped},
		"another's group":        {write("/nothing", ""), 1001, check.Failed},
		"a range":                {replace(file, `"size": 1`, `"size": 65536`), 1000, check.Failed},
		"another's":              {replace(file, `"hostID": 1000`, `"hostID": 1001`), 1000, check.Failed},
		"nobody knows, and runc": {nil, 1000, check.Warning},
	} {
		t.Run(name, func(t *testing.T) {
			changes := []change{write("/etc/subuid", ""), write("/etc/subgid", "")}
			if test.bundle != nil {
				changes = append(changes, test.bundle)
			}
			m := recorded(t, "tried/runc-rootless-no-newuidmap", changes...)
			f := &check.Facts{Machine: m, System: versionsOf(t, m)}
			var err error
			if f.Subject, err = check.Caller(m); err != nil {
				t.Fatal(err)
			}
			f.Subject.GID = test.group
			if test.bundle != nil {
				data, err := m.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if f.Bundle, err = ociconf.Parse(file, string(data)); err != nil {
					t.Fatal(err)
				}
				f.BundleDir = "/home/alice/b"
			}
			for _, finding := range run(t, f) {
				isAboutRanges := finding.Name == "subid" && test.want != check.Failed // of which the bundle says how many
				if (finding.Name == "idmap-tools" || isAboutRanges) && finding.Status != test.want {
					t.Errorf("%s is %s (%s), want %s", finding.Name, finding.Status, finding.Says, test.want)
				}
			}
		})
	}
}

// podman gives a container the user's own ID beside those of its ranges, and LXC does not.
func TestEnoughForPodman(t *testing.T) {
	for name, test := range map[string]struct {
		count    int
		versions string
		isEnough bool
	}{
		"as few as podman takes": {65534, "podman 5.0.0\ncrun 1.14\n", true},
		"one less":               {65533, "podman 5.0.0\ncrun 1.14\n", false},
		"LXC beside it":          {65535, "podman 5.0.0\ncrun 1.14\nlxc 5.0.2\n", false},
		"as many as LXC takes":   {65536, "lxc 5.0.2\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			ids := fmt.Sprintf("alice:100000:%d\n", test.count)
			m := recorded(t, "tried/etc-readonly", write("/etc/subuid", ids), write("/etc/subgid", ids), write("/versions", test.versions))
			got := troubles(findingsOn(t, m, ""))
			if (slices.Contains(got, "failed:subid") || slices.Contains(got, "warning:subid")) == test.isEnough {
				t.Errorf("got %q", got)
			}
		})
	}
}
