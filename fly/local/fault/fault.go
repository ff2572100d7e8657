// Package fault injects faults into HTTP servers: it meets the requests to them and delays, refuses, alters or loses
// their answers.
package fault

import (
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Service is one of the servers that faults can be injected into.
type Service string

const (
	API      Service = "api"
	S3       Service = "s3"
	Registry Service = "registry"
)

// Target says which requests a fault meets. An empty field matches everything.
type Target struct {
	Service Service
	// Action is the name of an operation for the API, the HTTP method for S3, "manifests" or "blobs" for the registry.
	Action string
	// Subject is a machine's id for the API, the beginning of an object's key for S3, a tag or digest for the registry.
	Subject string
}

func (t Target) matches(request Target) bool {
	return (t.Service == "" || t.Service == request.Service) &&
		(t.Action == "" || t.Action == request.Action) &&
		strings.HasPrefix(request.Subject, t.Subject)
}

// Effect is what a fault does: it decorates a handler that works.
type Effect func(next http.Handler) http.Handler

// Faults holds the faults that are switched on. Its methods may be called at any time, from any goroutine. The zero
// value has none and is ready for use.
type Faults struct {
	mu       sync.Mutex
	injected []*fault
}

type fault struct {
	target Target
	left   int // requests still to meet; negative: no end
	effect Effect
}

// Inject switches a fault on for the next `times` requests to the target, or until lift is called if times is 0. Of
// several faults that match one request the first injected is the outermost.
func (f *Faults) Inject(target Target, times int, effect Effect) (lift func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	injected := &fault{target: target, left: times, effect: effect}
	if times == 0 {
		injected.left = -1
	}
	f.injected = append(f.injected, injected)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.injected = slices.DeleteFunc(f.injected, func(other *fault) bool { return other == injected })
	}
}

// Lift switches every fault off.
func (f *Faults) Lift() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.injected = nil
}

// take uses up the faults that a request meets and returns their effects.
func (f *Faults) take(request Target) []Effect {
	f.mu.Lock()
	defer f.mu.Unlock()
	var effects []Effect
	f.injected = slices.DeleteFunc(f.injected, func(fault *fault) bool {
		if !fault.target.matches(request) {
			return false
		}
		effects = append(effects, fault.effect)
		if fault.left > 0 {
			fault.left--
		}
		return fault.left == 0
	})
	return effects
}

// Decorate puts a handler behind the faults that are switched on when a request comes. target names the request.
func (f *Faults) Decorate(target func(*http.Request) Target, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler := next
		for _, effect := range slices.Backward(f.take(target(r))) {
			handler = effect(handler)
		}
		handler.ServeHTTP(w, r)
	})
}
