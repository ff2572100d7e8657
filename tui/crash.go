package tui

import (
	"fmt"
	"runtime/debug"
)

// CrashError is a bug in the console. It does not touch the deploy.
type CrashError struct {
	Value any // of the panic
	Stack []byte
}

func (e *CrashError) Error() string {
	return fmt.Sprintf("the console crashed: %v\n\n%s\nThis is a bug in flydeploy: please report it with the lines above.", e.Value, e.Stack)
}

// caught turns what recover gave into an error; nil where it gave nothing.
func caught(value any) *CrashError {
	if value == nil {
		return nil
	}
	return &CrashError{Value: value, Stack: debug.Stack()}
}

// crashMsg says that a command hit a bug.
type crashMsg struct{ *CrashError }
