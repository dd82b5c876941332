package limits

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNoBlockDevice says that a file system is on no block device: it is in memory, in the
// network, or on several devices.
var ErrNoBlockDevice = errors.New("not on a block device of its own")

// device returns the MAJ:MIN of the disk that a limit is for: the kernel limits whole
// disks, not their partitions (blkg_conf_open_bdev). The limit may name a block device or
// a path in a file system.
func (at Place) device(l Limit) (string, error) {
	number, err := at.deviceNumber(l.Value.Device)
	if err != nil {
		return "", &SettingError{Limit: l, Err: err}
	}
	return number, nil
}

func (at Place) deviceNumber(name string) (string, error) {
	if number, isNumber := parseDevice(name); isNumber {
		return at.wholeDisk(number), nil
	}
	if at.Machine.IsRecorded() {
		return "", &DeviceError{Path: name, Err: errors.New("this machine is a recorded one")}
	}
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		return "", &DeviceError{Path: name, Err: err}
	}
	device := st.Dev
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		device = st.Rdev
	}
	if unix.Major(device) == 0 { // of tmpfs, NFS, btrfs, overlay (Documentation/admin-guide/devices.txt)
		return "", &DeviceError{Path: name, Err: ErrNoBlockDevice}
	}
	return at.wholeDisk(fmt.Sprintf("%d:%d", unix.Major(device), unix.Minor(device))), nil
}

// DeviceError says why it is not known which device is meant.
type DeviceError struct {
	Path string
	Err  error
}

func (e *DeviceError) Error() string { return fmt.Sprintf("%s: %v", e.Path, e.Err) }
func (e *DeviceError) Unwrap() error { return e.Err }

// wholeDisk returns the disk of a partition, which has its directory in the disk's
// (sysfs-block).
func (at Place) wholeDisk(number string) string {
	dir := "/sys/dev/block/" + number
	if !at.Machine.Exists(dir + "/partition") {
		return number
	}
	data, err := at.Machine.ReadFile(dir + "/../dev")
	if err != nil {
		return number
	}
	return strings.TrimSpace(string(data))
}

// parseDevice returns MAJ:MIN as the kernel writes it, if a name is that.
func parseDevice(name string) (number string, isNumber bool) {
	major, minor, found := strings.Cut(name, ":")
	a, err := strconv.ParseUint(major, 10, 32)
	b, err2 := strconv.ParseUint(minor, 10, 32)
	return fmt.Sprintf("%d:%d", a, b), found && err == nil && err2 == nil
}

// possibleCPUs returns the CPUs that the machine can have (sysfs-devices-system-cpu).
func (at Place) possibleCPUs() (string, error) {
	data, err := at.Machine.ReadFile("/sys/devices/system/cpu/possible")
	return strings.TrimSpace(string(data)), err
}

// cpusAbove returns the CPUs of the nearest cgroup above that there is.
func (at Place) cpusAbove() (string, error) {
	for _, s := range at.Above {
		if s.File == string(CPUs) {
			return s.Value, nil
		}
	}
	for above := path.Dir(at.Path); ; above = path.Dir(above) {
		dir, err := at.Hierarchy.OpenBelow(above)
		if err != nil {
			if above == "/" {
				return "", err
			}
			continue
		}
		data, err := dir.Read(string(CPUs))
		dir.Close()
		return strings.TrimSpace(string(data)), err
	}
}

func sortByFile(settings []Setting) {
	slices.SortFunc(settings, func(a, b Setting) int { return strings.Compare(a.File, b.File) })
}
