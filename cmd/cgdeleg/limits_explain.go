package main

import (
	"errors"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/moby/sys/user"
	"github.com/spf13/cobra"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/account"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limitsconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
)

func newLimitsExplain(s *settings) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain USER",
		Short: "Show which limits a user gets, by which line, and what is in force",
		Long: `Show which line of the files gives limits to the user and to each session, what
they come to on this machine, into which files they are written, and what these
files have now. Percentages are of the nearest limit above, or of the machine.

On a machine that systemd runs with cgroup v2, limits of the user are those of
the user's slice.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{errors.New("whose limits are to be explained? cgdeleg limits explain USER, such as: cgdeleg limits explain alice")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			m := s.machine()
			who, err := account.ByName(m, args[0])
			if err != nil {
				return err
			}
			e, err := explainLimits(m, who)
			if err != nil {
				return err
			}
			e.complain(cmd.ErrOrStderr(), who.Name)
			if asJSON {
				return printJSON(cmd.OutOrStdout(), e.json())
			}
			return e.print(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "for programs (docs/json.md)")
	return cmd
}

// explained is which limits a user gets, and what becomes of them.
type explained struct {
	given
	who    user.User
	limits []explainedLimit
}

// explainedLimit is a limit in one file of one cgroup, or why it is in none.
type explainedLimit struct {
	scope     limitsconf.Scope
	limit     limits.Limit
	hierarchy string
	setting   limits.Setting // without a File where reason says why
	file      string         // the whole path
	now       string         // "" if there is no such cgroup now, or it cannot be read
	isThere   bool           // the cgroup is
	slice     string         // of systemd, which writes it; "": we do
	reason    string
}

func explainLimits(m machine.Machine, who user.User) (e explained, err error) {
	e = explained{given: limitsFor(m, who), who: who}
	set, err := hierarchy.Find(m)
	if err != nil {
		return e, err
	}
	defer set.Close()
	name, err := layout.DirName(who.Name)
	if err != nil {
		return e, err
	}
	e.explain(m, set, name)
	return e, nil
}

// explain fills in what becomes of the limits in each hierarchy.
func (e *explained) explain(m machine.Machine, set *hierarchy.Set, name string) {
	given := e.given.limits()
	for scope, list := range [][]limits.Limit{limitsconf.User: given.User, limitsconf.Session: given.Session} {
		for _, l := range limits.Homeless(set.All, list) {
			e.limits = append(e.limits, explainedLimit{scope: limitsconf.Scope(scope), limit: l, reason: "no mounted hierarchy has the controller"})
		}
	}
	isSystemds := manager.Of(m, set).Name() == manager.SystemdName
	for _, h := range set.All {
		slice := ""
		if isSystemds && (h.IsUnified() || hasUserSlice(h)) {
			slice = sliceOf(e.who.Uid)
		}
		userPath := layout.UserPath(h, name)
		if slice != "" {
			userPath = path.Join("/user.slice", slice)
		}
		at := limits.Place{Machine: m, Hierarchy: h, Path: userPath}
		at.Above = e.inCgroup(at, limitsconf.User, slice, given.User)
		if slice != "" {
			e.unexplained(h, given.Session)
			continue
		}
		sessions, _ := layout.NumbersIn(h, name)
		if len(sessions) == 0 {
			sessions = []int{0} // that of the next login
		}
		for _, n := range sessions {
			id := layout.ID{User: name, Number: n}
			e.inCgroup(limits.Place{Machine: m, Hierarchy: h, Path: id.Path(h), Above: at.Above}, limitsconf.Session, "", given.Session)
		}
	}
}

// hasUserSlice tells whether systemd has logins in a hierarchy of v1.
func hasUserSlice(h *hierarchy.Hierarchy) bool {
	dir, err := h.OpenBelow(path.Join(h.Base, "user.slice"))
	if err != nil {
		return false
	}
	defer dir.Close()
	names, _, _ := dir.Children(1)
	return len(names) > 0
}

// unexplained notes that pam_systemd gives limits to sessions.
func (e *explained) unexplained(h *hierarchy.Hierarchy, list []limits.Limit) {
	for _, l := range limits.OfHierarchy(h, list) {
		e.limits = append(e.limits, explainedLimit{
			scope: limitsconf.Session, limit: l, hierarchy: h.Name,
			reason: "pam_systemd sets it at login, where the PAM file has a line \"session optional pam_cgdeleg.so limits\" before it",
		})
	}
}

// inCgroup adds what the limits come to in one cgroup, and returns that.
func (e *explained) inCgroup(at limits.Place, scope limitsconf.Scope, slice string, list []limits.Limit) []limits.Setting {
	settings, errs := limits.Settings(at, list)
	dir, openErr := at.Hierarchy.OpenBelow(at.Path)
	if openErr == nil {
		defer dir.Close()
	}
	for _, s := range settings {
		one := explainedLimit{
			scope: scope, limit: s.Limit, hierarchy: at.Hierarchy.Name, setting: s, slice: slice,
			file: path.Join(at.Hierarchy.Mount.Point, at.Path, s.File),
		}
		if openErr == nil {
			one.now, one.isThere = limits.Compare(dir, []limits.Setting{s})[0].Before, true
		}
		e.limits = append(e.limits, one)
	}
	for _, err := range errs {
		name, reason := limitOf(err)
		i := slices.IndexFunc(list, func(l limits.Limit) bool { return l.Name == name })
		e.limits = append(e.limits, explainedLimit{scope: scope, limit: list[max(i, 0)], hierarchy: at.Hierarchy.Name, reason: reason})
	}
	return settings
}

// print writes it for people.
func (e *explained) print(w io.Writer) error {
	if e.isAbsent {
		return printf(w, "There is neither %s nor a file in %s: nobody is given limits.\n", limitsconf.File, limitsconf.Directory)
	}
	for _, scope := range []limitsconf.Scope{limitsconf.User, limitsconf.Session} {
		rule, whom := e.User, "all sessions of "+printable(e.who.Name)+" together"
		if scope == limitsconf.Session {
			rule, whom = e.Session, "each session of "+printable(e.who.Name)
		}
		if err := e.printScope(w, scope, rule, whom); err != nil {
			return err
		}
	}
	return nil
}

func (e *explained) printScope(w io.Writer, scope limitsconf.Scope, rule *limitsconf.Rule, whom string) error {
	text := "is given limits by "
	switch {
	case rule == nil && e.isUnknown():
		text = "may have limits: "
	case rule == nil:
		text = "is given no limits: "
	case len(rule.Limits) == 0:
		text = "is given no limits by "
	}
	if scope == limitsconf.User {
		text = strings.Replace(text, "is given", "are given", 1)
	}
	if err := printf(w, "%s %s%s\n", strings.ToUpper(whom[:1])+whom[1:], text, ruleText(rule)); err != nil {
		return err
	}
	for _, l := range e.limits {
		if l.scope != scope {
			continue
		}
		if err := l.print(w); err != nil {
			return err
		}
	}
	return nil
}

func (l explainedLimit) print(w io.Writer) error {
	if l.file == "" {
		return printf(w, "  %s=%s: not set here: %s\n", string(l.limit.Name), l.limit.Text(), l.reason)
	}
	now := "no such cgroup now"
	switch {
	case l.now != "":
		now = "now " + humanValue(l.setting, l.now)
	case l.isThere:
		now = "not known now"
	}
	by := ""
	if l.slice != "" {
		by = ", set by systemd for " + l.slice
	}
	return printf(w, "  %s=%s: %s, %s\n    %s%s\n", string(l.limit.Name), l.limit.Text(), humanValue(l.setting, l.setting.Value), now, l.file, by)
}

// What `cgdeleg limits explain --json` writes; docs/json.md describes it.
type (
	jsonLimitsExplain struct {
		Schema  int             `json:"schema"`
		User    string          `json:"user"`
		UID     int             `json:"uid"`
		Known   bool            `json:"known"`
		Lines   []jsonLimitLine `json:"lines"`
		Limits  []jsonExplained `json:"limits"`
		Ignored []string        `json:"ignored"`
	}
	jsonLimitLine struct {
		Scope string `json:"scope"`
		File  string `json:"file"`
		Line  int    `json:"line"`
		Who   string `json:"who"`
	}
	jsonExplained struct {
		Scope     string  `json:"scope"`
		Limit     string  `json:"limit"`
		Given     string  `json:"given"`
		Hierarchy *string `json:"hierarchy"`
		File      *string `json:"file"`
		Value     *string `json:"value"`
		Now       *string `json:"now"`
		Slice     *string `json:"slice"`
		Reason    *string `json:"reason"`
	}
)

func (e *explained) json() jsonLimitsExplain {
	j := jsonLimitsExplain{
		Schema: schemaVersion, User: e.who.Name, UID: e.who.Uid, Known: !e.isUnknown(),
		Lines: []jsonLimitLine{}, Limits: []jsonExplained{}, Ignored: []string{},
	}
	for _, rule := range []*limitsconf.Rule{e.User, e.Session} {
		if rule != nil {
			j.Lines = append(j.Lines, jsonLimitLine{Scope: rule.Scope.String(), File: rule.File, Line: rule.Line, Who: rule.WhoText})
		}
	}
	for _, l := range e.limits {
		j.Limits = append(j.Limits, jsonExplained{
			Scope: l.scope.String(), Limit: string(l.limit.Name), Given: l.limit.Text(), Hierarchy: orNull(l.hierarchy),
			File: orNull(l.file), Value: orNull(l.setting.Value), Now: orNull(l.now), Slice: orNull(l.slice), Reason: orNull(l.reason),
		})
	}
	for _, err := range e.errs {
		j.Ignored = append(j.Ignored, err.Error())
	}
	if e.Unknown != nil {
		j.Ignored = append(j.Ignored, e.Unknown.Error())
	}
	return j
}

// orNull is what JSON has for a text: null where it is empty.
func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
