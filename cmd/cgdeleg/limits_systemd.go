package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/sys/user"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/limits"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
	"github.com/cgdeleg/pam_cgdeleg/delegate/manager"
	"github.com/cgdeleg/pam_cgdeleg/delegate/systemd"
)

// sliceChange is what became of one property of a user's slice.
type sliceChange struct {
	Unit   string
	Wanted limits.Property
	Before string // the property as it was, in systemctl's words
	// IsKnown tells whether systemd has such a property. Before is "" if not.
	IsKnown bool
	Reset   bool // no line gives it any more: it is what it was before one did
	// InForce is what was set in its place, because the user has more in use than is
	// wanted; nil: it is as wanted.
	InForce *limits.Property
	Err     error // why systemd did not set it; nil: it did, or would
}

// String returns it as a line of the screen.
func (c sliceChange) String() string {
	text := fmt.Sprintf("%s: %v", c.Unit, c.Wanted)
	switch {
	case c.Err != nil:
		return fmt.Sprintf("%s is not set: %v", text, c.Err)
	case c.InForce != nil:
		text += " cannot be set yet, more is in use; it is " + valueOf(*c.InForce)
	}
	text += fmt.Sprintf(" (was %s)", c.Before)
	if c.Reset {
		text += ", as before"
	}
	return text
}

// unsupportedError is limits that systemd has no property for.
type unsupportedError struct {
	Unit   string
	Limits []limits.Limit
}

func (e *unsupportedError) Error() string {
	return fmt.Sprintf("%s: systemd cannot set %s", e.Unit, limitNames(e.Limits))
}

func limitNames(list []limits.Limit) string {
	var words []string
	for _, l := range list {
		words = append(words, l.String())
	}
	return strings.Join(words, " ")
}

// applyToSlice gives the slice of a user on a machine that systemd runs the limits of a
// rule, by properties that hold until the next boot, and only where they differ from what
// it has. What earlier rules gave and this one does not is set back to what it was before
// them. It kills nobody: memory.max is not set below what is in use, but memory.high is,
// for a moment, so that less is in use: for as long as wait says.
//
// The changes are those that were made, or with dryRun would be. The error is an
// *unsupportedError, or says why nothing could be found out or remembered; the changes
// have their own.
func applyToSlice(ctx context.Context, m machine.Machine, account user.User, rule []limits.Limit, wait time.Duration, dryRun bool) ([]sliceChange, error) {
	if m.IsRecorded() {
		return nil, &usageError{errRecorded}
	}
	return sliceLimits{machine: m, units: liveUnits{}, states: sliceStates, patience: wait}.apply(ctx, account, rule, dryRun)
}

// units are systemd's.
type units interface {
	Properties(ctx context.Context, unit string) (map[string]any, error)
	Set(ctx context.Context, unit string, list []systemd.Property) error
}

type liveUnits struct{}

func (liveUnits) Properties(ctx context.Context, unit string) (map[string]any, error) {
	return systemd.UnitProperties(ctx, unit)
}

func (liveUnits) Set(ctx context.Context, unit string, list []systemd.Property) error {
	return systemd.SetUnitProperties(ctx, unit, list)
}

// sliceLimits sets the limits of slices.
type sliceLimits struct {
	machine  machine.Machine
	units    units
	states   string        // the directory of what was set
	patience time.Duration // how long memory may take to be reclaimed
}

func (s sliceLimits) apply(ctx context.Context, account user.User, rule []limits.Limit, dryRun bool) ([]sliceChange, error) {
	slice := slice{sliceLimits: s, name: manager.UserSlice(account.Uid)}
	if len(rule) == 0 && !hasSliceState(s.states, account.Uid) {
		return nil, nil // the bus costs a millisecond of each login
	}
	set, err := hierarchy.Find(s.machine)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	slice.set = set
	below := path.Join(manager.UsersSlice, slice.name)
	wanted, unsupported := limits.UnitProperties(limits.ReadTotals(s.machine, set, below).Resolve(rule))
	if len(unsupported) > 0 {
		err = &unsupportedError{slice.name, unsupported}
	}
	state, stateErr := openSliceState(ctx, s.states, account.Uid, dryRun)
	if stateErr != nil {
		return nil, stateErr
	}
	defer state.close()
	slice.state = state
	now, busErr := s.units.Properties(ctx, slice.name)
	if busErr != nil {
		return nil, errors.Join(err, busErr)
	}
	changes := slice.plan(wanted, now)
	if dryRun {
		return changes, err
	}
	if stateErr := state.save(); stateErr != nil {
		return nil, errors.Join(err, stateErr)
	}
	slice.carryOut(ctx, changes, now)
	return changes, err
}

// slice is a user's slice.
type slice struct {
	sliceLimits
	name  string
	set   *hierarchy.Set
	state *sliceState
}

// plan returns what is to be changed, and remembers it in what was set. A value that
// somebody set after us is not ours: it is what the next rule comes upon.
func (s slice) plan(wanted []limits.Property, now map[string]any) (changes []sliceChange) {
	remembered := s.state.Properties
	for _, p := range wanted {
		before, known := propertyOf(p.Name, now[p.Name])
		if known && before.Equal(p) {
			if ours, is := remembered[p.Name]; is && !ours.Set.Equal(p) {
				delete(remembered, p.Name)
			}
			continue
		}
		change := sliceChange{Unit: s.name, Wanted: p}
		if known {
			change.Before, change.IsKnown = valueOf(before), true
			ours, is := remembered[p.Name]
			if is && ours.Set.Equal(before) {
				before = ours.Before
			}
			remembered[p.Name] = setProperty{Before: before, Set: p}
		}
		changes = append(changes, change)
	}
	for name, ours := range remembered {
		if slices.ContainsFunc(wanted, func(p limits.Property) bool { return p.Name == name }) {
			continue
		}
		delete(remembered, name)
		before, known := propertyOf(name, now[name])
		if known && before.Equal(ours.Set) && !before.Equal(ours.Before) {
			changes = append(changes, sliceChange{Unit: s.name, Wanted: ours.Before, Before: valueOf(before), IsKnown: true, Reset: true})
		}
	}
	slices.SortFunc(changes, func(a, b sliceChange) int { return strings.Compare(a.Wanted.Name, b.Wanted.Name) })
	return changes
}

// carryOut makes the changes, and notes in them what came of each.
func (s slice) carryOut(ctx context.Context, changes []sliceChange, now map[string]any) {
	memory := s.memory()
	if memory.dir != nil {
		defer memory.dir.Close()
	}
	var atOnce []*sliceChange
	var lower, high *sliceChange
	for i := range changes {
		switch c := &changes[i]; {
		case c.Wanted.Name == "MemoryMax" && memory.isUsed(c.Wanted.Number):
			lower = c
		case c.Wanted.Name == "MemoryHigh":
			high = c
		default:
			atOnce = append(atOnce, c)
		}
	}
	if high != nil && lower == nil {
		atOnce = append(atOnce, high)
	}
	s.setAll(ctx, atOnce)
	if lower != nil {
		s.lower(ctx, memory, lower, high, now)
	}
}

// setAll makes changes at once.
func (s slice) setAll(ctx context.Context, changes []*sliceChange) {
	if len(changes) == 0 {
		return
	}
	var list []systemd.Property
	for _, c := range changes {
		list = append(list, settingOf(c.Wanted))
	}
	err := s.units.Set(ctx, s.name, list)
	for _, c := range changes {
		c.Err = errorOf(err, c.Wanted.Name)
	}
}

// lower lowers MemoryMax= to less than is in use. On v2 the kernel would reclaim, and then
// kill (memory.max in admin-guide/cgroup-v2.rst). So memory.high, which only reclaims and
// slows down, is lowered first. It is not left so: what cannot be reclaimed would stall the
// user for good.
//
// v1 refuses a limit that it cannot reach by reclaiming (EBUSY), which systemd only logs.
func (s slice) lower(ctx context.Context, memory memoryUse, lowered, high *sliceChange, now map[string]any) {
	reached, last := lowered.Wanted, limits.Property{Name: "MemoryHigh", Number: limits.Infinity}
	if before, known := propertyOf(last.Name, now[last.Name]); known {
		last = before
	}
	if high != nil {
		last = high.Wanted
	}
	forget := func() {}
	if memory.isV1 {
		lowered.Err = errorOf(s.units.Set(ctx, s.name, []systemd.Property{settingOf(reached)}), reached.Name)
	} else {
		forget, lowered.Err = s.squeeze(ctx, memory, reached.Number, last)
	}
	if use, known := memory.use(); known && memory.isAbove(reached.Number) {
		reached.Number = use + use/8 // so that it does not kill at the next page
		if before, known := propertyOf(reached.Name, now[reached.Name]); known {
			reached.Number = min(reached.Number, before.Number)
		}
		lowered.InForce = &reached
		s.state.reached(reached)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restoring)
	defer cancel()
	err := s.units.Set(ctx, s.name, []systemd.Property{settingOf(reached), settingOf(last)})
	lowered.Err = cmp.Or(lowered.Err, errorOf(err, reached.Name))
	if high != nil {
		high.Err = errorOf(err, last.Name)
	}
	if forget(); errorOf(err, last.Name) == nil {
		lowered.Err = cmp.Or(lowered.Err, s.state.save())
	}
}

// restoring bounds how long MemoryHigh= may take to be set back, when all other time is over.
const restoring = 3 * time.Second

// squeeze has the kernel reclaim what is in use above the target, by a MemoryHigh= that
// the caller sets to last afterwards, and then forgets. Should that not come to pass, the
// next rule comes upon it.
func (s slice) squeeze(ctx context.Context, memory memoryUse, target uint64, last limits.Property) (forget func(), err error) {
	squeezed := last
	squeezed.Number = min(last.Number, target)
	if forget, err = s.state.during(last, squeezed); err != nil {
		return forget, err
	}
	if err = s.units.Set(ctx, s.name, []systemd.Property{settingOf(squeezed)}); err == nil {
		s.await(ctx, memory, target)
	}
	return forget, err
}

// await waits until no more than the target is in use, or patience ends.
func (s slice) await(ctx context.Context, memory memoryUse, target uint64) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for memory.isUsed(target) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// memoryUse is how much memory a slice has in use.
type memoryUse struct {
	dir  *cgroupfs.Dir // nil: it is not there
	isV1 bool
}

// memory returns where the kernel counts the slice's memory.
func (s slice) memory() (m memoryUse) {
	for _, h := range s.set.All {
		if !h.Has("memory") {
			continue
		}
		dir, err := h.OpenBelow(path.Join(h.Base, manager.UsersSlice, s.name))
		if err == nil {
			return memoryUse{dir: dir, isV1: !h.IsUnified()}
		}
	}
	return m
}

func (m memoryUse) read(file string) (n uint64, known bool) {
	if m.dir == nil {
		return 0, false
	}
	data, err := m.dir.Read(file)
	if err != nil {
		return 0, false
	}
	n, err = strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
	return n, err == nil
}

// use returns how many bytes are in use. Where nothing is counted nothing can be exceeded.
func (m memoryUse) use() (n uint64, known bool) {
	if m.isV1 {
		return m.read("memory.usage_in_bytes")
	}
	return m.read("memory.current")
}

// isUsed tells whether more than so many bytes are in use.
func (m memoryUse) isUsed(bytes uint64) bool {
	n, known := m.use()
	return known && n > bytes
}

// isAbove tells whether a limit of so many bytes cannot be set, or on v1 was not.
func (m memoryUse) isAbove(bytes uint64) bool {
	if !m.isV1 {
		return m.isUsed(bytes)
	}
	limit, known := m.read("memory.limit_in_bytes")
	return known && limit > bytes
}

// errorOf is what an error of setting several properties says of one of them. What is not
// of a property is of all.
func errorOf(err error, property string) error {
	if err == nil {
		return nil
	}
	var refused *systemd.RefusedError
	if joined, is := err.(interface{ Unwrap() []error }); is {
		for _, e := range joined.Unwrap() {
			if !errors.As(e, &refused) || refused.Property == property {
				return e
			}
		}
		return nil
	}
	if errors.As(err, &refused) && refused.Property != property {
		return nil
	}
	return err
}

// settingOf is a property as package systemd has it.
func settingOf(p limits.Property) systemd.Property {
	switch p.Kind() {
	case limits.OfDevices:
		devices := []systemd.DeviceNumber{}
		for _, d := range p.Devices {
			devices = append(devices, systemd.DeviceNumber(d))
		}
		return systemd.Property{Name: p.Name, Value: devices}
	case limits.OfCPUs:
		return systemd.Property{Name: p.Name, Value: append([]byte{}, p.CPUs...)}
	}
	return systemd.Property{Name: p.Name, Value: p.Number}
}

// propertyOf is the inverse of settingOf. Known is false where systemd has no such
// property.
func propertyOf(name string, value any) (p limits.Property, known bool) {
	p.Name = name
	switch value := value.(type) {
	case uint64:
		p.Number = value
		return p, p.Kind() == limits.OfNumber
	case []systemd.DeviceNumber:
		for _, d := range value {
			p.Devices = append(p.Devices, limits.DeviceNumber(d))
		}
		return p, p.Kind() == limits.OfDevices
	case []byte:
		p.CPUs = value
		return p, p.Kind() == limits.OfCPUs
	}
	return p, false
}

// valueOf is a property's value in systemctl's words.
func valueOf(p limits.Property) string {
	_, value, _ := strings.Cut(p.String(), "=")
	return value
}
