package run

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// ProcessStarted is when a process started, in clock ticks since the computer booted: field 22 of proc(5)'s stat.
func ProcessStarted(pid int) (uint64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The command's name, field 2, is in parentheses and may hold blanks and parentheses itself.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const state, starttime = 3, 22
	if len(fields) <= starttime-state {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields)+2)
	}
	if fields[0][0] == 'Z' {
		return 0, fmt.Errorf("process %d has ended", pid)
	}
	return strconv.ParseUint(string(fields[starttime-state]), 10, 64)
}

// ProcessStat is the files comm and stat of proc(5).
func ProcessStat(pid int) (comm, stat []byte, err error) {
	if comm, err = os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err != nil {
		return nil, nil, err
	}
	stat, err = os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return comm, stat, err
}

// processEnvironment is the environment that a process was started with, each variable ended by a zero byte.
func processEnvironment(pid int) ([]byte, error) {
	return os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
}

// processIDs are those of all processes on the computer.
func processIDs() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var ids []int
	for _, entry := range entries {
		if id, err := strconv.Atoi(entry.Name()); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}
