//go:build race

package agenttest_test

// many is how many machines the largest deploy has; the race detector makes it take ten times as long.
const many = 100
