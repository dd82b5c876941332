package delegate

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate/apply"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
)

// Where systemd has a user's sessions it limits them: a session of ours lacks no cgroup
// there.
func TestLimitLeavesSystemdsHierarchies(t *testing.T) {
	memory, err := limits.Parse("memory.max=1G")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		uid  int
		want []string // hierarchies in which the session is missing
	}{
		{"the user's scopes", 1000, nil},
		{"scopes of others", 4321, []string{"memory"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			all, err := Limit(t.Context(), LimitRequest{
				Machine: recorded("systemd-hybrid-adopted"), User: "alice", UID: test.uid, OnlyCompare: true,
				Limits: limits.Given{User: []limits.Limit{memory}, IsManaged: true},
			})
			if err != nil {
				t.Fatal(err)
			}
			var missing []string
			for _, l := range all {
				if errors.Is(errors.Join(l.Errs...), apply.ErrNoSession) {
					missing = append(missing, l.Hierarchy.Name)
				}
			}
			slices.Sort(missing)
			if missing = slices.Compact(missing); fmt.Sprint(missing) != fmt.Sprint(test.want) {
				t.Errorf("missing in %q, want %q", missing, test.want)
			}
		})
	}
}
