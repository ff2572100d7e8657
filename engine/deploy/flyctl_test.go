package deploy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/deploy"
	"flydeploy/fly/local"
)

// flyctlVariable names a flyctl, of whatever version, that is tried by hand: it is no part of this repository.
const flyctlVariable = "FLYDEPLOY_FLYCTL"

// flyctl is one that deploys to the local Fly.
type flyctl struct {
	t       *testing.T
	program string
	dir     string
	env     []string
}

func (w *world) flyctl(t *testing.T, program string) *flyctl {
	t.Helper()
	web := httptest.NewServer(flyWeb{w})
	t.Cleanup(web.Close)
	f := &flyctl{t: t, program: program, dir: t.TempDir()}
	f.env = append(os.Environ(), "HOME="+f.dir, "FLY_FLAPS_BASE_URL="+w.local.APIURL(), "FLY_API_BASE_URL="+web.URL, "FLY_UIEX_BASE_URL="+web.URL, "FLY_API_TOKEN="+w.local.Token(),
		"FLY_NO_UPDATE_CHECK=1", "FLY_SEND_METRICS=0", "DO_NOT_TRACK=1", "NO_COLOR=1")
	toml := fmt.Sprintf("app = \"counter\"\nprimary_region = \"ams\"\nkill_signal = \"SIGTERM\"\n[env]\nPORT = \"8080\"\nCOUNTERS = \"%d\"\n[[services]]\ninternal_port = 8080\nprotocol = \"tcp\"\n", counters)
	if err := os.WriteFile(filepath.Join(f.dir, "fly.toml"), []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

// deploy is `fly deploy` of an image: to all machines, or to some.
func (f *flyctl) deploy(ctx context.Context, image string, machines ...string) error {
	args := []string{"deploy", "--image", image, "--yes", "--ha=false", "--update-only", "--smoke-checks=false", "--dns-checks=false", "--strategy", "rolling"}
	if len(machines) > 0 {
		args = append(args, "--only-machines", strings.Join(machines, ","))
	}
	cmd := exec.CommandContext(ctx, f.program, args...)
	cmd.Dir, cmd.Env = f.dir, f.env
	out, err := cmd.CombinedOutput()
	f.t.Logf("flyctl %s\n%s", strings.Join(args, " "), out)
	return err
}

// flyWeb answers what flyctl asks of Fly's other services: GraphQL and the web API. Facts: flyctl, internal/uiex, and fly-go's queries.
type flyWeb struct{ w *world }

func (h flyWeb) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	org := map[string]any{"id": "o", "internal_numeric_id": 1, "internalNumericId": "1", "slug": "personal", "raw_slug": "personal", "rawSlug": "personal", "name": "personal", "type": "PERSONAL", "paidPlan": true}
	app := map[string]any{"id": "counter", "internalNumericId": 1, "name": "counter", "status": "deployed", "deployed": true, "hostname": "counter.fly.dev", "platformVersion": "machines", "network": "default", "organization": org}
	var answer any
	switch path := r.URL.Path; {
	case strings.HasPrefix(path, "/api/v1/organizations/"):
		answer = map[string]any{"organization": org}
	case strings.HasPrefix(path, "/api/v1/releases"):
		answer = map[string]any{"id": "r1", "version": 2, "status": "running"}
	case path == "/graphql":
		var query struct{ Variables struct{ ImageRef string } }
		_ = json.NewDecoder(r.Body).Decode(&query)
		if ref := query.Variables.ImageRef; ref != "" {
			app["image"] = map[string]any{"id": "img_1", "ref": ref, "digest": "sha256:" + strings.Repeat("0", 64), "compressedSize": "1000"}
		}
		answer = map[string]any{"data": map[string]any{"app": app, "appcompact": app, "appbasic": app, "viewer": map[string]any{"id": "u", "email": "a@b"}}}
	default:
		answer = map[string]any{"id": 1}
	}
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(answer)
}

// `fly deploy`, by flyctl itself, in the middle of a hot deploy: what becomes of that, and of the machines. TestUpdatedInPlaceAtEachStep
// has every step, without flyctl.
func TestFlyctlDeploysInTheMiddle(t *testing.T) {
	program := os.Getenv(flyctlVariable)
	if program == "" {
		t.Skip("by hand: " + flyctlVariable + " names a flyctl")
	}
	w := newWorldOn(t, local.Options{NoRateLimits: true}, 2)
	f := w.flyctl(t, program)
	for _, c := range []struct {
		at      string
		outcome engine.Outcome
		says    string
		other   engine.MachineOutcome // of the machine that is not replaced
	}{
		{"planned", engine.OutcomeBlocked, "other_image on machine ", engine.OutcomeAborted},
		{"before_commit", engine.OutcomePartial, "was replaced after the plan: it runs image ", engine.OutcomeCommitted},
		{"watch", engine.OutcomePartial, "was replaced after the plan: it runs image ", engine.OutcomeCommitted},
		{"after_commit", engine.OutcomeSucceeded, "", engine.OutcomeCommitted},
	} {
		t.Run(c.at, func(t *testing.T) {
			f.t, w.t = t, t
			if err := f.deploy(t.Context(), w.push(1)); err != nil {
				t.Fatal(err)
			}
			for _, id := range w.ids {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				err := w.client(id).AwaitHealth(ctx)
				cancel()
				if err != nil {
					t.Fatalf("%v\n%s", err, w.local.Console(id))
				}
			}
			s := settings()
			s.Strategy = engine.Strategy{Kind: engine.StrategyCanary, Bake: 3 * time.Second}
			if c.at == "watch" {
				s.Strategy.Bake = 40 * time.Second
			}
			other, cold := w.push(1), make(chan error, 1)
			var id string // that the cold deploy replaces
			interfere := func(ctx context.Context, machine string) {
				id = machine
				cold <- f.deploy(ctx, other, machine)
			}
			ports := w.ports(2)
			ports.Hooks = &hooks{run: func(ctx context.Context, m engine.Moment) error {
				if string(m) == c.at {
					interfere(ctx, w.ids[1])
				}
				return nil
			}}
			d, begun := deploy.Start(t.Context(), s, ports), false
			p := w.watch(d, func(p *engine.Progress) {
				for i, id := range w.ids {
					if m := p.Machine(id); c.at == "watch" && !begun && m != nil && m.Phases[engine.PhaseWatch].Status == engine.StatusRunning {
						begun = true
						go interfere(t.Context(), w.ids[1-i])
					}
				}
			})
			if err := <-cold; err != nil {
				t.Errorf("fly deploy: %v", err)
			}
			r := d.Result()
			said := ""
			if r.Problem != nil {
				said = r.Problem.Error()
			}
			t.Logf("flydeploy: %s (%s): %s", r.Outcome, outcomes(r), said)
			if r.Outcome != c.outcome || !strings.Contains(said, c.says) || machineOf(r, w.other(id)).Outcome != c.other {
				t.Errorf("want %s, %s and %q\n%s", c.outcome, c.other, c.says, logOf(p))
			}
			if err := w.client(id).AwaitHealth(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := w.snapshot(id).Versions.FlyDeploy; !engine.SameImage(got.BaseImageRef, other) || got.HotRef != "" {
				t.Errorf("the machine that was deployed cold runs %+v, want its image %s", got, other)
			}
			if left := w.temporaryMachines(); len(left) > 0 {
				t.Errorf("temporary machines are left: %v", left)
			}
		})
	}
}

// other gives the machine of two that is not this one.
func (w *world) other(id string) string {
	if id == w.ids[0] {
		return w.ids[1]
	}
	return w.ids[0]
}
