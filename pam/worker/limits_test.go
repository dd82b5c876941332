package worker

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate/limitsconf"
)

// Lines of which a login says nothing are counted, however many there are.
func TestIgnored(t *testing.T) {
	for _, lines := range []int{0, 1, 15, 16, 17, 100} {
		t.Run(fmt.Sprint(lines, " lines"), func(t *testing.T) {
			s, _ := aMachine(t, map[string]string{"etc/cgdeleg/limits.conf": strings.Repeat("x\n", lines)})
			_, errs := limitsconf.ReadFor(s.machine, limitsconf.Subject{})
			if got := ignored(errs); got != lines {
				t.Errorf("%d of %d errors", got, len(errs))
			}
			if got := ignored(append(errs, errors.New("a file"))); got != lines+1 {
				t.Errorf("%d with a file", got)
			}
		})
	}
}
