//go:build !linux

package agent

import "syscall"

// endWithParent: only Linux can.
func endWithParent() *syscall.SysProcAttr { return nil }
