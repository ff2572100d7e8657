package deploy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/agent/agenttest"
	"flydeploy/fly"
)

// The limits of the stand-in. Fly's documentation has those for each (action, machine); for a whole client it names none.
const (
	perMachine  = 1 // requests a second, burst 3
	perClient   = 1000
	clientBurst = 1000
	listTakes   = 150 * time.Millisecond
)

// cloud is a Machines API before the agents of a world: the real client talks to it, without a network. It refuses what is over
// Fly's limits, takes the time that Fly takes, and has machines that are slow, fall silent, or die.
type cloud struct {
	world *agenttest.World
	fleet *agenttest.Fleet

	mu      sync.Mutex
	random  *rand.Rand
	buckets map[string]*rate.Limiter
	all     *rate.Limiter
	execs   map[string]int // by machine
	fates   map[string]fate
	counted traffic
	median  time.Duration // of an exec
	spans   []span        // of the execs, as they began
}

// span is one exec.
type span struct {
	machine, what string
	from          time.Time
	travels, took time.Duration // of which it travels
}

// fate is what is wrong with a machine.
type fate struct {
	slow   bool
	silent int // from which exec on it answers none; 0: never
	dies   int // before which exec its VM restarts; 0: never
}

// traffic is what went over the wire.
type traffic struct {
	requests, execs, refused int // refused with 429; they are not among the requests
	bytes                    int64
	byAction                 map[string]int
	busiest                  int // execs of the machine with most
}

func newCloud(w *agenttest.World) *cloud {
	return &cloud{
		world: w, fleet: w.Fleet, random: rand.New(rand.NewPCG(1, 2)), buckets: map[string]*rate.Limiter{}, all: rate.NewLimiter(perClient, clientBurst),
		execs: map[string]int{}, fates: map[string]fate{}, counted: traffic{byAction: map[string]int{}}, median: 400 * time.Millisecond,
	}
}

// seed has fates and latencies be drawn otherwise.
func (c *cloud) seed(n int) { c.random = rand.New(rand.NewPCG(uint64(n), 2)) }

// trouble gives machines their fates: 1 % are slow, 0.5 % fall silent, 0.5 % die, at a random exec. The first machine is well: a deploy
// that cannot connect is no deploy.
func (c *cloud) trouble(machines int) {
	order := slices.DeleteFunc(c.random.Perm(machines), func(i int) bool { return i == 0 })
	share := func(of float64) (ids []string) {
		n := int(math.Round(float64(machines) * of))
		for _, i := range order[:n] {
			ids = append(ids, fmt.Sprintf("m%02d", i))
		}
		order = order[n:]
		return ids
	}
	for _, id := range share(0.01) {
		c.fates[id] = fate{slow: true}
	}
	for _, id := range share(0.005) {
		c.fates[id] = fate{silent: 2 + c.random.IntN(10)}
	}
	for _, id := range share(0.005) {
		c.fates[id] = fate{dies: 2 + c.random.IntN(10)}
	}
}

// latency draws how long an exec takes: half of them 400 ms or less, one in a hundred more than a second.
func (c *cloud) latency(slow bool) time.Duration {
	d := time.Duration(math.Exp(0.4*c.random.NormFloat64()) * float64(c.median))
	if slow {
		d *= 8
	}
	return d
}

// RoundTrip implements http.RoundTripper.
func (c *cloud) RoundTrip(req *http.Request) (*http.Response, error) {
	body := []byte{}
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
		_ = req.Body.Close()
	}
	ctx := req.Context()
	_, path, _ := strings.Cut(req.URL.Path, "/machines")
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/") // machine, action
	id, action := parts[0], "list"
	if len(parts) > 1 {
		action = parts[1]
	}
	takes, f, allowed := c.admit(action, id)
	if !allowed {
		return c.reply(req, http.StatusTooManyRequests, map[string]string{"error": "rate limit exceeded"}, len(body))
	}
	switch {
	case f.silent > 0:
		<-ctx.Done()
		return nil, ctx.Err()
	case f.dies > 0:
		c.world.Restart(id, agenttest.Boot{Found: 2 * time.Second, Answers: 4 * time.Second})
	}
	began := time.Now()
	if err := sleep(ctx, takes/2); err != nil {
		return nil, err
	}
	status, answer := c.carryOut(ctx, req.Method, action, id, body)
	if err := sleep(ctx, takes-takes/2); err != nil {
		return nil, err
	}
	c.span(action, id, body, began, takes)
	return c.reply(req, status, answer, len(body))
}

// span notes an exec down that has ended.
func (c *cloud) span(action, id string, body []byte, began time.Time, travels time.Duration) {
	if action != "exec" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spans = append(c.spans, span{id, execIn(body), began, travels, time.Since(began)})
}

// execIn gives the script of an exec's body, or of a call to an agent its command.
func execIn(body []byte) string {
	var in struct {
		Command []string `json:"command"`
	}
	_ = json.Unmarshal(body, &in)
	script, args, _ := agent.ScriptOf(in.Command)
	if script == agent.ScriptCall {
		return args[1]
	}
	return string(script)
}

// admit counts a request, and says how long it takes and what befalls it now.
func (c *cloud) admit(action, id string) (takes time.Duration, now fate, allowed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	bucket := c.buckets[action+id]
	if bucket == nil {
		bucket = rate.NewLimiter(perMachine, 3)
		c.buckets[action+id] = bucket
	}
	if !c.all.Allow() || !bucket.Allow() {
		c.counted.refused++
		return 0, now, false
	}
	c.counted.requests++
	c.counted.byAction[action]++
	if action != "exec" {
		return listTakes, now, true
	}
	c.counted.execs++
	c.execs[id]++
	c.counted.busiest = max(c.counted.busiest, c.execs[id])
	f := c.fates[id]
	if f.silent > 0 && c.execs[id] >= f.silent {
		now.silent = f.silent
	}
	if c.execs[id] == f.dies {
		now.dies = f.dies
	}
	return c.latency(f.slow), now, true
}

// requests counts those that were answered so far.
func (c *cloud) requests() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counted.requests
}

func (c *cloud) reply(req *http.Request, status int, answer any, sent int) (*http.Response, error) {
	body, _ := json.Marshal(answer)
	c.mu.Lock()
	c.counted.bytes += int64(sent + len(body))
	c.mu.Unlock()
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)), Request: req, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

// carryOut has the world do what a request asks for.
func (c *cloud) carryOut(ctx context.Context, method, action, id string, body []byte) (status int, answer any) {
	var in struct {
		Command     []string `json:"command"`
		Stdin       string   `json:"stdin"`
		Timeout     int      `json:"timeout"`
		TTL         int      `json:"ttl"`
		Description string   `json:"description"`
	}
	_ = json.Unmarshal(body, &in)
	var err error
	switch action {
	case "list":
		var machines []engine.Machine
		if machines, err = c.fleet.Machines(ctx); err == nil {
			return http.StatusOK, wired(machines)
		}
	case "exec":
		var out engine.Output
		if out, err = c.fleet.Exec(ctx, id, in.Command, in.Stdin, time.Duration(in.Timeout)*time.Second); err == nil {
			return http.StatusOK, map[string]any{"stdout": out.Stdout, "stderr": out.Stderr, "exit_code": out.ExitCode}
		}
	case "lease":
		return c.lease(ctx, method, id, in.Description, time.Duration(in.TTL)*time.Second)
	}
	switch {
	case err == nil, strings.Contains(err.Error(), "404 "):
		return http.StatusNotFound, map[string]string{"error": "not found"}
	case strings.Contains(err.Error(), "412 "):
		return http.StatusPreconditionFailed, map[string]string{"error": err.Error()}
	}
	return http.StatusInternalServerError, map[string]string{"error": err.Error()}
}

func (c *cloud) lease(ctx context.Context, method, id, description string, ttl time.Duration) (int, any) {
	if method == http.MethodDelete {
		return http.StatusOK, map[string]string{}
	}
	nonce, err := c.fleet.TakeLease(ctx, id, description, ttl)
	if err != nil { // ours, which is renewed
		nonce = "renewed"
	}
	return http.StatusOK, map[string]any{"status": "success", "data": map[string]string{"nonce": nonce}}
}

// wired gives machines in Fly's words.
func wired(machines []engine.Machine) []any {
	var all []any
	for _, m := range machines {
		_, repository, _ := strings.Cut(m.Image, "/")
		repository, tag, _ := strings.Cut(repository, ":")
		metadata := map[string]string{"fly_process_group": m.ProcessGroup, "fly_platform_version": "v2"}
		if m.Temporary != "" {
			metadata["flydeploy_upgrade"] = m.Temporary
		}
		if m.UnderLock {
			metadata["flydeploy_under_lock"] = "true"
		}
		all = append(all, map[string]any{
			"id": m.ID, "name": m.Name, "state": m.State, "region": m.Region, "instance_id": m.InstanceID, "host_status": m.HostStatus,
			"image_ref":  map[string]string{"registry": "registry.fly.io", "repository": repository, "tag": tag},
			"updated_at": m.UpdatedAt.UTC().Format(time.RFC3339),
			"config": map[string]any{
				"image": m.Image, "metadata": metadata, "guest": map[string]any{"cpu_kind": "shared", "cpus": 1, "memory_mb": 512},
				"env": map[string]string{"SETTINGS": strings.Repeat("x", 200)},
			},
			"events": []any{map[string]any{"type": "start", "status": "started", "timestamp": 1}},
		})
	}
	return slices.Clip(all)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// client gives the fleet as the real client of the Machines API sees it. Temporary machines come from the world.
func (c *cloud) client() *limited {
	client, err := fly.New(fly.Options{App: agenttest.App, Token: "FlyV1 fm2_x", BaseURL: "http://api.test", Transport: c})
	if err != nil {
		panic(err)
	}
	return &limited{Client: client, world: c.fleet}
}

type limited struct {
	*fly.Client
	world *agenttest.Fleet
}

func (l *limited) CreateTemporary(ctx context.Context, spec engine.TemporaryMachine) (engine.Machine, error) {
	return l.world.CreateTemporary(ctx, spec)
}

func (l *limited) Destroy(ctx context.Context, id string) error { return l.world.Destroy(ctx, id) }

func (l *limited) MayCreate(ctx context.Context) error { return l.world.MayCreate(ctx) }

// Exec on a temporary machine is the world's: what it takes is not the fleet's.
func (l *limited) Exec(ctx context.Context, id string, command []string, stdin string, timeout time.Duration) (engine.Output, error) {
	if strings.HasPrefix(id, "temp") {
		return l.world.Exec(ctx, id, command, stdin, timeout)
	}
	return l.Client.Exec(ctx, id, command, stdin, timeout)
}
