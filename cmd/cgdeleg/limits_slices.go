package main

import (
	"context"
	"errors"
	"io"
	"path"
	"slices"
	"strconv"
	"time"

	"github.com/moby/sys/user"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/account"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
)

// appliedSlice is what became of the limits of one user's slice, on a machine that systemd
// runs.
type appliedSlice struct {
	unit    string
	changes []sliceChange
	err     error
}

func (a appliedSlice) isFaulty() bool {
	return a.err != nil || slices.ContainsFunc(a.changes, func(c sliceChange) bool { return c.Err != nil || c.InForce != nil })
}

// busPatience bounds the conversation with systemd about one slice, beside what is waited
// for memory.
const busPatience = 5 * time.Second

// loginWait is how long a login, for which the slice is limited, waits for memory that is
// in use: by what an earlier login left there.
const loginWait = time.Second

// applyToSlices gives the slices of these users, or of all who have one, the limits of the
// files.
func applyToSlices(m machine.Machine, uids []int, errOut io.Writer, wait time.Duration, isDry bool) (all []appliedSlice) {
	for _, uid := range uids {
		all = append(all, applyToSliceOf(m, uid, errOut, wait, isDry))
	}
	return all
}

func applyToSliceOf(m machine.Machine, uid int, errOut io.Writer, wait time.Duration, isDry bool) appliedSlice {
	a := appliedSlice{unit: manager.UserSlice(uid)}
	who, found := account.ByUID(m, uid)
	if !found {
		who = user.User{Name: strconv.Itoa(uid), Uid: uid}
	}
	g := limitsFor(m, who)
	g.complain(errOut, who.Name)
	// Without groups the line that is left may be that of others. It is better than none,
	// but not than one that was applied when the groups were known.
	if g.isUnknown() && hasSliceState(sliceStates, uid) {
		a.err = errors.New("which limits the user has is not known; nothing was changed")
		return a
	}
	ctx, cancel := context.WithTimeout(context.Background(), busPatience+wait)
	defer cancel()
	a.changes, a.err = applyToSlice(ctx, m, who, g.limits().User, wait, isDry)
	return a
}

// hasLimitedSlices tells whether the slices of users have limits: where systemd runs the
// machine. On a hybrid one they hold in the hierarchies in which systemd has a scope for each
// login; in the others user/NAME has them.
func hasLimitedSlices(m machine.Machine, set *hierarchy.Set) bool {
	return manager.Of(m, set).Name() == manager.SystemdName
}

// slicesOf returns the user IDs that have a slice which has limits.
func slicesOf(m machine.Machine) (uids []int, err error) {
	set, err := hierarchy.Find(m)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	if !hasLimitedSlices(m, set) {
		return nil, nil
	}
	for _, h := range set.All {
		dir, err := h.OpenBelow(path.Join(h.Base, manager.UsersSlice))
		if err != nil {
			continue
		}
		names, _, _ := dir.Children(1 << 16)
		dir.Close()
		for _, name := range names {
			if uid, ok := manager.UserOfSlice(name); ok && !slices.Contains(uids, uid) {
				uids = append(uids, uid)
			}
		}
	}
	slices.Sort(uids)
	return uids, nil
}

// printSlices prints a line for each property that was changed, or could not be.
func printSlices(w io.Writer, all []appliedSlice) error {
	for _, a := range all {
		if a.err != nil {
			if err := printf(w, "%s\n", a.err.Error()); err != nil {
				return err
			}
		}
		for _, c := range a.changes {
			if err := printf(w, "%s\n", c.String()); err != nil {
				return err
			}
		}
	}
	return nil
}

// jsonSlice is a property of a user's slice in the JSON of limits apply.
type jsonSlice struct {
	Unit     string  `json:"unit"`
	Property *string `json:"property"` // null: nothing could be done
	Before   *string `json:"before"`
	Value    *string `json:"value"`
	Result   string  `json:"result"` // set, in-use, failed
	Reason   *string `json:"reason"`
}

func slicesJSON(all []appliedSlice) []jsonSlice {
	list := []jsonSlice{}
	for _, a := range all {
		if a.err != nil {
			list = append(list, jsonSlice{Unit: a.unit, Result: "failed", Reason: pointer(a.err.Error())})
		}
		for _, c := range a.changes {
			name := c.Wanted.Name
			one := jsonSlice{Unit: a.unit, Property: &name, Value: pointer(valueOf(c.Wanted)), Result: "set"}
			if c.IsKnown {
				one.Before = pointer(c.Before)
			}
			switch {
			case c.Err != nil:
				one.Result, one.Reason = "failed", pointer(c.Err.Error())
			case c.InForce != nil:
				one.Result, one.Reason = "in-use", pointer(limitsInForce(*c.InForce))
			}
			list = append(list, one)
		}
	}
	return list
}

func limitsInForce(p limits.Property) string { return "more is in use; it is " + valueOf(p) }
