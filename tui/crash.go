package tui

import (
	"fmt"
	"runtime/debug"
)

// CrashError is a bug of the console. The deploy is not touched by it.
type CrashError struct {
	Value any // of the panic
	Stack []byte
}

func (e *CrashError) Error() string {
	return fmt.Sprintf("the console crashed: %v\n\n%s\nThis is a bug in flydeploy: please report it with the lines above.", e.Value, e.Stack)
}

// caught makes an error of what recover gave, nil of nothing.
func caught(value any) *CrashError {
	if value == nil {
		return nil
	}
	return &CrashError{Value: value, Stack: debug.Stack()}
}

// crashMsg says that a command hit a bug.
type crashMsg struct{ *CrashError }
