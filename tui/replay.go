package tui

import (
	"slices"
	"time"

	"flydeploy/engine"
)

// speeds of a replay. The slow ones make a window of a few milliseconds visible.
var speeds = []float64{0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 50, 200}

const realTime = 4 // index of speed 1

const (
	seekBy = 10 * time.Second // of the record's time, as far as it is played
	// skipIdle bounds how long a replay waits for its next event, in the record's time.
	skipIdle = 5 * time.Second
)

// replay plays a recorded stream on a clock of its own, at any speed, forwards and backwards.
type replay struct {
	events []engine.Event
	track  *track
	next   int       // the first event that has not been applied
	at     time.Time // on the record's clock
	speed  int       // index of speeds
	paused bool
}

func newReplay(events []engine.Event) *replay {
	r := &replay{events: slices.Clone(events), speed: realTime}
	slices.SortStableFunc(r.events, func(a, b engine.Event) int { return a.At.Compare(b.At) })
	r.track = newTrack(r.events)
	r.at = r.begin()
	return r
}

func (r *replay) begin() time.Time { return r.track.begin }

func (r *replay) end() time.Time { return r.track.end }

func (r *replay) over() bool { return r.next == len(r.events) }

// advance lets real time pass and gives the events that are due.
func (r *replay) advance(passed time.Duration) []engine.Event {
	if r.paused || r.over() {
		return nil
	}
	r.at = r.track.past(r.at.Add(time.Duration(float64(passed) * speeds[r.speed])))
	return r.due()
}

// due gives the events up to the clock.
func (r *replay) due() []engine.Event {
	from := r.next
	for r.next < len(r.events) && !r.events[r.next].At.After(r.at) {
		r.next++
	}
	if r.over() {
		r.at = r.end()
	}
	return r.events[from:r.next]
}

// step goes to the next event and stays there.
func (r *replay) step() []engine.Event {
	r.paused = true
	if r.over() {
		return nil
	}
	r.at = r.events[r.next].At
	return r.due()
}

// seek moves the clock. To go backwards the deploy must be built up again from its first event: again is true then.
func (r *replay) seek(to time.Time) (events []engine.Event, again bool) {
	if again = to.Before(r.at); again {
		r.next = 0
	}
	r.at = to
	return r.due(), again
}

// setSpeed takes the next of the speeds that is at least as fast; 0 goes to the end and gives all events up to it.
func (r *replay) setSpeed(speed float64) []engine.Event {
	if speed <= 0 {
		r.at = r.end()
		return r.due()
	}
	r.speed, _ = slices.BinarySearch(speeds, speed)
	r.speed = min(r.speed, len(speeds)-1)
	return nil
}

func (r *replay) faster(steps int) { r.speed = min(max(r.speed+steps, 0), len(speeds)-1) }
