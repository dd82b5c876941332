package limits

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/cpulist"
)

// ValueError says that a word of the form NAME=VALUE gives no limit.
type ValueError struct {
	Word   string
	Reason string // what is wrong with it
	Want   string // what would be right, with an example
}

func (e *ValueError) Error() string {
	return fmt.Sprintf("%.200q: %s; want %s", e.Word, e.Reason, e.Want)
}

// NameError says that there is no limit of that name.
type NameError struct {
	Name    string
	Nearest string // the known name that is most like it; "" if none is
}

func (e *NameError) Error() string {
	if e.Nearest == "" {
		return fmt.Sprintf("there is no limit %.100q", e.Name)
	}
	return fmt.Sprintf("there is no limit %.100q; is %s meant?", e.Name, e.Nearest)
}

// spelling is a name by which a limit can be written, and how its value is.
type spelling struct {
	written string
	name    Name
	parse   func(value string) (Value, error)
}

// spellings are all names, the kernel's first, then systemd's (systemd.resource-control(5)).
var spellings = []spelling{
	{"memory.max", MemoryMax, parseMemory},
	{"memory.high", MemoryHigh, parseMemory},
	{"memory.swap.max", MemorySwapMax, parseMemory},
	{"cpu.max", CPUMax, parseQuota},
	{"cpu.weight", CPUWeight, parseCPUWeight},
	{"pids.max", PidsMax, parseProcesses},
	{"io.max", IOMax, parseRates},
	{"io.weight", IOWeight, parseIOWeight},
	{"cpuset.cpus", CPUs, parseCPUs},
	{"MemoryMax", MemoryMax, parseMemory},
	{"MemoryHigh", MemoryHigh, parseMemory},
	{"MemorySwapMax", MemorySwapMax, parseMemory},
	{"CPUQuota", CPUMax, parseQuota},
	{"CPUWeight", CPUWeight, parseCPUWeight},
	{"TasksMax", PidsMax, parseProcesses},
	{"IOReadBandwidthMax", IOMax, rateOf("rbps")},
	{"IOWriteBandwidthMax", IOMax, rateOf("wbps")},
	{"IOReadIOPSMax", IOMax, rateOf("riops")},
	{"IOWriteIOPSMax", IOMax, rateOf("wiops")},
	{"IOWeight", IOWeight, parseWeightAlone},
	{"IODeviceWeight", IOWeight, parseDeviceWeight},
	{"AllowedCPUs", CPUs, parseAllowedCPUs},
}

// Spellings returns the names by which limits can be written: the kernel's names, then
// systemd's.
func Spellings() (names []string) {
	for _, s := range spellings {
		names = append(names, s.written)
	}
	return names
}

// Parse understands a word NAME=VALUE, without quotes around it. NAME is one of Spellings.
// Errors are *NameError, and *ValueError with the word.
func Parse(word string) (Limit, error) {
	name, value, hasValue := strings.Cut(word, "=")
	at := slices.IndexFunc(spellings, func(s spelling) bool { return s.written == name })
	switch {
	case at < 0 && !hasValue && !strings.Contains(name, "."):
		return Limit{}, &ValueError{Word: word, Reason: "no NAME=VALUE", Want: "a limit, such as memory.max=2G"}
	case at < 0:
		return Limit{}, &NameError{Name: name, Nearest: nearest(name)}
	case !hasValue:
		return Limit{}, &ValueError{Word: word, Reason: "no value", Want: "an equals sign and a value after " + name}
	}
	v, err := spellings[at].parse(value)
	if err != nil {
		return Limit{}, inWord(word, err)
	}
	return Limit{Name: spellings[at].name, Value: v}, nil
}

// inWord gives a *ValueError its word.
func inWord(word string, err error) error {
	var wrong *ValueError
	if errors.As(err, &wrong) {
		wrong.Word = word
	}
	return err
}

// String returns the limit as the word that Parse reads. It has the kernel's name, and no
// quotes: limitsconf.Quote adds those that the file needs.
func (l Limit) String() string { return string(l.Name) + "=" + l.Text() }

// Text returns the limit's value as it is written after the equals sign.
func (l Limit) Text() string {
	v := l.Value
	switch v.Kind {
	case Percent:
		return formatPercent(v.Percent)
	case Quota:
		return formatQuota(v)
	case Rates:
		words := []string{v.Device}
		for _, r := range v.Rates {
			words = append(words, r.String())
		}
		return strings.Join(words, " ")
	case Weight:
		return strings.TrimPrefix(v.Device+" ", " ") + strconv.FormatUint(v.Number, 10)
	case Set:
		return v.CPUs
	case Number:
		if l.Name == CPUWeight || l.Name == PidsMax {
			return strconv.FormatUint(v.Number, 10)
		}
		return formatSize(v.Number)
	}
	return unlimited
}

// String returns the rate as io.max has it: "rbps=10M".
func (r Rate) String() string {
	switch {
	case r.IsUnlimited:
		return r.Key + "=" + unlimited
	case isCount(r.Key):
		return r.Key + "=" + strconv.FormatUint(r.Number, 10)
	}
	return r.Key + "=" + formatSize(r.Number)
}

// unlimited is the kernel's word for no limit, infinity systemd's.
const unlimited = "max"

func isUnlimited(s string) bool { return s == unlimited || s == "infinity" }

// What would be right.
const (
	wantMemory  = "bytes with K, M, G or T, a percentage, or max: 512M, 1.5G, 20%"
	wantProcs   = "a number of processes, a percentage, or max: 1024, 20%"
	wantQuota   = "percent of one CPU, max, or \"QUOTA PERIOD\" in microseconds: 150%, \"50000 100000\""
	wantWeight  = "a number from 1 to 10000: 100 is the kernel's default"
	wantDevice  = "a device or a path on one, and its weight: \"/dev/sda 200\""
	wantRates   = "a device and rates: \"/dev/sda rbps=10M wbps=max riops=100 wiops=100\""
	wantRate    = "a device and a rate: \"/dev/sda 10M\""
	wantCPUs    = "a list of CPUs: 0-3,7"
	notANumber  = "not a number"
	tooLarge    = "too large"
	outOfBounds = "out of bounds"
)

func parseMemory(s string) (Value, error) {
	if v, isShare, err := parseShare(s, wantMemory); isShare {
		return v, err
	}
	n, reason := parseSize(s, 1024)
	if reason != "" {
		return Value{}, &ValueError{Reason: reason, Want: wantMemory}
	}
	return Value{Kind: Number, Number: n}, nil
}

// mostProcesses is PID_MAX_LIMIT (include/linux/threads.h) of a 64-bit kernel. The pids
// controller answers EINVAL to more (pids_max_write in kernel/cgroup/pids.c).
const mostProcesses = 4 << 20

func parseProcesses(s string) (Value, error) {
	if v, isShare, err := parseShare(s, wantProcs); isShare {
		return v, err
	}
	n, ok := parseUint(s)
	switch {
	case !ok:
		return Value{}, &ValueError{Reason: notANumber, Want: wantProcs}
	case n > mostProcesses:
		return Value{}, &ValueError{Reason: tooLarge, Want: fmt.Sprintf("at most %d, or max", mostProcesses)}
	}
	return Value{Kind: Number, Number: n}, nil
}

// mostPercent is in hundredths of a percent. More than 100 % can be written, because
// `cgdeleg limits check` has better words for it, and a limit that is no limit hurts nobody.
const mostPercent = 10_000 * 100

// parseShare parses what limits of memory and of processes have in common: max, and a
// percentage. IsShare is false for everything else.
func parseShare(s, want string) (v Value, isShare bool, err error) {
	if isUnlimited(s) {
		return Value{Kind: Unlimited}, true, nil
	}
	text, isPercent := strings.CutSuffix(s, "%")
	if !isPercent {
		return Value{}, false, nil
	}
	percent, ok := parsePercent(text)
	switch {
	case !ok:
		return Value{}, true, &ValueError{Reason: "not a percentage, with two digits after the point at most", Want: want}
	case percent > mostPercent:
		return Value{}, true, &ValueError{Reason: tooLarge, Want: "a percentage from 0% to 100%"}
	}
	return Value{Kind: Percent, Percent: percent}, true, nil
}

// Bounds of cpu.max in microseconds (tg_set_bandwidth in kernel/sched/core.c), and what the
// kernel takes for a period where nobody says one.
const (
	leastQuota    = 1_000
	mostQuota     = 1<<44 - 1 // max_bw_runtime_us, since Linux 5.9
	leastPeriod   = 1_000
	mostPeriod    = 1_000_000
	defaultPeriod = 100_000
)

func parseQuota(s string) (Value, error) {
	if isUnlimited(s) {
		return Value{Kind: Unlimited}, nil
	}
	if text, isPercent := strings.CutSuffix(s, "%"); isPercent {
		return parseCPUPercent(text)
	}
	fields := strings.Fields(s)
	if len(fields) != 2 {
		return Value{}, &ValueError{Reason: "neither a percentage nor a quota with its period", Want: wantQuota}
	}
	period, ok := parseUint(fields[1])
	switch {
	case !ok:
		return Value{}, &ValueError{Reason: "the period is " + notANumber, Want: wantQuota}
	case period < leastPeriod || period > mostPeriod:
		return Value{}, &ValueError{Reason: "the period is " + outOfBounds, Want: fmt.Sprintf("a period from %d to %d microseconds", leastPeriod, mostPeriod)}
	case fields[0] == unlimited:
		return Value{Kind: Unlimited}, nil // as the kernel writes it
	}
	quota, ok := parseUint(fields[0])
	switch {
	case !ok:
		return Value{}, &ValueError{Reason: "the quota is " + notANumber, Want: wantQuota}
	case quota < leastQuota || quota > mostQuota:
		return Value{}, &ValueError{Reason: "the quota is " + outOfBounds, Want: fmt.Sprintf("at least %d microseconds, and fewer than 2^44", leastQuota)}
	}
	return Value{Kind: Quota, Quota: quota, Period: period}, nil
}

// parseCPUPercent makes a quota of a percentage of one CPU. The period becomes longer than
// the kernel's default where the quota would be too short for it, as systemd does it
// (cgroup_cpu_adjust_period in its src/core/cgroup.c).
func parseCPUPercent(text string) (Value, error) {
	percent, ok := parsePercent(text)
	if !ok {
		return Value{}, &ValueError{Reason: "not a percentage, with two digits after the point at most", Want: wantQuota}
	}
	v, ok := quotaOf(percent)
	if !ok {
		return Value{}, &ValueError{Reason: outOfBounds, Want: "at least 0.1% of one CPU, or max: the kernel gives no less than 1 ms in a second"}
	}
	return v, nil
}

// quotaOf returns the quota for hundredths of a percent of one CPU, if the kernel takes it.
func quotaOf(percent uint64) (v Value, ok bool) {
	const whole = 100 * 100
	if percent == 0 || percent > mostQuota/(defaultPeriod/whole) {
		return Value{}, false
	}
	period := max(defaultPeriod, (leastQuota*whole+percent-1)/percent)
	if period > mostPeriod {
		return Value{}, false
	}
	return Value{Kind: Quota, Quota: percent * period / whole, Period: period}, true
}

// formatQuota returns a percentage if it means the same quota and period.
func formatQuota(v Value) string {
	if high, low := bits.Mul64(v.Quota, 100*100); v.Period > 0 && high < v.Period {
		percent, _ := bits.Div64(high, low, v.Period)
		for _, p := range []uint64{percent, percent + 1} { // the quota was rounded down
			if same, ok := quotaOf(p); ok && same.Quota == v.Quota && same.Period == v.Period {
				return formatPercent(p)
			}
		}
	}
	return fmt.Sprintf("%d %d", v.Quota, v.Period)
}

func parseCPUWeight(s string) (Value, error) {
	n, err := parseWeight(s)
	return Value{Kind: Number, Number: n}, err
}

// leastWeight and mostWeight are CGROUP_WEIGHT_MIN and CGROUP_WEIGHT_MAX (linux/cgroup.h).
const leastWeight, mostWeight = 1, 10_000

func parseWeight(s string) (uint64, error) {
	n, ok := parseUint(s)
	switch {
	case !ok:
		return 0, &ValueError{Reason: notANumber, Want: wantWeight}
	case n < leastWeight || n > mostWeight:
		return 0, &ValueError{Reason: outOfBounds, Want: wantWeight}
	}
	return n, nil
}

// parseIOWeight takes a weight, with or without a device, and the kernel's word for
// without.
func parseIOWeight(s string) (Value, error) {
	fields := strings.Fields(s)
	switch {
	case len(fields) == 2 && fields[0] == "default":
		return parseWeightAlone(fields[1])
	case len(fields) == 2:
		return parseDeviceWeight(s)
	}
	return parseWeightAlone(s)
}

func parseWeightAlone(s string) (Value, error) {
	n, err := parseWeight(s)
	return Value{Kind: Weight, Number: n}, err
}

func parseDeviceWeight(s string) (Value, error) {
	fields := strings.Fields(s)
	if len(fields) != 2 {
		return Value{}, &ValueError{Reason: "not a device and a weight", Want: wantDevice}
	}
	if !isDevice(fields[0]) {
		return Value{}, &ValueError{Reason: notADevice, Want: wantDevice}
	}
	n, err := parseWeight(fields[1])
	return Value{Kind: Weight, Device: fields[0], Number: n}, err
}

const notADevice = "the device is neither an absolute path nor MAJ:MIN"

// isDevice tells whether a word can be a device's: an absolute path, or numbers MAJ:MIN.
func isDevice(s string) bool {
	if strings.HasPrefix(s, "/") {
		return true
	}
	major, minor, isPair := strings.Cut(s, ":")
	_, err := strconv.ParseUint(major, 10, 12) // MINORBITS is 20 (linux/kdev_t.h)
	_, err2 := strconv.ParseUint(minor, 10, 20)
	return isPair && err == nil && err2 == nil
}

// rateKeys are those of io.max, in the kernel's order.
var rateKeys = []string{"rbps", "wbps", "riops", "wiops"}

// isCount tells whether a rate counts operations, and not bytes.
func isCount(key string) bool { return strings.HasSuffix(key, "iops") }

func parseRates(s string) (Value, error) {
	fields := strings.Fields(s)
	if len(fields) < 2 {
		return Value{}, &ValueError{Reason: "not a device and its rates", Want: wantRates}
	}
	v := Value{Kind: Rates, Device: fields[0]}
	if !isDevice(v.Device) {
		return Value{}, &ValueError{Reason: notADevice, Want: wantRates}
	}
	for _, field := range fields[1:] {
		key, rate, _ := strings.Cut(field, "=")
		switch {
		case !slices.Contains(rateKeys, key):
			return Value{}, &ValueError{Reason: fmt.Sprintf("%.50q is no rate", field), Want: wantRates}
		case slices.ContainsFunc(v.Rates, func(r Rate) bool { return r.Key == key }):
			return Value{}, &ValueError{Reason: key + " is given twice", Want: wantRates}
		}
		r, err := parseRate(key, rate, 1024)
		if err != nil {
			return Value{}, err
		}
		v.Rates = append(v.Rates, r)
	}
	return v, nil
}

// rateOf returns the parser of systemd's directive for one rate. There the units are powers
// of 1000 (systemd.resource-control(5), IOReadBandwidthMax=): a line that was taken from a
// unit means the same here.
func rateOf(key string) func(string) (Value, error) {
	return func(s string) (Value, error) {
		fields := strings.Fields(s)
		if len(fields) != 2 {
			return Value{}, &ValueError{Reason: "not a device and a rate", Want: wantRate}
		}
		if !isDevice(fields[0]) {
			return Value{}, &ValueError{Reason: notADevice, Want: wantRate}
		}
		r, err := parseRate(key, fields[1], 1000)
		return Value{Kind: Rates, Device: fields[0], Rates: []Rate{r}}, err
	}
}

// parseRate parses a rate. Units of bytes are powers of base, those of operations powers
// of 1000: nobody counts in 1024.
func parseRate(key, s string, base uint64) (Rate, error) {
	if isUnlimited(s) {
		return Rate{Key: key, IsUnlimited: true}, nil
	}
	want := "bytes in a second with K, M, G or T, or max: 10M"
	if isCount(key) {
		base, want = 1000, "a number of operations in a second, or max: 100"
	}
	n, reason := parseSize(s, base)
	if reason == "" && n == 0 { // ERANGE (tg_set_limit in block/blk-throttle.c)
		reason = "0 would be no access at all, which the kernel refuses"
	}
	if reason != "" {
		return Rate{}, &ValueError{Reason: key + ": " + reason, Want: want}
	}
	return Rate{Key: key, Number: n}, nil
}

func parseCPUs(s string) (Value, error) {
	cpus, err := cpulist.Parse(s)
	if err != nil || len(cpus) == 0 {
		return Value{}, &ValueError{Reason: "no list of CPUs", Want: wantCPUs}
	}
	return Value{Kind: Set, CPUs: cpulist.Format(cpus)}, nil
}

// parseAllowedCPUs takes blanks between the parts too, as systemd does.
func parseAllowedCPUs(s string) (Value, error) {
	return parseCPUs(strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }), ","))
}

// parseUint takes a decimal number and nothing around it.
func parseUint(s string) (n uint64, ok bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

// units are the letters for powers of 1024 or 1000, from the first power on.
const units = "KMGTPE"

// parseSize parses a number with or without a unit, a power of base, in capitals or small
// letters as the kernel's memparse() does. With a unit there may be a fraction; what it
// gives less than a byte is cut off. Reason is why it is none.
func parseSize(s string, base uint64) (n uint64, reason string) {
	number, unit := s, uint64(1)
	if s != "" {
		if power := strings.Index(units, strings.ToUpper(s[len(s)-1:])); power >= 0 {
			number = s[:len(s)-1]
			for range power + 1 {
				unit *= base
			}
		}
	}
	whole, fraction, isDecimal := strings.Cut(number, ".")
	n, err := strconv.ParseUint(whole, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, tooLarge
	case err != nil:
		return 0, notANumber
	case isDecimal && unit == 1:
		return 0, "a fraction without a unit"
	}
	high, low := bits.Mul64(n, unit)
	var carry uint64
	if isDecimal {
		part, ok := parseFraction(fraction, unit)
		if !ok {
			return 0, notANumber
		}
		low, carry = bits.Add64(low, part, 0)
	}
	if high+carry != 0 {
		return 0, tooLarge
	}
	return low, ""
}

// parseFraction returns what the digits after a decimal point come to, rounded down.
func parseFraction(digits string, unit uint64) (n uint64, ok bool) {
	const most = 18 // 10^18 is below 2^64
	if digits == "" || len(digits) > most {
		return 0, false
	}
	part, ok := parseUint(digits)
	if !ok {
		return 0, false
	}
	divisor := uint64(math.Pow10(len(digits))) // exact up to 10^22
	high, low := bits.Mul64(part, unit)
	n, _ = bits.Div64(high, low, divisor)
	return n, true
}

// formatSize returns a number with the largest unit of 1024 that divides it.
func formatSize(n uint64) string {
	unit := ""
	for i := 0; i < len(units) && n != 0 && n%1024 == 0; i++ {
		n, unit = n/1024, units[i:i+1]
	}
	return strconv.FormatUint(n, 10) + unit
}

// parsePercent parses a percentage, without the sign, into hundredths of a percent.
func parsePercent(s string) (hundredths uint64, ok bool) {
	whole, fraction, isDecimal := strings.Cut(s, ".")
	n, err := strconv.ParseUint(whole, 10, 48) // so that the product below is no overflow
	if err != nil || isDecimal && (fraction == "" || len(fraction) > 2) {
		return 0, false
	}
	part := uint64(0)
	if isDecimal {
		if part, ok = parseUint((fraction + "0")[:2]); !ok {
			return 0, false
		}
	}
	return n*100 + part, true
}

func formatPercent(hundredths uint64) string {
	s := strconv.FormatUint(hundredths/100, 10)
	if part := hundredths % 100; part != 0 {
		s += strings.TrimRight(fmt.Sprintf(".%02d", part), "0")
	}
	return s + "%"
}

// nearest returns the known name that is most like the given one, if it is like one at all:
// another case, or few letters more, fewer or other ones.
func nearest(name string) string {
	best, least := "", len(name)/3+1
	if len(name) > 2*len("IOWriteBandwidthMax") { // no name is; the comparison below takes time
		return ""
	}
	for _, spelling := range spellings {
		s := spelling.written
		if strings.EqualFold(s, name) {
			return s
		}
		if d := distance(strings.ToLower(name), strings.ToLower(s)); d < least {
			best, least = s, d
		}
	}
	return best
}

// distance is how many bytes have to be inserted, removed or replaced to make b of a
// (Levenshtein's distance).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0] // of the row above, one to the left
		row[0] = i + 1
		for j := range len(b) {
			replaced := before
			if a[i] != b[j] {
				replaced++
			}
			before = row[j+1]
			row[j+1] = min(replaced, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
