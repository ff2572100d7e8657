package agent

import (
	"maps"
	"os"
	"slices"
	"sync"
	"testing"
)

// idle holds nodes of version 1 that tests have given back.
var idle struct {
	sync.Mutex
	nodes []*node
}

// borrowNode gives a node of version 1 for a test that leaves it as it was: to start one costs more than most tests.
func borrowNode(t *testing.T) *node {
	t.Helper()
	n := idleNode()
	if n != nil {
		n.t = t
	} else {
		dir, err := os.MkdirTemp(testFolder, "node-")
		if err != nil {
			t.Fatal(err)
		}
		n = copyRelease(t, dir, "ledger", releases[1])
		n.boot()
	}
	returned := false
	t.Cleanup(func() {
		if !returned {
			n.end()
		}
	})
	n.awaitBoot()
	before := n.facts()
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		n.awaitGone()
		same(t, before, n.facts(), slices.Collect(maps.Keys(before))...)
		n.checkFiles(1)
		if returned = !t.Failed(); returned {
			idle.Lock()
			defer idle.Unlock()
			idle.nodes = append(idle.nodes, n)
		}
	})
	return n
}

// endIdle ends the nodes that were given back.
func endIdle() {
	for _, n := range idle.nodes {
		n.kill()
	}
}

// idleNode takes a node that somebody has given back, nil if there is none.
func idleNode() *node {
	idle.Lock()
	defer idle.Unlock()
	if len(idle.nodes) == 0 {
		return nil
	}
	n := idle.nodes[len(idle.nodes)-1]
	idle.nodes = idle.nodes[:len(idle.nodes)-1]
	return n
}
