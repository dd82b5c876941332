package main

import (
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/limitcheck"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limitsconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// Nothing is wrong with the file that the packages have as an example.
func TestLimitsExample(t *testing.T) {
	f := &limitcheck.Facts{Machine: machine.Recorded(t.TempDir()), Config: limitsconf.Parse("limits.conf", readDoc(t, "contrib/examples/limits.conf"))}
	if found := limitcheck.Run(f); len(found) > 0 || len(f.Config.Rules) != 4 {
		t.Errorf("%d lines, %+v", len(f.Config.Rules), found)
	}
}
