package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/sys/user"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/account"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limitsconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/nss"
)

// given is which limits the files give to a user.
type given struct {
	limitsconf.Limits
	errs []error // lines and files that are ignored
	// isAbsent tells that there are no files.
	isAbsent bool
}

// nssPatience bounds the question for a user's groups.
const nssPatience = 5 * time.Second

// limitsFor reads the files for one user.
func limitsFor(m machine.Machine, who user.User) (g given) {
	g.Limits, g.errs = limitsconf.ReadFor(m, limitsconf.Subject{
		Name: who.Name, UID: who.Uid,
		Groups: func() (names, gids []string, err error) { return nss.Groups(m, who.Name, time.Now().Add(nssPatience)) },
	})
	g.isAbsent = !hasLimitsFile(m)
	return g
}

// hasLimitsFile tells whether there is a file, whatever is in it, or it is not known that
// there is none.
func hasLimitsFile(m machine.Machine) bool {
	names, _ := m.ReadDir(limitsconf.Directory)
	if m.Exists(limitsconf.File) || slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, ".conf") }) {
		return true
	}
	_, errs := limitsconf.ReadFor(m, limitsconf.Subject{})
	return len(errs) > 0
}

// isUnknown tells whether it is not known which limits the user has: a file could not be
// read, or the user's groups.
func (g given) isUnknown() bool {
	return g.Unknown != nil || slices.ContainsFunc(g.errs, func(err error) bool {
		var syntax *limitsconf.SyntaxError
		return !errors.As(err, &syntax)
	})
}

// limits returns the limits themselves.
func (g given) limits() (l limits.Given) {
	if g.User != nil {
		l.User = g.User.Limits
	}
	if g.Session != nil {
		l.Session = g.Session.Limits
	}
	l.IsManaged, l.IsUncertain = g.User != nil || g.Session != nil, g.isUnknown()
	return l
}

// complain says what of the files is ignored.
func (g given) complain(w io.Writer, who string) {
	for _, err := range g.errs {
		complain(w, "%v; ignored", err)
	}
	if g.Unknown != nil {
		complain(w, "the groups of %s are not known: %v; lines for groups are ignored", escape(printable(who)), g.Unknown)
	}
}

// ruleText is a line of the files, as far as it is about limits.
func ruleText(r *limitsconf.Rule) string {
	if r == nil {
		return "no line"
	}
	return fmt.Sprintf("line %d of %s (%s)", r.Line, r.File, r.WhoText)
}

// accountNamed returns the account of that name or, if none has it, of that user ID.
func accountNamed(m machine.Machine, name string) (user.User, error) {
	who, err := account.ByName(m, name)
	uid, notANumber := strconv.Atoi(name)
	if err == nil || notANumber != nil {
		return who, err
	}
	if a, known := account.ByUID(m, uid); known {
		return a, nil
	}
	return who, err
}

// seconds is a flag's time: of a number without a unit, seconds, as top -d takes them.
type seconds time.Duration

func (s *seconds) Set(text string) error {
	if n, err := strconv.ParseFloat(text, 64); err == nil && n >= 0 && n < 1e9 {
		*s = seconds(n * float64(time.Second))
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return fmt.Errorf("%q is no time: want seconds, or a time such as 30s or 5m", text)
	}
	*s = seconds(d)
	return nil
}

func (s *seconds) String() string { return time.Duration(*s).String() }
func (s *seconds) Type() string   { return "duration" }
