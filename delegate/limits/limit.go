package limits

// Name is what a limit is called: the name of its file on cgroup v2
// (Documentation/admin-guide/cgroup-v2.rst).
type Name string

// The limits that there are.
const (
	MemoryMax     Name = "memory.max"
	MemoryHigh    Name = "memory.high"
	MemorySwapMax Name = "memory.swap.max"
	CPUMax        Name = "cpu.max"
	CPUWeight     Name = "cpu.weight"
	PidsMax       Name = "pids.max"
	IOMax         Name = "io.max"
	IOWeight      Name = "io.weight"
	CPUs          Name = "cpuset.cpus"
)

// Kind is which fields of a Value count.
type Kind int

// The kinds of values.
const (
	Unlimited Kind = iota // "max", which systemd calls infinity
	Number                // Value.Number: bytes, processes, or a weight
	Percent               // Value.Percent: of the nearest limit above, or of the machine
	Quota                 // Value.Quota and Value.Period, of cpu.max
	Rates                 // Value.Device and Value.Rates, of io.max
	Weight                // Value.Number and, if it is for one device, Value.Device
	Set                   // Value.CPUs
)

// Value is what a limit is set to.
type Value struct {
	Kind   Kind
	Number uint64
	// Percent is in hundredths of a percent. That of cpu.max is a Quota: of one CPU.
	Percent uint64
	// Quota is how many microseconds of CPU time there are in each Period of so many.
	Quota, Period uint64
	// Device is a block device, or a path in a file system that is on one; MAJ:MIN too.
	Device string
	// Rates are those of io.max for the Device.
	Rates []Rate
	// CPUs is a list as in cpuset.cpus: "0-3,7".
	CPUs string
}

// Rate is one of the rates of io.max: Key is rbps, wbps, riops or wiops, Number what may
// be read or written in a second, or no more than before if it is IsUnlimited.
type Rate struct {
	Key         string
	Number      uint64
	IsUnlimited bool
}

// Limit is a limit with its value.
type Limit struct {
	Name  Name
	Value Value
}
