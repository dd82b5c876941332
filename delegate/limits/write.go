package limits

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cgroupfs"
	"github.com/cgdeleg/pam_cgdeleg/delegate/cpulist"
)

// Outcome is what became of a setting.
type Outcome struct {
	Setting
	// Before is what the cgroup had; "" if that could not be read.
	Before string
	// IsChanged tells whether another value was written.
	IsChanged bool
	// Err says why it was not: *InUseError, or *SettingError with the kernel's
	// *fs.PathError.
	Err error
}

// IsInUse tells whether a limit was not lowered because more is in use.
func (o Outcome) IsInUse() bool {
	var inUse *InUseError
	return errors.As(o.Err, &inUse)
}

// InUseError says that a limit was not lowered so far because more is in use: the kernel
// would kill somebody.
type InUseError struct {
	Limit       Limit
	InUse, Want uint64 // bytes
	// InForce is the limit that holds meanwhile, in bytes; 0 if none does.
	InForce uint64
}

func (e *InUseError) Error() string {
	holds := "no limit holds until then"
	if e.InForce > 0 {
		holds = fmt.Sprintf("%d bytes hold until then", e.InForce)
	}
	return fmt.Sprintf("%s is not %d bytes yet, because %d are in use; %s", e.Limit.Name, e.Want, e.InUse, holds)
}

// Write writes the settings into a cgroup that was just made, where nothing is in use.
// Errors are *SettingError.
func Write(dir *cgroupfs.Dir, settings []Setting) (errs []error) {
	var outcomes []Outcome
	for _, s := range inOrder(dir, settings) {
		outcomes = append(outcomes, Outcome{Setting: s, Err: s.write(dir)})
	}
	for _, o := range forgiven(outcomes) {
		if o.Err != nil {
			errs = append(errs, o.Err)
		}
	}
	return errs
}

// Update writes those settings that differ from what the cgroup has, and lowers no memory
// below what is in use: then a limit holds that leaves some room, and Lower goes on.
func Update(dir *cgroupfs.Dir, settings []Setting) (outcomes []Outcome) {
	for _, s := range inOrder(dir, settings) {
		outcomes = append(outcomes, s.update(dir))
	}
	return forgiven(outcomes)
}

// Tighten is Update for those settings alone that allow less than the cgroup has.
func Tighten(dir *cgroupfs.Dir, settings []Setting) (outcomes []Outcome) {
	return Update(dir, slices.DeleteFunc(slices.Clone(settings), func(s Setting) bool {
		data, err := dir.Read(s.File)
		return err == nil && !s.allowsLess(s.valueIn(string(data)))
	}))
}

// forgiven forgives one of the two files that a weight of input and output has: each counts
// for the devices that its scheduler has, and refuses others (EOPNOTSUPP, blkg_conf_prep).
func forgiven(outcomes []Outcome) []Outcome {
	for i, o := range outcomes {
		isTaken := func(other Outcome) bool {
			return other.Limit.Name == IOWeight && other.Limit.Value.Device == o.Limit.Value.Device && other.Err == nil
		}
		if o.Limit.Name == IOWeight && errors.Is(o.Err, unix.EOPNOTSUPP) && slices.ContainsFunc(outcomes, isTaken) {
			outcomes[i].Err = nil
		}
	}
	return outcomes
}

// Compare tells what Update would do.
func Compare(dir *cgroupfs.Dir, settings []Setting) (outcomes []Outcome) {
	for _, s := range settings {
		o, _ := s.compare(dir)
		outcomes = append(outcomes, o)
	}
	return outcomes
}

func (s Setting) write(dir *cgroupfs.Dir) error {
	if s.File == cfsPeriod {
		// with another period the quota would be another part of a CPU, perhaps more than
		// the cgroup above has
		_ = dir.Write(cfsQuota, "-1")
	}
	err := dir.Write(s.File, s.Value)
	if s.isHinderedBelow(err) {
		s.makeWay(dir)
		err = dir.Write(s.File, s.Value)
	}
	if err != nil {
		return &SettingError{Limit: s.Limit, Err: err}
	}
	return nil
}

// compare reads what the cgroup has. Outcome.IsChanged tells whether that differs.
func (s Setting) compare(dir *cgroupfs.Dir) (o Outcome, err error) {
	o = Outcome{Setting: s}
	data, err := dir.Read(s.File)
	if err != nil {
		o.Err = &SettingError{Limit: s.Limit, Err: err}
		return o, err
	}
	o.Before = s.valueIn(string(data))
	o.IsChanged = !s.isSame(o.Before)
	if use, isLess := s.isBelowUse(dir, o.Before); o.IsChanged && isLess {
		o.Err = &InUseError{Limit: s.Limit, InUse: use, Want: s.number(), InForce: s.inForce(dir)}
	}
	return o, nil
}

func (s Setting) update(dir *cgroupfs.Dir) Outcome {
	o, err := s.compare(dir)
	var inUse *InUseError
	switch {
	case errors.As(o.Err, &inUse):
		o.IsChanged = s.bound(dir, inUse)
		return o
	case err != nil || !o.IsChanged:
		o.IsChanged = false
		return o
	}
	o.Err = s.write(dir)
	if s.File == memswLimit && errors.Is(o.Err, unix.EINVAL) { // less than the limit of memory, which is in use
		use, _ := readNumber(dir, memoryLimit)
		o.Err = &InUseError{Limit: s.Limit, InUse: use, Want: s.number(), InForce: s.inForce(dir)}
	}
	o.IsChanged = o.Err == nil
	return o
}

// bound sets a limit that leaves some room above what is in use, if that is lower than what
// there is.
func (s Setting) bound(dir *cgroupfs.Dir, e *InUseError) (isChanged bool) {
	if room := withRoom(e.InUse); e.InForce == 0 || room < e.InForce {
		isChanged = dir.Write(s.File, strconv.FormatUint(room, 10)) == nil
	}
	e.InForce = s.inForce(dir)
	return isChanged
}

// inForce returns the limit that the cgroup has; 0 if it has none.
func (s Setting) inForce(dir *cgroupfs.Dir) uint64 {
	data, err := dir.Read(s.File)
	number, isLimited := limited(s.Limit.Name, strings.TrimSpace(string(data)))
	if err != nil || !isLimited {
		return 0
	}
	return number
}

// withRoom is what a limit is lowered to for the time being: with room for what processes
// take until somebody looks again.
func withRoom(use uint64) uint64 { return use + use/8 }

func readNumber(dir *cgroupfs.Dir, file string) (uint64, error) {
	data, err := dir.Read(file)
	if err != nil {
		return 0, err
	}
	text := strings.TrimSpace(string(data))
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, &UnexpectedError{File: dir.Path() + "/" + file, Content: text}
	}
	return number, nil
}

// inOrder has v1's two memory limits in the order in which the kernel takes them: that of
// memory and swap space is never the lower one.
func inOrder(dir *cgroupfs.Dir, settings []Setting) []Setting {
	memory := slices.IndexFunc(settings, func(s Setting) bool { return s.File == memoryLimit })
	both := slices.IndexFunc(settings, func(s Setting) bool { return s.File == memswLimit })
	if memory < 0 || both < 0 {
		return settings
	}
	data, err := dir.Read(memswLimit)
	isRaised := err == nil && settings[both].isUnlimited() || isMore(settings[both].Value, strings.TrimSpace(string(data)))
	if isRaised == (both < memory) {
		return settings
	}
	ordered := slices.Clone(settings)
	ordered[memory], ordered[both] = ordered[both], ordered[memory]
	return ordered
}

func isMore(a, b string) bool {
	x, errX := strconv.ParseUint(a, 10, 64)
	y, errY := strconv.ParseUint(b, 10, 64)
	return errX == nil && errY == nil && x > y
}

func (s Setting) isUnlimited() bool { return s.Value == "max" || s.Value == "-1" }

// number is the value of a setting that has one number.
func (s Setting) number() uint64 {
	n, _ := strconv.ParseUint(s.Value, 10, 64)
	return n
}

// usage are the files that say how much is in use of what would be missed.
var usage = map[string]string{
	"memory.max": "memory.current",
	memoryLimit:  "memory.usage_in_bytes",
	memswLimit:   "memory.memsw.usage_in_bytes",
}

// isBelowUse tells whether the setting lowers memory to less than what is in use. Of
// processes as many may go on as there are: the kernel refuses only new ones (pids.rst).
func (s Setting) isBelowUse(dir *cgroupfs.Dir, before string) (use uint64, isLess bool) {
	file, ok := usage[s.File]
	if !ok || s.isUnlimited() {
		return 0, false
	}
	if former, err := strconv.ParseUint(before, 10, 64); err == nil && former <= s.number() {
		return 0, false
	}
	use, err := readNumber(dir, file)
	return use, err == nil && use > s.number()
}

// valueIn returns what a file says of what the setting sets: the line of its device, in
// files that have several.
func (s Setting) valueIn(content string) string {
	device, _, isKeyed := strings.Cut(s.Value, " ")
	if !isKeyed || !s.isKeyed() {
		return strings.TrimSpace(content)
	}
	for line := range strings.Lines(content) {
		if strings.HasPrefix(line, device+" ") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// isKeyed tells whether the file has a line for each device.
func (s Setting) isKeyed() bool { return s.Limit.Name == IOMax || s.Limit.Name == IOWeight }

// isSame tells whether that is what a file has after the setting was written to it.
func (s Setting) isSame(now string) bool {
	switch {
	case s.File == string(IOMax):
		return hasRates(now, s.Value)
	case s.isKeyed():
		return now == s.Value || now == "" && strings.HasSuffix(s.Value, " 0")
	case s.Limit.Name == CPUs:
		want, errWant := cpulist.Parse(s.Value)
		has, errHas := cpulist.Parse(now)
		return errWant == nil && errHas == nil && slices.Equal(want, has)
	case s.isUnlimited():
		_, isLimited := limited(s.Limit.Name, now)
		return !isLimited
	}
	return now == s.Value
}

// hasRates tells whether a line of io.max has the rates: those that it does not name are
// unlimited, and no line is there if all are.
func hasRates(line, want string) bool {
	has := map[string]string{}
	for _, word := range strings.Fields(line) {
		key, value, _ := strings.Cut(word, "=")
		has[key] = value
	}
	wanted := map[string]string{}
	for _, word := range strings.Fields(want)[1:] {
		key, value, _ := strings.Cut(word, "=")
		wanted[key] = value
	}
	return !slices.ContainsFunc(rateKeys, func(key string) bool {
		return cmp.Or(wanted[key], "max") != cmp.Or(has[key], "max")
	})
}

// Tightened returns the settings, each with the tighter of its own value and those that
// the values hold, by their files: where somebody else has limited the login already.
func Tightened(settings []Setting, values func(file string) []string) []Setting {
	tight := slices.Clone(settings)
	period := uint64(defaultPeriod)
	for i, s := range tight {
		if s.File == cfsPeriod {
			period = s.number()
		}
		theirs := values(s.File)
		if s.File == cfsQuota {
			theirs = quotasIn(period, theirs, values(cfsPeriod))
		}
		for _, value := range theirs {
			if s.isLooser(value) {
				s.Value = value
			}
			if s.Limit.Name == CPUs {
				s.Value = commonCPUs(s.Value, value)
			}
		}
		tight[i] = s
	}
	return tight
}

// quotasIn returns v1's quotas as they are in another period.
func quotasIn(period uint64, quotas, periods []string) (all []string) {
	for i, text := range quotas[:min(len(quotas), len(periods))] {
		quota, err := strconv.ParseUint(text, 10, 64)
		theirs, err2 := strconv.ParseUint(periods[i], 10, 64)
		if errors.Join(err, err2) == nil && theirs > 0 {
			all = append(all, strconv.FormatUint(max(quota*period/theirs, 1000), 10))
		}
	}
	return all
}

// commonCPUs returns the CPUs that both lists have; the first list if there are none.
func commonCPUs(list, other string) string {
	own, err := cpulist.Parse(list)
	theirs, err2 := cpulist.Parse(other)
	common := slices.DeleteFunc(own, func(cpu int) bool { return !slices.Contains(theirs, cpu) })
	if errors.Join(err, err2) != nil || len(common) == 0 {
		return list
	}
	return cpulist.Format(common)
}

// AreHeld tells whether values that the cgroups above have limit at least as much. It is
// false for limits that cannot be compared so.
func AreHeld(settings []Setting, values func(file string) []string) bool {
	tight := Tightened(settings, values)
	for i, s := range settings {
		isSame := slices.ContainsFunc(values(s.File), s.isSame) || s.File == cfsPeriod
		if !isSame && tight[i].Value == s.Value {
			return false
		}
	}
	return len(settings) > 0
}

// allowsLess tells whether the setting limits more than the value does. It is false for what
// cannot be compared.
func (s Setting) allowsLess(value string) bool {
	switch s.Limit.Name {
	case MemoryMax, MemoryHigh, MemorySwapMax, PidsMax:
	case CPUMax:
		if s.File == cfsPeriod {
			return false
		}
	default:
		return false
	}
	return !s.isUnlimited() && !s.isSame(value) && !s.isLooser(value)
}

// isLooser tells whether the setting allows more than the value does.
func (s Setting) isLooser(value string) bool {
	if s.Limit.Name == CPUMax && s.File == string(CPUMax) {
		theirs, theirsLimited := cpuShare(value)
		own, ownLimited := cpuShare(s.Value)
		return theirsLimited && (!ownLimited || theirs < own)
	}
	theirs, isLimited := limited(s.Limit.Name, value)
	switch s.Limit.Name {
	case MemoryMax, MemoryHigh, MemorySwapMax, PidsMax:
		return isLimited && (s.isUnlimited() || theirs < s.number())
	case CPUMax:
		return s.File == cfsQuota && isLimited && (s.isUnlimited() || theirs < s.number())
	}
	return false
}

// cpuShare returns how many CPUs a value of cpu.max gives.
func cpuShare(value string) (cpus float64, isLimited bool) {
	fields := strings.Fields(value)
	if len(fields) != 2 {
		return 0, false
	}
	quota, err := strconv.ParseFloat(fields[0], 64)
	period, err2 := strconv.ParseFloat(fields[1], 64)
	return quota / period, errors.Join(err, err2) == nil && period > 0
}
