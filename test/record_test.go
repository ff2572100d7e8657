package test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
)

// seeRecord: Ann deploys; her colleagues look at the record, meet a lock that fly_deploy left, wait, release, and take the upgrade
// back out. s3cmd reads and writes as the seed describes the bucket. Gives the deploy's id.
func (o *operated) seeRecord(t *testing.T, do func(want int, args ...string) string) (deploy string) {
	t.Helper()
	contains := func(text string, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(text, part) {
				t.Errorf("no %q in\n%s", part, text)
			}
		}
	}
	contains(do(0, "history"), "no deploy is recorded")
	stream := do(0, "hot", "--yes", "--skip-build", "--image", o.image, "--accept", "slow_rollback", "--output", "json", "--message", "faster counters")
	expectSeedPhases(t, stream)
	var past engine.Past
	if err := json.Unmarshal([]byte(do(0, "history", "--output", "json")), &past); err != nil {
		t.Fatal(err)
	}
	if past.Owner != "ann" || past.Message != "faster counters" || past.CILink != "https://ci.example.com/acme/counter/actions/runs/7" ||
		past.Host == "" || past.Upgraded != 1 || past.Outcome != engine.OutcomeSucceeded {
		t.Errorf("past: %+v", past)
	}
	contains(do(0, "history"), past.ID, "succeeded", "2.0.0", "1/1", "ann", "faster counters")

	file := filepath.Join(t.TempDir(), "deploy.ndjson")
	if err := os.WriteFile(file, []byte(stream), 0o600); err != nil {
		t.Fatal(err)
	}
	byFile, byID := do(0, "replay", "--speed", "0", file), do(0, "replay", "--speed", "0", past.ID)
	contains(byFile, "fleet Unlock done", "succeeded, 1 of 1 machine")
	contains(byID, "fleet Unlock done", "succeeded, 1 of 1 machine")
	contains(do(0, "watch", past.ID), "succeeded, 1 of 1 machine")
	contains(do(1, "watch"), "nobody is deploying")

	var overview engine.Overview
	if err := json.Unmarshal([]byte(do(0, "status", "--output", "json")), &overview); err != nil {
		t.Fatal(err)
	}
	for _, m := range overview.Machines {
		if c := overview.Code[m.ID]; !c.Applied || c.Stale || c.Drift != 0 || c.Hook != engine.HookCalled || c.Version != "2.0.0" || c.Problem != nil {
			t.Errorf("machine %s: %+v", m.ID, c)
		}
	}
	if out := do(0, "status"); strings.Count(out, "applied") != 1 || strings.Count(out, "  called  ") != 1 || strings.Count(out, "2.0.0") < 2 || !strings.Contains(out, "deploy lock: free") || !strings.Contains(out, "last deploy: succeeded, well, 2.0.0, ") {
		t.Errorf("status:\n%s", out)
	}

	o.readWithS3cmd(t)
	o.meetALock(t, past.ID, do, contains)

	result := o.object(t, fmt.Sprintf("releases/counter-results/%s/%s.json", past.ID, overview.Machines[0].ID))
	contains(result, `"machine_id": "`+overview.Machines[0].ID, `"status": "completed"`, `"success": true`, `"modules_reloaded"`, `"suspend_duration_ms"`)

	contains(do(2, "withdraw"), "--yes") // nobody can confirm it
	contains(do(0, "withdraw", "--yes", "--message", "it crashes at boot"), "withdrawn: hot upgrade 2.0.0")
	contains(do(0, "history"), "withdrawn", "it crashes at boot")
	contains(do(1, "withdraw", "--yes"), "names no upgrade")
	contains(o.object(t, "releases/counter-current.json"), `"hot_upgrade": null`, `"image_ref"`)
	contains(do(0, "status", "--quick"), "hot upgrade: none")
	contains(do(1, "withdraw"), "names no upgrade") // and nobody is asked
	return past.ID
}

// meetALock: fly_deploy holds the lock. Its clock is a day off, which must not matter.
func (o *operated) meetALock(t *testing.T, last string, do func(int, ...string) string, contains func(string, ...string)) {
	t.Helper()
	at := time.Now().Add(-24 * time.Hour).UTC()
	left := filepath.Join(t.TempDir(), "deploy.lock")
	body := fmt.Sprintf(`{"locked_by":"bob@desk","locked_at":%q,"expires_at":%q,"deployment_id":"registry.fly.io/counter:deployment-01K"}`,
		at.Format(time.RFC3339Nano), at.Add(5*time.Minute).Format(time.RFC3339Nano))
	if err := os.WriteFile(left, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	key := "s3://" + o.fly.S3().Bucket + "/releases/counter-deploy.lock"
	o.s3cmd(t, "put", left, key)

	hot := []string{"hot", "--yes", "--accept", "slow_rollback", "--to", last}
	contains(do(4, hot...), "bob@desk", "01K", "--force")
	contains(do(4, append(hot, "--lock-wait", "2s")...), "bob@desk")
	contains(do(0, "lock", "show"), "bob@desk", "expires  in 4m")
	contains(do(4, "withdraw", "--yes"), "bob@desk")
	contains(do(0, "status", "--quick"), "bob@desk")
	contains(do(2, "lock", "release"), "--yes")
	contains(do(0, "lock", "release", "--yes"), "released the lock of bob@desk")
	contains(do(0, "lock", "show"), "free")
	contains(o.object(t, "releases/counter-deploy.lock"), `"released":true`, `"released_by":"ann"`, `"locked_by":"bob@desk"`)

	o.s3cmd(t, "put", left, key)
	out := do(0, append(hot, "--force")...)
	contains(out, "override: ann took it from bob@desk", "] ", "succeeded")
	if strings.Contains(out, "\x1b") {
		t.Errorf("plain output:\n%q", out)
	}
	contains(o.object(t, "releases/counter-deploy.lock"), `"locked_by":"ann"`, `"overrode":{"locked_by":"bob@desk"`)
}

// object reads an object with s3cmd.
func (o *operated) object(t *testing.T, key string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "object")
	o.s3cmd(t, "get", "s3://"+o.fly.S3().Bucket+"/"+key, file)
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
