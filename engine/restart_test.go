package engine_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/examples/counter"
)

// bootsWithin is how long the application may take to answer, whatever the storage does.
const bootsWithin = 15 * time.Second

// restart makes a machine boot from its image again, and gives the time until the application answers.
func (w *world) restart(id string) time.Duration {
	w.t.Helper()
	asked := time.Now()
	for !w.askForRestart(id) { // one a second is allowed
		time.Sleep(100 * time.Millisecond)
		asked = time.Now()
	}
	// From here on the machine is restarting: nobody reaches the boot before.
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*bootsWithin)
	defer cancel()
	if err := w.client(id).AwaitHealth(ctx); err != nil {
		w.t.Fatalf("machine %s after its restart: %v\n%s", id, err, w.local.Console(id))
	}
	return time.Since(asked)
}

func (w *world) askForRestart(id string) (admitted bool) {
	w.t.Helper()
	url := fmt.Sprintf("%s/v1/apps/counter/machines/%s/restart?force_stop=true", w.local.APIURL(), id)
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, url, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.local.Token())
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusTooManyRequests {
		w.t.Fatalf("restart of machine %s: %s", id, answer.Status)
	}
	return answer.StatusCode == http.StatusOK
}

// expectVersion checks code, static files, protocols and the shape of every state, which all come with the code.
func (w *world) expectVersion(id, version string) counter.Snapshot {
	w.t.Helper()
	s := w.snapshot(id)
	protocols := map[string]int{"1.0.0": 2, "2.0.0": 3, "3.0.0": 3}[version]
	protocol, err := w.client(id).Protocol(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	if s.Versions.Version != version || s.Versions.Static != "counter "+version || len(protocol.Implementations) != protocols ||
		s.Counters.InCurrentShape != counters {
		w.t.Errorf("machine %s runs %s with %q, implementations %v and %d states of the loaded shape, not %s\n%s", id,
			s.Versions.Version, s.Versions.Static, protocol.Implementations, s.Counters.InCurrentShape, version, w.local.Console(id))
	}
	return s
}

// The cycle of the end-to-end test that fly_deploy's readers know: deploy, count, upgrade hot with state and the same
// pids, restart into the upgrade, deploy cold and be rid of it.
func TestAnUpgradeSurvivesRestartsUntilAColdDeploy(t *testing.T) {
	t.Parallel() // mostly waits for rate limits
	w := newWorld(t, 2)
	image := w.imageOf(w.ids[0])
	before := map[string]counter.Snapshot{}
	for _, id := range w.ids {
		if _, err := w.client(id).Increment(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		before[id] = w.expectVersion(id, "1.0.0")
	}

	_, r := w.deploy(settings(), 2)
	if r.Outcome != engine.OutcomeSucceeded {
		t.Fatalf("outcome %s: %v", r.Outcome, r.Problem)
	}
	var fingerprint string
	for _, id := range w.ids {
		after := w.expectVersion(id, "2.0.0")
		if c := counter.Compare(before[id], after, counter.Done{}); !c.PidsUnchanged || !c.CountsUnchanged {
			t.Errorf("machine %s: %+v", id, c)
		}
		v := after.Versions
		if len(v.Upgrades) != 1 || v.Upgrades[0].Event != "hot_upgrade_complete" || v.Upgrades[0].Version != "2.0.0" ||
			v.Upgrades[0].Processes < counters {
			t.Errorf("machine %s: its subscriber was told %+v", id, v.Upgrades)
		}
		w.expectUpgrade(id, v.FlyDeploy, image, r.Upgrade.SourceImage, "2.0.0")
		if fingerprint == "" {
			fingerprint = v.FlyDeploy.Fingerprint
		}
		if v.FlyDeploy.Fingerprint != fingerprint || fingerprint == before[id].Versions.FlyDeploy.Fingerprint {
			t.Errorf("machine %s has the fingerprint %s, the first one %s", id, v.FlyDeploy.Fingerprint, fingerprint)
		}
	}

	w.launch(image, "ams") // the fleet grows: a third machine, whose first boot is like a restart
	for i, id := range w.ids {
		if i < 2 {
			w.restart(id)
		}
		after := w.expectVersion(id, "2.0.0")
		if after.Counters.Sum != 0 || after.Versions.StartedVersion != "1.0.0" || len(after.Versions.Upgrades) != 0 {
			t.Errorf("machine %s has not started afresh from its image: %+v", id, after.Versions)
		}
		w.expectUpgrade(id, after.Versions.FlyDeploy, image, r.Upgrade.SourceImage, "2.0.0")
		if got := after.Versions.FlyDeploy.Fingerprint; got != fingerprint {
			t.Errorf("machine %s has the fingerprint %s after its start, not %s", id, got, fingerprint)
		}
	}

	// A rolling cold deploy: the new machine stands beside the old ones, each with its own code.
	cold := w.push(3)
	w.launch(cold, "fra")
	new := w.ids[3]
	w.restart(w.ids[0])
	w.expectVersion(w.ids[0], "2.0.0")
	w.restart(new)
	after := w.expectVersion(new, "3.0.0")
	w.expectUpgrade(new, after.Versions.FlyDeploy, cold, "", "")
	if log := w.local.Console(new); strings.Contains(log, "[error]") || strings.Contains(log, "reapplied") {
		t.Errorf("the new machine has met an upgrade that is not its own:\n%s", log)
	}
}

func (w *world) imageOf(id string) string {
	w.t.Helper()
	machines, err := w.fleet.Machines(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, m := range machines {
		if m.ID == id {
			return m.Image
		}
	}
	w.t.Fatalf("there is no machine %s", id)
	return ""
}

func (w *world) expectUpgrade(id string, got counter.FlyDeploy, base, hot, version string) {
	w.t.Helper()
	if !engine.SameImage(got.BaseImageRef, base) || got.HotRef != hot || got.Version != version || len(got.Fingerprint) != 12 {
		w.t.Errorf("machine %s says that it runs %+v, want base %s, hot upgrade %q from %q", id, got, base, version, hot)
	}
}

// Machines of a subset restart into their upgrade, the others into the image's code.
func TestASubsetRestartsIntoItsOwnUpgrade(t *testing.T) {
	t.Parallel() // mostly waits for rate limits
	w := newWorld(t, 2)
	s := settings()
	s.Select.Machines = w.ids[:1]
	if _, r := w.deploy(s, 2); r.Outcome != engine.OutcomeSucceeded {
		t.Fatalf("outcome %s: %v", r.Outcome, r.Problem)
	}

	for _, id := range w.ids {
		w.restart(id)
	}

	w.expectVersion(w.ids[0], "2.0.0")
	w.expectVersion(w.ids[1], "1.0.0")
}

// How much longer a boot takes that has an upgrade to apply.
func BenchmarkRestart(b *testing.B) {
	w := newWorld(b, 1)
	boots := func(b *testing.B) {
		var total time.Duration
		for range b.N {
			total += w.restart(w.ids[0])
		}
		b.ReportMetric(float64(total.Milliseconds())/float64(b.N), "ms/boot")
		b.ReportMetric(0, "ns/op") // most of which waits for the rate limit
	}
	b.Run("plain", boots)
	if _, r := w.deploy(settings(), 2); r.Outcome != engine.OutcomeSucceeded {
		b.Fatalf("outcome %s: %v", r.Outcome, r.Problem)
	}
	b.Run("reapply", boots)
}
