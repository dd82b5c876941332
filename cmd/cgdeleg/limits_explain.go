package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/user"
	"github.com/spf13/cobra"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limitsconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
)

func newLimitsExplain(s *settings) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain [USER]",
		Short: "Show which limits a user gets, by which line, and what is in force",
		Long: `Show which line of the files gives limits to the user and to each session, what
they come to on this machine, into which files they are written, and what these
files have now. Percentages are of the nearest limit above, or of the machine.
USER is a name or a user ID; without it, yourself.

Where systemd runs the machine with cgroup v2 alone, limits of the user are
those of the user's slice. For a system account, or where elogind makes the
cgroups of logins, it says that there are none.`,
		Example: `  cgdeleg limits explain alice
  cgdeleg limits explain alice --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 0 && (s.root != "" || os.Geteuid() == 0) {
				return &usageError{errors.New("whose limits are to be explained? cgdeleg limits explain USER, such as: cgdeleg limits explain alice")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			m := s.machine()
			name := strconv.Itoa(os.Geteuid())
			if len(args) > 0 {
				name = args[0]
			}
			who, err := accountNamed(m, name)
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
			return s.paged(cmd, func(out screen) error { return errors.Join(e.print(out), e.printOutside(out, m)) })
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
	now       string
	isThere   bool   // the cgroup is
	isKnown   bool   // what is in the file now
	slice     string // of systemd, which writes it; "": we do
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
	isSystemds := hasLimitedSlices(m, set)
	if err := plan.Account(m, e.who.Uid, plan.DefaultMinUID); err != nil && !isSystemds && len(layout.Numbers(set, name)) == 0 {
		e.limits = nil
		e.leave("", limitsconf.User, given.User, err.Error()+"; it has no sessions")
		e.leave("", limitsconf.Session, given.Session, err.Error()+"; it has no sessions")
		return
	}
	isElogind := manager.Of(m, set).Name() == manager.ElogindName
	for _, h := range set.All {
		sessions, _ := layout.NumbersIn(h, name)
		if isElogind && h.IsUnified() && len(sessions) == 0 {
			e.leave(h.Name, limitsconf.User, limits.OfHierarchy(h, given.User), "elogind has no cgroup for all sessions of a user")
			e.leave(h.Name, limitsconf.Session, limits.OfHierarchy(h, given.Session), "a login stays in elogind's cgroup, which is given no limits")
			continue
		}
		slice := ""
		if isSystemds && (h.IsUnified() || hasUserSlice(h)) {
			slice = manager.UserSlice(e.who.Uid)
		}
		userPath := layout.UserPath(h, name)
		if slice != "" {
			userPath = path.Join("/", manager.UsersSlice, slice)
		}
		at := limits.Place{Machine: m, Hierarchy: h, Path: userPath}
		at.Above = e.inCgroup(at, limitsconf.User, slice, given.User)
		if slice != "" {
			e.leave(h.Name, limitsconf.Session, limits.OfHierarchy(h, given.Session),
				"pam_systemd sets it at login, where the PAM file has a line \"session optional pam_cgdeleg.so limits\" before it")
			continue
		}
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
	dir, err := h.OpenBelow(path.Join(h.Base, manager.UsersSlice))
	if err != nil {
		return false
	}
	defer dir.Close()
	names, _, _ := dir.Children(1)
	return len(names) > 0
}

// leave notes why limits are not set here; in all hierarchies, if it is "".
func (e *explained) leave(hierarchy string, scope limitsconf.Scope, list []limits.Limit, reason string) {
	for _, l := range list {
		e.limits = append(e.limits, explainedLimit{scope: scope, limit: l, hierarchy: hierarchy, reason: reason})
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
			o := limits.Compare(dir, []limits.Setting{s})[0]
			one.now, one.isThere, one.isKnown = o.Before, true, isRead(o)
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
		return printf(w, "%s may have limits: not all files, or not the groups, could be read\n", strings.ToUpper(whom[:1])+whom[1:])
	case rule == nil:
		text = "is given no limits: "
	case len(rule.Limits) == 0:
		text = "is given no limits by "
	}
	if scope == limitsconf.User {
		text = strings.Replace(text, "is given", "are given", 1)
	}
	if err := printf(w, "%s\n", wrapOn(w, strings.ToUpper(whom[:1])+whom[1:]+" "+text+ruleText(rule), 0)); err != nil {
		return err
	}
	isIn := slices.ContainsFunc(e.limits, func(l explainedLimit) bool { return l.isThere })
	for _, l := range asOnV2(e.limits) {
		if l.scope != scope {
			continue
		}
		if err := l.print(w, isIn); err != nil {
			return err
		}
	}
	return nil
}

// The files of v1 for cpu.max.
const (
	quotaFile  = "cpu.cfs_quota_us"
	periodFile = "cpu.cfs_period_us"
)

// asOnV2 has the two files of v1 for cpu.max as one: that of the quota, with the values
// that cpu.max of cgroup v2 would have.
func asOnV2(all []explainedLimit) (fewer []explainedLimit) {
	periods := map[string]explainedLimit{} // by the cgroup's path
	for _, l := range all {
		if l.setting.File == periodFile {
			periods[path.Dir(l.file)] = l
		}
	}
	for _, l := range all {
		period, has := periods[path.Dir(l.file)]
		switch {
		case l.setting.File == periodFile:
			continue
		case l.setting.File == quotaFile && has:
			l.setting.File = string(limits.CPUMax)
			l.setting.Value = quotaOnV2(l.setting.Value, period.setting.Value)
			l.isKnown = l.isKnown && period.isKnown
			l.now = quotaOnV2(l.now, period.now)
		}
		fewer = append(fewer, l)
	}
	return fewer
}

// quotaOnV2 is what cpu.max would have; v1 has -1 for no quota.
func quotaOnV2(quota, period string) string {
	if quota == "-1" {
		quota = "max"
	}
	return quota + " " + period
}

func (l explainedLimit) print(w io.Writer, isIn bool) error {
	if l.file == "" {
		return printf(w, "  %s\n", wrapOn(w, fmt.Sprintf("%s=%s: not set here: %s", l.limit.Name, l.limit.Text(), l.reason), 4))
	}
	now := "not logged in now"
	if isIn {
		now = "no such cgroup now"
	}
	switch {
	case l.isKnown && l.now == "":
		now = "now nothing"
	case l.isKnown:
		now = "now " + humanValue(l.setting, l.now)
	case l.isThere:
		now = "not known now"
	}
	by := ""
	if l.slice != "" {
		by = ", set by systemd for " + l.slice
	}
	return printf(w, "  %s=%s: %s, %s\n    %s%s\n", string(l.limit.Name), l.limit.Text(), humanValue(l.setting, l.setting.Value)+l.unit(), now, l.file, by)
}

// unit says what a value is that has another unit than the limit.
func (l explainedLimit) unit() string {
	switch l.setting.File {
	case "memory.memsw.limit_in_bytes":
		return " of memory and swap together"
	case "cpu.shares":
		return " shares (1024 stand for a weight of 100)"
	case "blkio.weight", "blkio.weight_device":
		return " on its scale (500 stands for a weight of 100)"
	case "blkio.bfq.weight", "blkio.bfq.weight_device", "io.bfq.weight":
		return " for bfq, whose scale ends at 1000"
	}
	return ""
}

// printOutside says it if this shell is in no session of the user who asks, so that what was
// said does not hold for it.
func (e *explained) printOutside(w io.Writer, m machine.Machine) error {
	if m.IsRecorded() || e.isAbsent || os.Geteuid() == 0 || os.Geteuid() != e.who.Uid {
		return nil
	}
	if !slices.ContainsFunc(e.limits, func(l explainedLimit) bool { return l.file != "" && l.slice == "" }) {
		return nil
	}
	sessions, _, err := delegate.Sessions(m)
	if err != nil || slices.ContainsFunc(sessions, func(s delegate.Session) bool { return s.Own }) {
		return nil
	}
	return printf(w, "This shell is in no session, and none of these limits hold for it; cgdeleg check says why.\n")
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
		one := jsonExplained{
			Scope: l.scope.String(), Limit: string(l.limit.Name), Given: l.limit.Text(), Hierarchy: orNull(l.hierarchy),
			File: orNull(l.file), Value: orNull(l.setting.Value), Slice: orNull(l.slice), Reason: orNull(l.reason),
		}
		if l.isKnown {
			one.Now = pointer(l.now)
		}
		j.Limits = append(j.Limits, one)
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
