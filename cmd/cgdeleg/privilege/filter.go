package privilege

import (
	"errors"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// denied are system calls for which CAP_SYS_ADMIN, CAP_SYS_PTRACE or CAP_SYSLOG would be
// enough, or that reach parts of the kernel which no service of ours needs. It is a list of
// what is denied: what another release of Go, or a name service in id(1), may need is not
// known.
var denied = []uint32{
	// mounts and roots
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE,
	unix.SYS_FSOPEN, unix.SYS_FSMOUNT, unix.SYS_FSCONFIG, unix.SYS_FSPICK, unix.SYS_MOUNT_SETATTR, unix.SYS_OPEN_BY_HANDLE_AT,
	unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_QUOTACTL, unix.SYS_ACCT,
	// namespaces
	unix.SYS_SETNS, unix.SYS_UNSHARE, unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME,
	// the kernel itself
	unix.SYS_REBOOT, unix.SYS_KEXEC_LOAD, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_SYSLOG, unix.SYS_USERFAULTFD, unix.SYS_IO_URING_SETUP, unix.SYS_IO_SETUP,
	// other processes
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PIDFD_GETFD, unix.SYS_PROCESS_MADVISE, unix.SYS_KCMP,
	// keys, clocks, terminals
	unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_KEYCTL,
	unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_ADJTIMEX, unix.SYS_CLOCK_ADJTIME,
	unix.SYS_VHANGUP, unix.SYS_FANOTIFY_INIT,
}

// architectures are what the kernel calls those for which there are programs.
var architectures = map[string]uint32{
	"amd64": unix.AUDIT_ARCH_X86_64, "386": unix.AUDIT_ARCH_I386, "arm64": unix.AUDIT_ARCH_AARCH64, "arm": unix.AUDIT_ARCH_ARM,
	"riscv64": unix.AUDIT_ARCH_RISCV64, "ppc64le": unix.AUDIT_ARCH_PPC64LE, "s390x": unix.AUDIT_ARCH_S390X, "loong64": unix.AUDIT_ARCH_LOONGARCH64,
}

// Where the kernel has a call's number and its architecture (struct seccomp_data, seccomp(2)).
const (
	numberAt       = 0
	architectureAt = 4
)

// otherNumbers is the bit of amd64's calls of its x32 kind, which have numbers of their own.
const otherNumbers = 0x40000000

var errArchitecture = errors.New("not known how the kernel calls this architecture")

// program returns the filter: what is denied, and every call of another architecture, fails
// with EPERM.
func program(architecture uint32) []unix.SockFilter {
	const load, isEqual, isAtLeast, end = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	tests := []unix.SockFilter{{Code: isAtLeast, K: otherNumbers}}
	for _, number := range denied {
		tests = append(tests, unix.SockFilter{Code: isEqual, K: number})
	}
	for i := range tests {
		tests[i].Jt = uint8(len(tests) - i) // over the rest and what allows
	}
	filter := []unix.SockFilter{
		{Code: load, K: architectureAt},
		{Code: isEqual, K: architecture, Jt: 1},
		{Code: end, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: load, K: numberAt},
	}
	filter = append(filter, tests...)
	return append(filter, unix.SockFilter{Code: end, K: unix.SECCOMP_RET_ALLOW}, unix.SockFilter{Code: end, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)})
}

// filter gives the calling thread the filter, which what it executes keeps.
func filter() error {
	architecture, isKnown := architectures[runtime.GOARCH]
	if !isKnown {
		return errArchitecture
	}
	code := program(architecture)
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]})), 0, 0)
}
