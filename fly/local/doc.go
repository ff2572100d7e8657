// Package local is a Fly that runs on a laptop: a Machines API server, an image registry and an S3 store, over
// machines that are real Elixir releases in real BEAM nodes.
//
// It speaks the wire format of https://api.machines.dev as fly-go v0.5.0 does, so that a client reaches it by base URL
// alone, and it keeps Fly's edges: words without a shell, 16 KB for a request to exec, 60 s for its timeout, rate
// limits, asynchronous states, tokens of different power. It imports nothing else of this module: a mistake there must
// not cancel itself out here. Everything listens on loopback.
//
// A machine runs in namespaces of its own (Linux, as root) or as plain processes (elsewhere); see [Isolation].
//
// This package starts the servers, wires the rooms below it and ends everything. The rooms are api (the Machines API),
// machine (a machine's life), registry (images), storage (S3), isolation (how machines run on this computer), fault
// (what goes wrong when asked to) and run (what a run leaves on this computer, and its removal).
package local
