package engine

import (
	"context"
	"time"
)

// MachineLine is a line that a machine has written, as Fly's logs have it.
type MachineLine struct {
	At      time.Time
	Machine string // its ID; "" where Fly itself speaks of the app
	Region  string
	Level   string // info, error, …; most lines of an app's own are info
	Text    string
}

// Logs reads what an app's machines write. Package fly implements it.
type Logs interface {
	// Lines gives lines that came after those of an earlier answer, whose token from is; "" begins with the latest that are kept. They
	// are of one machine, or of all with "", the oldest first. next is the token to go on with, also where there was no line.
	Lines(ctx context.Context, machine, from string) (lines []MachineLine, next string, err error)
}
