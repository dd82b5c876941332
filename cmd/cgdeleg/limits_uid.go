package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/moby/sys/user"
	"github.com/spf13/cobra"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/account"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limitsconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/nss"
)

// What `cgdeleg limits apply --uid` may take: a login waits for it
// (user-runtime-dir@.service, whose start systemd does not bound).
const (
	uidPatience    = 10 * time.Second // in all
	groupsPatience = 2 * time.Second  // until the user's groups are known
)

// applyToUID gives the slice of a user ID the limits of the files. It returns at the
// latest after uidPatience, also if a directory service or systemd hangs.
func applyToUID(cmd *cobra.Command, m machine.Machine, uid int, dryRun bool) error {
	if os.Geteuid() != 0 && !dryRun {
		return needsRoot("setting limits")
	}
	u := uidLimits{machine: m, states: sliceStates, dryRun: dryRun, apply: applyToSlice}
	if !u.hasAny(uid) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), uidPatience)
	defer cancel()
	done := make(chan slicesRule, 1)
	go func() { done <- u.applyRule(ctx, uid) }()
	select {
	case r := <-done:
		return r.print(cmd)
	case <-ctx.Done():
		return &failure{fmt.Sprintf("%s: not done within %v; its limits stay as they are", sliceOf(uid), uidPatience)}
	}
}

// uidLimits applies rules by user ID.
type uidLimits struct {
	machine machine.Machine
	states  string // sliceStates
	dryRun  bool
	apply   func(context.Context, machine.Machine, user.User, []limits.Limit, bool) ([]sliceChange, error)
}

// hasAny tells whether there is anything to do: files of limits, or limits that were set.
func (u uidLimits) hasAny(uid int) bool {
	return u.machine.Find(limitsconf.File) != machine.Absent || u.machine.Find(limitsconf.Directory) != machine.Absent ||
		hasSliceState(u.states, uid)
}

// unknownRuleError says that it is not known which limits a user has, and that those that
// were set stay.
type unknownRuleError struct {
	Unit string
	Err  error
}

func (e *unknownRuleError) Error() string {
	return fmt.Sprintf("%s: its limits stay as they are: %v", e.Unit, e.Err)
}

func (e *unknownRuleError) Unwrap() error { return e.Err }

// slicesRule is what became of the rule of a user.
type slicesRule struct {
	changes []sliceChange
	ignored []error // lines and files of limits
	err     error   // what else went wrong
}

// applyRule finds the user's rule and applies it. Where groups are not known, or a
// file cannot be read, the rule that is left may be the wrong one: it is for who has none.
func (u uidLimits) applyRule(ctx context.Context, uid int) (r slicesRule) {
	who, found := account.ByUID(u.machine, uid)
	if !found {
		who = user.User{Uid: uid} // whose name is no word's
	}
	given, errs := limitsconf.ReadFor(u.machine, limitsconf.Subject{
		Name: who.Name, UID: uid,
		Groups: func() (names, gids []string, err error) {
			return nss.Groups(u.machine, who.Name, time.Now().Add(groupsPatience))
		},
	})
	r.ignored, r.err = errs, given.Unknown
	for _, wrong := range errs {
		var file *fs.PathError
		if errors.As(wrong, &file) {
			r.err = wrong
		}
	}
	if r.err != nil && hasSliceState(u.states, uid) {
		r.err = &unknownRuleError{sliceOf(uid), r.err}
		return r
	}
	var rule []limits.Limit
	if given.User != nil {
		rule = given.User.Limits
	}
	changes, err := u.apply(ctx, u.machine, who, rule, u.dryRun)
	r.changes, r.err = changes, errors.Join(r.err, err)
	return r
}

// mostIgnored bounds how many lines a login complains of.
const mostIgnored = 5

// print prints what became of each property, and ends the command with a failure if
// one is not as it should be.
func (r slicesRule) print(cmd *cobra.Command) error {
	errOut := cmd.ErrOrStderr()
	for _, wrong := range r.ignored[:min(len(r.ignored), mostIgnored)] {
		complain(errOut, "%v; ignored", wrong)
	}
	if more := len(r.ignored) - mostIgnored; more > 0 {
		complain(errOut, "%d more lines of limits are ignored; cgdeleg limits check shows them", more)
	}
	isFault := r.err != nil
	for _, c := range r.changes {
		out := cmd.OutOrStdout()
		if c.Err != nil || c.InForce != nil {
			isFault, out = true, errOut
		}
		if err := printf(out, "%v\n", c); err != nil {
			return err
		}
	}
	if r.err != nil {
		complain(errOut, "%v", r.err)
	}
	if isFault {
		return &failure{"some limits do not hold; see above"}
	}
	return nil
}
