package engine

import (
	"strconv"
	"strings"
)

// running are so many machines with their verb: 1 machine runs, 6 machines run.
func Running(n int) string {
	if n == 1 {
		return "1 machine runs"
	}
	return Counted(n, "machine") + " run"
}

// Counted is a number with its noun: 1 machine, 6 machines, 2 processes.
func Counted(n int, noun string) string { return strconv.Itoa(n) + " " + Noun(int64(n), noun) }

// Noun is the form of noun for so many.
func Noun(n int64, noun string) string {
	switch {
	case n == 1:
		return noun
	case strings.HasSuffix(noun, "s"):
		return noun + "es"
	}
	return noun + "s"
}
