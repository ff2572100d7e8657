package deploy_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/deploy"
	"flydeploy/fly"
)

// distant is a way to the local Fly on which every exec travels for a while, half of it to the machine. It notes execs down.
type distant struct {
	travels time.Duration

	mu      sync.Mutex
	spans   []span
	refused int
}

// RoundTrip implements http.RoundTripper.
func (d *distant) RoundTrip(req *http.Request) (*http.Response, error) {
	id, isExec := strings.CutSuffix(req.URL.Path, "/exec")
	if !isExec {
		return http.DefaultTransport.RoundTrip(req)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	_ = req.Body.Close()
	began := time.Now()
	if err := sleep(req.Context(), d.travels/2); err != nil {
		return nil, err
	}
	sent := req.Clone(req.Context())
	sent.Body = io.NopCloser(bytes.NewReader(body))
	res, err := http.DefaultTransport.RoundTrip(sent)
	if err == nil {
		err = sleep(req.Context(), d.travels/2)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil && res.StatusCode == http.StatusTooManyRequests {
		d.refused++
	} else if what := execIn(body); what != "" {
		d.spans = append(d.spans, span{id[strings.LastIndex(id, "/")+1:], what, began, d.travels, time.Since(began)})
	}
	return res, err
}

// Six real nodes behind Fly's limits, 300 ms away. It prints where each second went between the image and the last resume: on a computer
// with six cores to spare the machines' own work is what the waterfall shows as such, on fewer cores they wait for one another.
func TestSixNodesBehindFlysLimits(t *testing.T) {
	if os.Getenv("FLYDEPLOY_SOAK") == "" {
		t.Skip("make soak")
	}
	w := newWorld(t, 6)
	way := &distant{travels: 300 * time.Millisecond}
	client, err := fly.New(fly.Options{App: "counter", Token: w.local.Token(), BaseURL: w.local.APIURL(), Transport: way})
	if err != nil {
		t.Fatal(err)
	}
	ports := w.ports(2)
	ports.Fleet, ports.Leases = client, client
	d := deploy.Start(t.Context(), settings(), ports)
	p := w.watch(d, nil)
	r := d.Result()
	if r.Outcome != engine.OutcomeSucceeded || len(r.Machines) != 6 {
		t.Fatalf("it ended %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
	}
	built := end(p.Fleet[engine.PhaseBuild])
	f := figures{result: r, packed: end(p.Fleet[engine.PhaseUpload]), spans: way.spans}
	for _, m := range r.Machines {
		f.resumed = max(f.resumed, time.UnixMicro(m.ResumedAtUS).Sub(f.packed))
	}
	fmt.Printf("from the image to the last resume: %.1f s; %d execs, %d refused\n", f.packed.Sub(built).Seconds()+f.resumed.Seconds(), len(way.spans), way.refused)
	for _, phase := range engine.FleetPhases {
		if s := p.Fleet[phase]; !s.StartedAt.IsZero() && end(s).After(built) {
			fmt.Printf("%6.2f s  %-12s %5.2f s\n", s.StartedAt.Sub(built).Seconds(), phase, end(s).Sub(s.StartedAt).Seconds())
		}
	}
	fmt.Println(f.waterfall())
	if n := len(way.spans) / 6; way.refused > 0 || n > 20 {
		t.Errorf("%d execs for each machine, %d refused", n, way.refused)
	}
}

func end(s engine.PhaseState) time.Time {
	return s.StartedAt.Add(time.Duration(s.DurationUS) * time.Microsecond)
}
