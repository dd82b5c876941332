package vm

import (
	"archive/tar"
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Machine is a machine that is to run one script.
type Machine struct {
	Kind  Kind
	Image Image
	// ImageName is what the scenario asked for; "" is the image with all clients.
	ImageName string
	// Files are the files on the machine's second disk, by their names there.
	// The machine unpacks them in /in and runs main.sh as root.
	Files map[string]string
	// Limit is how long the machine may run, from QEMU's start on.
	Limit time.Duration
	// Processors is how many it has; 0 for the usual number.
	Processors int
	// Controller is the path of a program here that serves the machine, "" for
	// none: what connects to port 1 of 10.0.2.100 there talks to one of its
	// processes, whose argument is the port here that leads to the machine's sshd.
	// The machine has no other network.
	Controller string
	// Dir is a folder for what comes out: console, output, qemu, and the
	// machine's /out as out/.
	Dir string
}

// Result is what a machine gave.
type Result struct {
	Status int           // exit status of main.sh
	Output string        // what main.sh wrote
	Boot   time.Duration // until main.sh began
	Boots  int           // how often it was started until it booted
	Total  time.Duration // until the machine was off
}

// DeadError says that a machine ended without main.sh having ended.
type DeadError struct {
	Err     error // wraps context.DeadlineExceeded, or says why QEMU ended
	Console string
	Output  string
}

func (e *DeadError) Error() string {
	return fmt.Sprintf("the machine ended before its script: %v\noutput:\n%s\nconsole:\n%s", e.Err, tail(e.Output, 20), tail(e.Console, 20))
}

func (e *DeadError) Unwrap() error { return e.Err }

// The sizes of a machine. With one processor as many machines as there are
// processors here keep all of them busy, and none waits for another's.
const (
	processors = 1
	memory     = "1024" // MiB
	outSize    = 64 << 20
)

// An emulated machine hangs in its kernel now and then, before there is a first
// process: one of about 50 did, with two processors. That is no result of any
// script, so it is started again.
const (
	bootLimit = 4 * time.Minute // five times what a busy machine needs
	maxBoots  = 3
)

var errNoBoot = fmt.Errorf("it did not boot in %v; if that is for lack of speed, give it more processors or set VM_ACCEL=kvm where KVM works", bootLimit)

// Run runs the machine to its end. The error is a *DeadError if the script did
// not end; what it wrote until then is in the Result.
func (m *Machine) Run(ctx context.Context) (*Result, error) {
	if err := os.RemoveAll(m.Dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(m.Dir, 0o755); err != nil {
		return nil, err
	}
	in, out := filepath.Join(m.Dir, "in.tar"), filepath.Join(m.Dir, "out.tar")
	defer os.Remove(in)
	defer os.Remove(out)
	if err := writeDisk(in, m.Files); err != nil {
		return nil, err
	}
	if err := os.WriteFile(out, nil, 0o644); err != nil {
		return nil, err
	}
	if err := os.Truncate(out, outSize); err != nil {
		return nil, err
	}

	for boots := 1; ; boots++ {
		result, err := m.boot(ctx, in, out)
		if result != nil {
			result.Boots = boots
		}
		switch {
		case errors.Is(err, errNoBoot) && boots < maxBoots:
		case err != nil:
			return result, err
		default:
			return result, readDisk(out, filepath.Join(m.Dir, "out"))
		}
	}
}

// boot starts QEMU and follows it to its end.
func (m *Machine) boot(ctx context.Context, in, out string) (*Result, error) {
	ctx, stop := context.WithTimeout(ctx, m.Limit)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// The machine is to die with this process, which the kernel grants to the
	// thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	console := filepath.Join(m.Dir, "console")
	said, err := os.Create(filepath.Join(m.Dir, "output"))
	if err != nil {
		return nil, err
	}
	defer said.Close()
	complaints, err := os.Create(filepath.Join(m.Dir, "qemu"))
	if err != nil {
		return nil, err
	}
	defer complaints.Close()

	arguments := m.arguments(console, in, out)
	if m.Controller != "" {
		network, err := m.network()
		if err != nil {
			return nil, err
		}
		arguments = append(arguments, network...)
	}
	cmd := exec.CommandContext(ctx, "nice", append([]string{"-n", "10", "qemu-system-x86_64"}, arguments...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Env = append(os.Environ(), "TMPDIR="+m.Dir) // of the disk's changes
	cmd.Stderr = complaints
	port, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	notBooted := time.AfterFunc(bootLimit, func() { cancel(errNoBoot) })
	defer notBooted.Stop()
	result, ended := follow(io.TeeReader(port, said), start, func() { notBooted.Stop() })
	err = cmd.Wait()
	result.Total = time.Since(start)
	if ended {
		return result, nil
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = fmt.Errorf("its time limit of %v: %w", m.Limit, ctx.Err())
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case err == nil:
		err = errors.New("it turned itself off")
	}
	text, _ := os.ReadFile(console)
	qemu, _ := os.ReadFile(complaints.Name())
	return result, &DeadError{Err: err, Console: string(text) + string(qemu), Output: result.Output}
}

// arguments returns QEMU's. VM_ACCEL replaces the emulation, where KVM works.
func (m *Machine) arguments(console, in, out string) []string {
	accel := os.Getenv("VM_ACCEL")
	if accel == "" {
		accel = "tcg,thread=multi"
	}
	return []string{
		"-accel", accel, "-cpu", "max,la57=off", "-smp", strconv.Itoa(cmp.Or(m.Processors, processors)), "-m", memory,
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-kernel", m.Image.file("vmlinuz"), "-initrd", m.Image.file("initrd"), "-append", m.Kind.commandLine(m.ImageName),
		"-chardev", "file,id=console,path=" + console, "-serial", "chardev:console",
		"-chardev", "stdio,id=port,signal=off", "-serial", "chardev:port",
		"-drive", "if=virtio,format=raw,snapshot=on,file=" + m.Image.file("root.img"),
		"-drive", "if=virtio,format=raw,readonly=on,file=" + in,
		"-drive", "if=virtio,format=raw,cache=unsafe,file=" + out,
	}
}

// network returns QEMU's arguments for a network on which there is a controller
// and nothing else.
func (m *Machine) network() ([]string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // for a number that is free
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return nil, err
	}
	return []string{
		"-netdev", fmt.Sprintf("user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:%d-10.0.2.15:22,guestfwd=tcp:10.0.2.100:1-cmd:%s %d", port, strings.ReplaceAll(m.Controller, ",", ",,"), port),
		"-device", "virtio-net-pci,netdev=net,romfile=",
	}, nil
}

// follow reads what comes from the machine's second port: the script's output
// between a line "@boot" and a line "@exit STATUS". Ended tells that the last
// one came.
func follow(port io.Reader, start time.Time, booted func()) (result *Result, ended bool) {
	result = &Result{Status: -1}
	var output strings.Builder
	lines := bufio.NewReader(port)
	for {
		line, err := lines.ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
		status, isExit := strings.CutPrefix(line, "@exit ")
		n, statusErr := strconv.Atoi(status)
		switch {
		case isExit && statusErr == nil:
			result.Status, ended = n, true
		case strings.HasPrefix(line, "@boot ") && result.Boot == 0:
			result.Boot = time.Since(start)
			booted()
		case line != "":
			output.WriteString(line + "\n")
		}
		if err != nil {
			result.Output = output.String()
			return result, ended
		}
	}
}

// writeDisk writes the files as a tar file, which the machine reads as a disk.
func writeDisk(path string, files map[string]string) error {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for name, source := range files {
		data, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data))}); err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, buf.Bytes(), 0o644)
}

// readDisk unpacks the regular files of the tar file that the machine wrote.
func readDisk(path, dir string) error {
	disk, err := os.Open(path)
	if err != nil {
		return err
	}
	defer disk.Close()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for r := tar.NewReader(disk); ; {
		header, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the machine's /out: %w", err)
		}
		name := filepath.Clean(header.Name)
		if header.Typeflag != tar.TypeReg {
			continue
		}
		if err := extract(root, name, r); err != nil {
			return err
		}
	}
}

func extract(root *os.Root, name string, r io.Reader) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := root.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}
