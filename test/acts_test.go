package test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
)

// What the console's commands withdraw, freeze and release is in the bucket, once they were agreed to, and the doctor finds it.
func TestTheConsoleWithdrawsFreezesAndReleases(t *testing.T) {
	t.Parallel()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("[]")) }))
	t.Cleanup(api.Close)
	b, env := bucketOf(t, map[string]string{metadataKey: upgraded})
	env = append(env, "FLY_FLAPS_BASE_URL="+api.URL, "FLY_API_BASE_URL="+api.URL)
	p := newPane(t, 100, 30, t.TempDir(), env, append([]string{binary(t)}, ofBucket...)...)
	command := func(words, opens string) {
		p.keys(":")
		p.until("╭─ Commands")
		p.keys("-l", words)
		p.until("▸ +" + words)
		p.keys("Enter")
		p.until(opens)
	}
	agree := func(done string) {
		p.keys("-l", "my-app")
		p.until("Type my-app: my-app")
		p.keys("Tab", "Enter")
		p.until(done)
		p.keys("Enter")
		p.until("no machines")
	}
	p.until("no machines")

	command("withdraw", "message +█")
	p.keys("-l", "it crashes at boot")
	p.keys("Enter")
	p.until("This takes hot upgrade 1.2.4 out of the record of my-app.")
	p.keys("Enter") // the focus is on Cancel
	p.untilIs("no dialog", func(screen string) bool { return !strings.Contains(screen, "╭") })
	if body := b.object(t, metadataKey); body != upgraded {
		t.Errorf("withdrawn before anybody agreed: %s", body)
	}
	command("withdraw", "message +█")
	p.keys("-l", "it crashes at boot")
	p.keys("Enter")
	p.until("Type my-app:")
	agree("withdrawn: hot upgrade 1.2.4")
	if body := b.object(t, metadataKey); !strings.Contains(body, `"hot_upgrade": null`) {
		t.Errorf("not withdrawn: %s", body)
	}

	command("freeze", "▸ why")
	p.keys("-l", "Black Friday")
	p.keys("Down", "BSpace", "BSpace")
	p.keys("-l", "2h")
	p.keys("Enter")
	p.until("everybody from deploying my-app with flydeploy, you included")
	p.keys("Tab", "Enter")
	p.until("deploys are frozen by ")
	p.keys("Enter")
	p.until("! frozen by ")
	var held engine.LockInfo
	if err := json.Unmarshal([]byte(b.object(t, lockKey)), &held); err != nil || held.Freeze != "Black Friday" || held.Lifetime() < 119*time.Minute || held.Lifetime() > 2*time.Hour {
		t.Errorf("%v %+v", err, held)
	}

	command("lock release", "Released, everybody may deploy again")
	agree("ended the freeze of ")
	p.until("no deploy under way")
	if body := b.object(t, lockKey); !strings.Contains(body, `"released":true`) {
		t.Errorf("not released: %s", body)
	}

	command("doctor", "no running release could say where the bucket is")
	p.keys("Escape")
	p.until("runs its image")
	p.keys("q")
	if code, text := p.exited(); code != 0 {
		t.Errorf("exit %d\n%s", code, text)
	}
}
