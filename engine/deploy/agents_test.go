package deploy_test

import (
	"flydeploy/engine"
	"flydeploy/s3/s3test"
)

// compiledOnce is the agent that the first deploy of all tests has compiled.
var compiledOnce s3test.Agent

// agents remembers compiledOnce as a console does, and sees to it that the bucket of this world has it.
type agents struct{ *world }

// Known implements engine.Agents.
func (a agents) Known(source, otp, elixir string) (engine.CompiledAgent, bool) {
	made, err := compiledOnce.Give(a.t.Context(), a.bucket())
	if err != nil {
		a.t.Error(err)
	}
	return made, made.Source == source && made.OTP == otp && made.Elixir == elixir
}

// Remember implements engine.Agents. The file is not in the bucket yet: see keep.
func (a agents) Remember(engine.CompiledAgent) error { return nil }

// keep takes over the agent of a deploy that has compiled it. Where that was a dry run, or has lost its storage, a later one's
// is kept.
func (a agents) keep(made engine.CompiledAgent) {
	if made.URL != "" {
		_ = compiledOnce.Keep(a.t.Context(), a.bucket(), made)
	}
}
