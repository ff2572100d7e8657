//go:build !race

package agenttest_test

// many is how many machines the largest deploy has.
const many = 1000
