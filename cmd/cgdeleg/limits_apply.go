package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/sys/user"
	"github.com/spf13/cobra"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/account"
	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/apply"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limitsconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/lock"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// limitsApplyFlags are to whom limits are applied, and how.
type limitsApplyFlags struct {
	user   string
	uid    int // of a slice of systemd's; -1: none is meant
	dryRun bool
	json   bool
	wait   time.Duration
}

func newLimitsApply(s *settings) *cobra.Command {
	var f limitsApplyFlags
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Give the limits of the files to live sessions",
		Long: `Give to the sessions that there are the limits that a login would get now, and
lift what the lines that are about a user do not give. A user about whom no line
is stays as it is, but for --user; a line "* user -" lifts all. Where systemd
runs the machine, users' slices get theirs as properties that hold until the
next boot. Needs root.

It kills nobody: memory that is in use is not taken away. The kernel is asked to
reclaim it, and the limit is lowered as what is in use falls, for as long as
--wait says; what could not be lowered so far is said. Run it again then. A
limit of processes may be below what there is: only new ones are refused.
A limit for which this machine has nothing (memory.high on cgroup v1) is said,
and is no failure.
`,
		Example: `  cgdeleg limits apply --dry-run
  cgdeleg limits apply --user alice --wait 1m`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case s.root != "" && !f.dryRun:
				return &usageError{errors.New("a recorded machine (--root) can only be looked at: add --dry-run")}
			case os.Geteuid() != 0 && !f.dryRun:
				return needsRoot("setting limits")
			case cmd.Flags().Changed("user") && f.user == "":
				return &usageError{errors.New("--user needs a name")}
			case cmd.Flags().Changed("uid") && (f.uid < 0 || f.user != ""):
				return &usageError{errors.New("--uid wants a user ID, and not --user beside it")}
			case cmd.Flags().Changed("uid"):
				return f.runForSlice(cmd, s)
			}
			return f.run(cmd, s)
		},
	}
	cmd.Flags().StringVarP(&f.user, "user", "u", "", "only to the sessions of `NAME`")
	cmd.Flags().IntVar(&f.uid, "uid", -1, "only to systemd's slice of the user with this `ID`, as user-runtime-dir@.service does")
	cmd.Flags().Lookup("uid").DefValue = "0" // -1 is no ID, and the help would show it
	cmd.Flags().BoolVarP(&f.dryRun, "dry-run", "n", false, "only say what would be done")
	f.wait = 10 * time.Second
	cmd.Flags().Var((*seconds)(&f.wait), "wait", "how long to wait for each user's memory that is in use: `TIME` in seconds, or such as 30s or 5m")
	cmd.Flags().BoolVar(&f.json, "json", false, "for programs (docs/json.md)")
	return cmd
}

// appliedUser is what became of one user's limits.
type appliedUser struct {
	user string
	all  []apply.Limited
	err  error // nothing was done
	// isLeft tells that nothing was done because no line is about the user: what limits
	// there are may be somebody else's.
	isLeft bool
}

// appliedLimits is what became of all that was asked for.
type appliedLimits struct {
	users  []appliedUser
	slices []appliedSlice
	// isAbsent tells that there are no files, and hasNoSlices that the slice that was
	// asked for is none that has limits.
	isAbsent, hasNoSlices bool
	// isDry tells that nothing was done.
	isDry bool
}

func (f limitsApplyFlags) run(cmd *cobra.Command, s *settings) error {
	m := s.machine()
	users, err := f.users(m)
	if err != nil {
		return err
	}
	all := appliedLimits{isAbsent: !hasLimitsFile(m), isDry: f.dryRun}
	if all.isAbsent {
		return f.show(cmd, s, all)
	}
	ctx, done := untilSignal() // which ends the lowering, so that memory.high is as before
	defer done()
	for _, name := range users {
		all.users = append(all.users, applyLimits(ctx, m, name, cmd.ErrOrStderr(), f))
	}
	uids, err := f.slices(m)
	if err != nil {
		return err
	}
	all.slices = applyToSlices(m, uids, cmd.ErrOrStderr(), f.wait, f.dryRun)
	return f.show(cmd, s, all)
}

// users returns who is meant: all who have sessions of ours, or one.
func (f limitsApplyFlags) users(m machine.Machine) ([]string, error) {
	if f.user == "" {
		return delegate.LimitedUsers(m)
	}
	who, err := accountNamed(m, f.user)
	return []string{who.Name}, err
}

// slices returns whose slices are meant: those of all users, or of one.
func (f limitsApplyFlags) slices(m machine.Machine) (uids []int, err error) {
	if m.IsRecorded() || !hasLimitsFile(m) {
		return nil, nil
	}
	uids, err = slicesOf(m)
	if f.user != "" {
		who, unknown := accountNamed(m, f.user)
		if unknown != nil {
			return nil, unknown
		}
		uids = slices.DeleteFunc(uids, func(uid int) bool { return uid != who.Uid })
	}
	return uids, err
}

// runForSlice is run for one slice, which a login waits for.
func (f limitsApplyFlags) runForSlice(cmd *cobra.Command, s *settings) error {
	m := s.machine()
	if m.IsRecorded() {
		return &usageError{errors.New("a recorded machine (--root) has no slices")}
	}
	all := appliedLimits{isAbsent: !hasLimitsFile(m), isDry: f.dryRun}
	if all.isAbsent && !f.json && !hasSliceState(sliceStates, f.uid) {
		return nil // in silence: it would be in the journal of each login on most machines
	}
	set, err := hierarchy.Find(m)
	if err != nil {
		return err
	}
	all.hasNoSlices = !hasLimitedSlices(m, set)
	set.Close()
	if !all.hasNoSlices && (!all.isAbsent || hasSliceState(sliceStates, f.uid)) {
		all.slices = applyToSlices(m, []int{f.uid}, cmd.ErrOrStderr(), loginWait, f.dryRun)
	}
	return f.show(cmd, s, all)
}

// show prints what became of the limits. The error tells also that some do not hold.
func (f limitsApplyFlags) show(cmd *cobra.Command, s *settings, all appliedLimits) error {
	err := error(nil)
	if f.json {
		err = printJSON(cmd.OutOrStdout(), limitsApplyJSON(all, f.dryRun))
	} else {
		err = s.paged(cmd, func(out screen) error { return f.tell(out, all) })
	}
	return errors.Join(err, all.unapplied())
}

// tell says what became of the limits.
func (f limitsApplyFlags) tell(w io.Writer, all appliedLimits) error {
	err := printSlices(w, all.slices)
	switch {
	case err != nil:
	case all.hasNoSlices:
		err = printf(w, "%s\n", wrapOn(w, "Nothing was done: slices of users have limits only where systemd runs the machine.", 0))
	case all.isAbsent && len(all.slices) == 0:
		err = printf(w, "There is neither %s\nnor a file in %s: nothing was done.\n", limitsconf.File, limitsconf.Directory)
	case len(all.users) > 0 || len(all.slices) == 0:
		err = printApplied(w, all.users, f.dryRun, f.user != "" && len(all.slices) == 0)
	}
	return err
}

// applyLimits gives a user's sessions the limits of the files.
func applyLimits(ctx context.Context, m machine.Machine, name string, errOut io.Writer, f limitsApplyFlags) (a appliedUser) {
	a.user = name
	who, err := account.ByName(m, name)
	if err != nil { // sessions of a user who was removed; uid words cannot match
		who = user.User{Name: name, Uid: -1}
	}
	g := limitsFor(m, who)
	g.complain(errOut, name)
	if g.isUnknown() {
		a.err = errors.New("which limits the user has is not known; nothing was changed")
		return a
	}
	if a.isLeft = g.isAbsent || f.user == "" && g.User == nil && g.Session == nil; a.isLeft {
		return a
	}
	ctx, cancel := context.WithTimeout(ctx, f.wait)
	defer cancel()
	a.all, a.err = delegate.Limit(ctx, delegate.LimitRequest{
		Machine: m, Locks: lock.Default, User: name, UID: who.Uid, Limits: g.limits(), OnlyCompare: f.dryRun,
	})
	return a
}

// errNotApplied ends the command where a limit could not be set.
var errNotApplied = &failure{"some limits do not hold; see above"}

func (all appliedLimits) unapplied() error {
	if slices.ContainsFunc(all.slices, appliedSlice.isFaulty) {
		return errNotApplied
	}
	for _, a := range all.users {
		isFaulty := func(l apply.Limited) bool {
			return slices.ContainsFunc(l.Errs, isDue) || slices.ContainsFunc(l.Outcomes, func(o limits.Outcome) bool {
				return o.Err != nil && (!all.isDry || !o.IsInUse())
			})
		}
		if a.err != nil || slices.ContainsFunc(a.all, isFaulty) {
			return errNotApplied
		}
	}
	return nil
}

// isDue tells whether a limit ought to be there: one for which this machine has nothing
// may stand in a file that other machines have too.
func isDue(err error) bool {
	var none *limits.NoEquivalentError
	return !errors.As(err, &none)
}

// printApplied prints a line for each limit that was changed, or does not hold, and below
// them why not.
func printApplied(w io.Writer, all []appliedUser, isDry, isOne bool) error {
	t := newTable(w, "USER", "SESSION", "HIERARCHY", "LIMIT", "WAS", "NOW", "RESULT")
	rows, left := 0, 0
	var reasons []string
	for _, a := range all {
		if a.isLeft {
			left++
		}
		if a.err != nil {
			reasons = append(reasons, fmt.Sprintf("%s: %v", printable(a.user), a.err))
		}
		for _, l := range a.all {
			for _, r := range appliedRows(l, isDry) {
				session := "all"
				if l.Session >= 0 {
					session = strconv.Itoa(l.Session)
				}
				t.row(printable(a.user), session, l.Hierarchy.Name, string(r.name), dash(r.was), dash(r.now), r.result)
				rows++
				if reason := fmt.Sprintf("%s in hierarchy %s: %s", r.name, l.Hierarchy.Name, r.reason); r.reason != "" && !slices.Contains(reasons, reason) {
					reasons = append(reasons, reason)
				}
			}
		}
	}
	err := error(nil)
	switch {
	case rows > 0:
		err = t.flush()
	case isOne && len(reasons) == 0 && left == 0 && len(all) == 1 && len(all[0].all) == 0:
		err = printf(w, "%s has no sessions, and there is nothing to apply: the next login gets the limits.\n", printable(all[0].user))
	case len(reasons) == 0 && (left < len(all) || left == 0):
		err = printf(w, "All limits of live sessions are as the files say.\n")
	}
	if left > 0 {
		err = errors.Join(err, printf(w, "%s\n", wrapOn(w, fmt.Sprintf("Users with sessions about whom no line is, and who are left as they are: %d", left), 0)))
	}
	for _, reason := range reasons {
		err = errors.Join(err, printf(w, "%s\n", wrapOn(w, reason, 0)))
	}
	return err
}

// appliedRow is a limit that was changed, or does not hold.
type appliedRow struct {
	name                     limits.Name
	was, now, result, reason string
}

func appliedRows(l apply.Limited, isDry bool) (rows []appliedRow) {
	for _, err := range l.Errs {
		name, reason := limitOf(err)
		result := "not set"
		if !isDue(err) {
			result = "not on this machine"
		}
		rows = append(rows, appliedRow{name: name, result: result, reason: reason})
	}
	for _, o := range quotasTogether(l.Outcomes) {
		if !o.IsChanged && o.Err == nil {
			continue
		}
		r := appliedRow{name: o.Limit.Name, was: humanValue(o.Setting, o.Before), now: nowOf(o, isDry), result: resultOf(o, isDry)}
		if o.Err != nil && !o.IsInUse() {
			_, r.reason = limitOf(o.Err)
		}
		rows = append(rows, r)
	}
	return rows
}

// limitOf returns which limit an error is about, and what is wrong.
func limitOf(err error) (limits.Name, string) {
	var none *limits.NoEquivalentError
	var setting *limits.SettingError
	switch {
	case errors.As(err, &none):
		return none.Limit.Name, none.Reason
	case errors.As(err, &setting):
		return setting.Limit.Name, setting.Err.Error()
	}
	return "", err.Error()
}

// quotasTogether has v1's two files of cpu.max as one, as cgroup v2 has them.
func quotasTogether(all []limits.Outcome) (fewer []limits.Outcome) {
	at := slices.IndexFunc(all, func(o limits.Outcome) bool { return o.File == periodFile })
	for i, o := range all {
		switch {
		case at >= 0 && o.File == quotaFile:
			period := all[at]
			o.File, o.Value = string(limits.CPUMax), quotaOnV2(o.Value, period.Value)
			if o.Before != "" {
				o.Before = quotaOnV2(o.Before, period.Before)
			}
			o.IsChanged = o.IsChanged || period.IsChanged
			if o.Err == nil {
				o.Err = period.Err
			}
		case i == at && slices.ContainsFunc(all, func(o limits.Outcome) bool { return o.File == quotaFile }):
			continue
		}
		fewer = append(fewer, o)
	}
	return fewer
}

// nowOf is the value that holds: what was set, or would be; another one while more is in use.
func nowOf(o limits.Outcome, isDry bool) string {
	var inUse *limits.InUseError
	if isDry || !errors.As(o.Err, &inUse) {
		return humanValue(o.Setting, o.Value)
	}
	if inUse.InForce == 0 {
		return "unlimited"
	}
	return humanBytes(int64(inUse.InForce))
}

func resultOf(o limits.Outcome, isDry bool) string {
	var inUse *limits.InUseError
	switch {
	case errors.As(o.Err, &inUse) && isDry:
		return humanBytes(int64(inUse.InUse)) + " in use: would be lowered as that falls"
	case errors.As(o.Err, &inUse):
		return fmt.Sprintf("not %s yet: %s in use", humanBytes(int64(inUse.Want)), humanBytes(int64(inUse.InUse)))
	case o.Err != nil:
		return "not set"
	case isDry:
		return "would be set"
	}
	return "set"
}

// humanValue is a value of a limit's file as people read it.
func humanValue(s limits.Setting, value string) string {
	isBytes := strings.HasPrefix(s.File, "memory.") && s.File != "memory.use_hierarchy"
	n, err := strconv.ParseUint(value, 10, 64)
	switch {
	case value == "max" || value == "-1" || isBytes && err == nil && n >= 1<<62:
		return "unlimited"
	case isBytes && err == nil:
		return humanBytes(int64(n))
	case s.File == string(limits.CPUMax):
		return humanQuota(value)
	}
	return value
}

// humanQuota is a value of cpu.max in percent of a CPU.
func humanQuota(value string) string {
	var quota, period uint64
	if n, err := fmt.Sscan(value, &quota, &period); n != 2 || err != nil || period == 0 {
		if strings.HasPrefix(value, "max") {
			return "unlimited"
		}
		return value
	}
	return fmt.Sprintf("%d%%", quota*100/period)
}

// What `cgdeleg limits apply --json` writes; docs/json.md describes it.
type (
	jsonLimitsApply struct {
		Schema int               `json:"schema"`
		DryRun bool              `json:"dry_run"`
		Files  bool              `json:"files"`
		Users  []jsonAppliedUser `json:"users"`
		Slices []jsonSlice       `json:"slices"`
	}
	jsonAppliedUser struct {
		User   string        `json:"user"`
		Error  *string       `json:"error"`
		Left   bool          `json:"left"`
		Limits []jsonApplied `json:"limits"`
	}
	jsonApplied struct {
		Session   *int    `json:"session"`
		Hierarchy string  `json:"hierarchy"`
		Limit     *string `json:"limit"`
		File      *string `json:"file"`
		Before    *string `json:"before"`
		Value     *string `json:"value"`
		Result    string  `json:"result"` // same, set, in-use, failed
		Reason    *string `json:"reason"`
	}
)

func limitsApplyJSON(all appliedLimits, isDry bool) jsonLimitsApply {
	j := jsonLimitsApply{Schema: schemaVersion, DryRun: isDry, Files: !all.isAbsent, Users: []jsonAppliedUser{}, Slices: slicesJSON(all.slices)}
	for _, a := range all.users {
		u := jsonAppliedUser{User: a.user, Left: a.isLeft, Limits: []jsonApplied{}}
		if a.err != nil {
			u.Error = pointer(a.err.Error())
		}
		for _, l := range a.all {
			u.Limits = append(u.Limits, appliedJSON(l)...)
		}
		j.Users = append(j.Users, u)
	}
	return j
}

func appliedJSON(l apply.Limited) (all []jsonApplied) {
	var session *int
	if l.Session >= 0 {
		session = &l.Session
	}
	for _, err := range l.Errs {
		name, reason := limitOf(err)
		all = append(all, jsonApplied{Session: session, Hierarchy: l.Hierarchy.Name, Limit: orNull(string(name)), Result: "failed", Reason: &reason})
	}
	for _, o := range l.Outcomes {
		one := jsonApplied{
			Session: session, Hierarchy: l.Hierarchy.Name, Limit: pointer(string(o.Limit.Name)), File: pointer(l.Dir + "/" + o.File),
			Value: &o.Value, Result: "same",
		}
		if isRead(o) {
			one.Before = &o.Before
		}
		switch {
		case o.IsInUse():
			one.Result, one.Reason = "in-use", pointer(o.Err.Error())
		case o.Err != nil:
			one.Result, one.Reason = "failed", pointer(o.Err.Error())
		case o.IsChanged:
			one.Result = "set"
		}
		all = append(all, one)
	}
	return all
}

// isRead tells whether it is known what was in the limit's file: nothing is a value of
// cpuset.cpus and io.max.
func isRead(o limits.Outcome) bool {
	var file *fs.PathError
	return o.Before != "" || !errors.As(o.Err, &file) || file.Op == "write"
}

func pointer[T any](value T) *T { return &value }
