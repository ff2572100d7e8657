package fly_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/fly"
	"flydeploy/fly/local"
)

// While a lease is ours nobody else changes the machine, a `fly deploy` neither, and everybody sees whose it is.
func TestALeaseOnTheLocalFly(t *testing.T) {
	t.Parallel()
	onLocalFly(t, func(t *testing.T, f *local.Fly, c *fly.Client) {
		id, look := launchOne(t, f, c, pushRelease(t, f, "main"))
		update := func(nonce string) int {
			t.Helper()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.APIURL()+"/v1/apps/counter/machines/"+id+"/stop", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+f.Token())
			if nonce != "" {
				r.Header.Set("fly-machine-lease-nonce", nonce)
			}
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			return answer.StatusCode
		}

		nonce, err := c.TakeLease(t.Context(), id, "flydeploy 01K93Q", 20*time.Minute)
		if err != nil || nonce == "" {
			t.Fatalf("%q, %v", nonce, err)
		}
		first := look().Lease
		if first.Description != "flydeploy 01K93Q" || !first.Held() || update("") != http.StatusConflict {
			t.Errorf("the lease is shown as %+v", first)
		}
		other := localClient(t, f, f.Token())
		_, err = other.TakeLease(t.Context(), id, "flydeploy 01K94R", time.Minute)
		wantProblem(t, err, "leased")
		if !errors.Is(err, engine.ErrLeased) {
			t.Errorf("a second lease: %v", err)
		}
		if _, err := other.RenewLease(t.Context(), id, "0123", "", time.Minute); !errors.Is(err, engine.ErrLeased) {
			t.Errorf("another's lease is renewed: %v", err)
		}
		if valid, err := c.RenewLease(t.Context(), id, nonce, first.Description, 40*time.Minute); err != nil || valid != nonce || !look().Lease.Until.After(first.Until) || look().Lease.Description != first.Description {
			t.Errorf("renewed: %+v, %v", look().Lease, err)
		}
		if _, err := localClient(t, f, f.ExecToken()).TakeLease(t.Context(), id, "", time.Minute); !errors.Is(err, engine.ErrForbidden) {
			t.Errorf("with a token that may only run commands: %v", err)
		}
		if out, err := other.Exec(t.Context(), id, []string{"/bin/echo", "there"}, "", 5*time.Second); err != nil || out.Stdout != "there\n" {
			t.Errorf("a command under the lease: %+v, %v", out, err)
		}
		if err := c.ReleaseLease(t.Context(), id, nonce); err != nil {
			t.Error(err)
		}
		// To the nonce of one that has ended a new lease is granted, with a nonce of its own.
		fresh, err := c.RenewLease(t.Context(), id, nonce, first.Description, time.Minute)
		if err != nil || fresh == nonce || look().Lease.Description != first.Description {
			t.Errorf("renewed after its end: %+v, %v", look().Lease, err)
		}
		nonce = fresh
		for range 2 {
			if err := c.ReleaseLease(t.Context(), id, nonce); err != nil || look().Lease.Held() {
				t.Errorf("released: %+v, %v", look().Lease, err)
			}
		}
		if status := update(""); status != http.StatusOK {
			t.Errorf("after the release: %d", status)
		}
	})
}

// Fly's own library and the API's description have two forms of the answer.
func TestAnswersToALease(t *testing.T) {
	t.Parallel()
	for body, nonce := range map[string]string{
		`{"status":"success","data":{"nonce":"n1","expires_at":1}}`: "n1",
		`{"nonce":"n2","expires_at":1}`:                             "n2",
		`{}`:                                                        "",
	} {
		c := serve(t, map[string]http.HandlerFunc{"POST /m1/lease": func(w http.ResponseWriter, r *http.Request) {
			sent := decode[map[string]any](t, r)
			if r.URL.Query().Get("ttl") != "30" || sent["ttl"] != 30.0 || sent["description"] != "flydeploy 01K" {
				t.Errorf("asked for %s with %v", r.URL, sent)
			}
			reply(http.StatusCreated, body)(w, r)
		}})
		got, err := c.TakeLease(t.Context(), "m1", "flydeploy 01K", 30*time.Second)
		if got != nonce || (err == nil) != (nonce != "") {
			t.Errorf("%s gives %q, %v", body, got, err)
		}
	}
}

// A renewal says what the lease is for, and gives the nonce that the answer names.
func TestARenewalOfALease(t *testing.T) {
	t.Parallel()
	for body, valid := range map[string]string{`{"status":"success","data":{"nonce":"n2"}}`: "n2", `{"status":"success","data":{}}`: "n1"} {
		c := serve(t, map[string]http.HandlerFunc{"POST /m1/lease": func(w http.ResponseWriter, r *http.Request) {
			if sent := decode[map[string]any](t, r); sent["description"] != "flydeploy 01K" || r.Header.Get("fly-machine-lease-nonce") != "n1" {
				t.Errorf("asked with %v, %v", sent, r.Header)
			}
			reply(http.StatusCreated, body)(w, r)
		}})
		if got, err := c.RenewLease(t.Context(), "m1", "n1", "flydeploy 01K", 30*time.Second); got != valid || err != nil {
			t.Errorf("%s gives %q, %v", body, got, err)
		}
	}
	ended := serve(t, map[string]http.HandlerFunc{"POST /m1/lease": reply(http.StatusNotFound, `{"error":"lease not found"}`)})
	if _, err := ended.RenewLease(t.Context(), "m1", "n1", "", 30*time.Second); !errors.Is(err, engine.ErrNoLease) {
		t.Errorf("one that has ended: %v", err)
	}
}

// A lease that was perhaps granted is not asked for again: the second answer would say that somebody has it.
func TestALeaseIsAskedForOnce(t *testing.T) {
	t.Parallel()
	broken, n := inTurn(cut)
	c := serve(t, map[string]http.HandlerFunc{"POST /m1/lease": broken})
	if _, err := c.TakeLease(t.Context(), "m1", "", time.Minute); !errors.Is(err, engine.ErrUnknownOutcome) || n.total() != 1 {
		t.Errorf("asked %d times: %v", n.total(), err)
	}
	expired := serve(t, map[string]http.HandlerFunc{"DELETE /m1/lease": reply(http.StatusNotFound, `{"error":"lease not found"}`)})
	if err := expired.ReleaseLease(t.Context(), "m1", "n"); err != nil {
		t.Errorf("one that has expired: %v", err)
	}
}

// Under our own lease an exec shows that it is ours, with the newest nonce; without one it shows none.
func TestAnExecShowsOurLease(t *testing.T) {
	t.Parallel()
	leases, _ := inTurn(reply(http.StatusCreated, `{"data":{"nonce":"n1"}}`), reply(http.StatusCreated, `{"data":{"nonce":"n2"}}`))
	shown := ""
	c := serve(t, map[string]http.HandlerFunc{
		"POST /m1/lease":   leases,
		"DELETE /m1/lease": reply(http.StatusOK, `{}`),
		"POST /m1/exec": func(w http.ResponseWriter, r *http.Request) {
			shown += "[" + r.Header.Get("fly-machine-lease-nonce") + "]"
			reply(http.StatusOK, `{"exit_code":0}`)(w, r)
		},
	})
	for _, step := range []func() error{
		func() error { return nil },
		func() error { _, err := c.TakeLease(t.Context(), "m1", "", time.Minute); return err },
		func() error { _, err := c.RenewLease(t.Context(), "m1", "n1", "", time.Minute); return err },
		func() error { return c.ReleaseLease(t.Context(), "m1", "n2") },
	} {
		err := step()
		if err == nil {
			_, err = c.Exec(t.Context(), "m1", []string{"true"}, "", time.Second)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if shown != "[][n1][n2][]" {
		t.Errorf("shown: %s", shown)
	}
}
