package run

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// ProcessStarted is when a process started, in microseconds since 1970.
func ProcessStarted(pid int) (uint64, error) {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return 0, err
	}
	const zombie = 5 // SZOMB of sys/proc.h
	if info.Proc.P_stat == zombie {
		return 0, fmt.Errorf("process %d has ended", pid)
	}
	start := info.Proc.P_starttime
	return uint64(start.Sec)*1_000_000 + uint64(start.Usec), nil
}

// ProcessStat makes the files comm and stat of Linux's proc(5), the latter with the fields 1, 2 and 22 alone.
func ProcessStat(pid int) (comm, stat []byte, err error) {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return nil, nil, err
	}
	started, err := ProcessStarted(pid)
	if err != nil {
		return nil, nil, err
	}
	name := unix.ByteSliceToString(info.Proc.P_comm[:])
	stat = fmt.Appendf(nil, "%d (%s) S%s %d\n", pid, name, strings.Repeat(" 0", 18), started)
	return []byte(name + "\n"), stat, nil
}

// processEnvironment is the environment that a process was started with, each variable ended by a zero byte. It reads
// the layout of KERN_PROCARGS2 in XNU's kern_sysctl.c: argc, path, zero bytes, arguments, variables.
func processEnvironment(pid int) ([]byte, error) {
	block, err := unix.SysctlRaw("kern.procargs2", pid)
	if err != nil {
		return nil, err
	}
	if len(block) < 4 {
		return nil, fmt.Errorf("arguments of process %d: %d bytes", pid, len(block))
	}
	argc := int(binary.NativeEndian.Uint32(block))
	_, rest, _ := bytes.Cut(block[4:], []byte{0})
	rest = bytes.TrimLeft(rest, "\x00")
	for range argc {
		_, rest, _ = bytes.Cut(rest, []byte{0})
	}
	if end := bytes.Index(rest, []byte{0, 0}); end >= 0 {
		rest = rest[:end+1]
	}
	return rest, nil
}

// processIDs are those of all processes on the computer.
func processIDs() []int {
	processes, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil
	}
	var ids []int
	for _, process := range processes {
		ids = append(ids, int(process.Proc.P_pid))
	}
	return ids
}
