package agent

import "syscall"

// endWithParent has a process end with the test, also where that is killed.
func endWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
