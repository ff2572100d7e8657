package tui

import (
	"reflect"
	"sync"
	"time"
	"unsafe"

	tea "charm.land/bubbletea/v2"
)

// Bubble Tea looks sixty times a second whether there is something to paint, which is two thirds of what an idle console costs, and it
// offers no way to change that. So its ticker rests while nothing changes, and is quick once something has.
const (
	frameSoon = 8 * time.Millisecond // from a change to its painting
	quickFor  = 5 * frameSoon        // after a change
	frameRest = 250 * time.Millisecond
)

// frames paces the painting; the zero value leaves it to Bubble Tea.
type frames struct {
	ticker **time.Ticker // there once the program runs

	mu    sync.Mutex
	until time.Time // it is quick until then
	calm  *time.Timer
}

// of finds the program's ticker. Where a later Bubble Tea has another one, its pace stays as it is, and a test fails.
func (f *frames) of(p *tea.Program) {
	field := reflect.ValueOf(p).Elem().FieldByName("ticker")
	if field.IsValid() && field.Type() == reflect.TypeFor[*time.Ticker]() {
		f.ticker = (**time.Ticker)(unsafe.Pointer(field.UnsafeAddr()))
	}
}

// changed is called when there is something to paint.
func (f *frames) changed() {
	if f.ticker == nil || *f.ticker == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if !now.Before(f.until) {
		(*f.ticker).Reset(frameSoon)
	}
	f.until = now.Add(quickFor)
	if f.calm == nil {
		f.calm = time.AfterFunc(quickFor, f.rest)
	} else {
		f.calm.Reset(quickFor)
	}
}

// rest slows the painting down, unless something has changed meanwhile.
func (f *frames) rest() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !time.Now().Before(f.until) {
		(*f.ticker).Reset(frameRest)
	}
}
