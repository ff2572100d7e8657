package tuitest

import (
	"context"
	"time"

	"flydeploy/engine"
	"flydeploy/tui/plain"
)

// Checks are a doctor's report with one of every kind.
func Checks() []engine.Check {
	return []engine.Check{
		{Name: "config", Status: engine.CheckOK, Text: "app counter, from counter/fly.toml"},
		{Name: "flyctl", Status: engine.CheckWarn, Text: "there is no flyctl on this computer", Remedy: "Install it: https://fly.io/docs/flyctl/install. A deploy of an image that was pushed earlier needs none."},
		{Name: "token", Status: engine.CheckOK, Text: "from FLY_API_TOKEN"},
		{Name: "app", Status: engine.CheckOK, Text: "counter, 7 machines"},
		{Name: "machines", Status: engine.CheckOK, Text: "6 take part in a deploy, 1 left out (group cron runs no BEAM)"},
		{Name: "keeps_disk", Status: engine.CheckWarn, Machine: "148e00026c1eef", Text: "it keeps its disk over restarts (persist_rootfs), so a restart after `flydeploy withdraw` does not lead back to its image", Remedy: engine.Remedies["keeps_disk"]},
		{Name: "power", Status: engine.CheckOK, Text: "the token may create and destroy machines"},
		{Name: "bucket", Status: engine.CheckFail, Text: "bucket counter-releases at https://fly.storage.tigris.dev: 403 AccessDenied", Remedy: "Give the app's key access to the bucket: fly storage update counter-releases"},
		{Name: "conditional_writes", Status: engine.CheckSkipped, Text: "not checked: the bucket cannot be read"},
		{Name: "lock", Status: engine.CheckSkipped, Text: "not checked: the bucket cannot be read"},
		{Name: "storage_clock", Status: engine.CheckSkipped, Text: "not checked: the bucket cannot be read"},
	}
}

// ActsOf are acts that call back instead of changing anything: with what would be done, and what was typed for it.
func ActsOf(made func(what string)) plain.Acts {
	change := func(question, done string) plain.Change {
		return plain.Change{Question: question, Make: func(context.Context) (string, error) { made(done); return done, nil }}
	}
	return plain.Acts{
		Doctor: func(_ context.Context, tell func(engine.Check)) error {
			for _, c := range Checks() {
				tell(c)
			}
			return nil
		},
		Withdraw: func(_ context.Context, message string) (plain.Change, error) {
			return change("This takes hot upgrade 0.1.1 out of the record of counter.\nRunning machines keep their code until they restart; from then on they run the code of their image.",
				"withdrawn: hot upgrade 0.1.1. "+message), nil
		},
		Release: func(context.Context) (plain.Change, error) {
			return change("held by  bob@ci-7\nhost     ci-7\ndeploy   01K93P\nsince    5 Jan 12:00:00 UTC\nexpires  in 4m 40s, unless its owner renews it (last written 20s ago)\n"+
				"If that deploy is still alive, it notices within ten seconds, starts nothing more and says why.", "released the lock of bob@ci-7 (deploy 01K93P)"), nil
		},
		Freeze: func(_ context.Context, why, end string) (plain.Change, error) {
			if why == "" {
				return plain.Change{}, engine.NewProblem("freeze", "say why nobody may deploy", nil, "")
			}
			return change("This keeps everybody from deploying counter with flydeploy, you included, until "+Start.Add(2*time.Hour).Format(engine.EndFormat)+" (for 2h 0m):\n"+why,
				"deploys are frozen until "+end+": "+why), nil
		},
	}
}
