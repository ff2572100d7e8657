package deploy_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/agent/agenttest"
	"flydeploy/engine/deploy"
)

// BenchmarkWatch tells what it costs the console to watch a large fleet, in memory and in real time: a minute of bake, with vitals of every
// machine. The fleet's own cost is part of it.
func BenchmarkWatch(b *testing.B) {
	const bake = time.Minute
	for _, machines := range []int{50, 1_000} {
		b.Run(fmt.Sprintf("%d machines", machines), func(b *testing.B) {
			for range b.N {
				w := agenttest.NewWorld(machines)
				w.SetTiming(agenttest.Usual)
				w.Behave("", func(behaviour *agenttest.Behaviour) {
					behaviour.Vitals = &agent.Vitals{Memory: 182 << 20, Processes: 303}
				})
				settings := playedSettings()
				settings.MaxConcurrency, settings.Strategy.Bake = machines, bake
				d := deploy.Start(b.Context(), settings, portsOf(w.Console))
				var from, to time.Duration
				events, p := 0, engine.NewProgress()
				for {
					batch, err := d.Next(b.Context())
					if err != nil {
						break
					}
					for _, e := range batch {
						p.Apply(e)
						if e.Phase == engine.PhaseWatch {
							if events++; from == 0 {
								from = cpu()
							}
							if e.Status == engine.StatusRunning {
								to = cpu()
							}
						}
					}
				}
				if r := d.Result(); r.Outcome != engine.OutcomeSucceeded || r.Health != engine.HealthHealthy {
					b.Fatalf("it ended %s, %s: %v", r.Outcome, r.Health, r.Problem)
				}
				used := to - from
				asked := len(w.Calls(agenttest.Match{Kind: agenttest.Wait}))
				b.ReportMetric(used.Seconds()/bake.Seconds()*100, "%core")
				b.ReportMetric(float64(used.Microseconds())/float64(machines)/bake.Seconds(), "us/machine/s")
				b.ReportMetric(float64(asked)/float64(machines), "execs/machine")
				b.ReportMetric(float64(events)/float64(machines), "events/machine")
			}
		})
	}
}

// cpu is what this process has used of the CPU.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
