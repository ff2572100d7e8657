package engine

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"flydeploy/text"
)

// WavesBy says of what each wave holds one kind only.
type WavesBy string

// What waves can be kept to.
const (
	WavesByRegion WavesBy = "region"
	WavesByGroup  WavesBy = "group" // process group
)

// Valid reports whether waves can be kept to that; "" keeps them to nothing.
func (b WavesBy) Valid() bool { return b == "" || b == WavesByRegion || b == WavesByGroup }

// of gives a machine's region or process group.
func (b WavesBy) of(m Machine) string {
	switch b {
	case WavesByRegion:
		return m.Region
	case WavesByGroup:
		return m.ProcessGroup
	}
	return ""
}

// Grouped puts what is about machines in the order in which they commit, and gives the sizes of the groups that follow each other, by
// name. Within a group the order stays.
func Grouped[T any](by WavesBy, all []T, machine func(T) Machine) (ordered []T, sizes []int) {
	ordered = slices.Clone(all)
	slices.SortStableFunc(ordered, func(x, y T) int { return cmp.Compare(by.of(machine(x)), by.of(machine(y))) })
	last := ""
	for i, item := range ordered {
		group := by.of(machine(item))
		if i == 0 || group != last {
			sizes, last = append(sizes, 0), group
		}
		sizes[len(sizes)-1]++
	}
	return ordered, sizes
}

// PauseForKey is a pause that ends when somebody goes on.
const PauseForKey time.Duration = -1

func (s Strategy) kept() string {
	switch s.By {
	case WavesByRegion:
		return " of one region each"
	case WavesByGroup:
		return " of one process group each"
	}
	return ""
}

func (s Strategy) paused() string {
	switch {
	case s.Pause == PauseForKey:
		return ", and then until somebody goes on"
	case s.Pause > 0:
		return fmt.Sprintf(", and %s before the next one", text.Time(s.Pause))
	}
	return ""
}
