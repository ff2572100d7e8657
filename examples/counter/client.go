package counter

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Dial opens a connection to the HTTP endpoint of one machine.
type Dial func(ctx context.Context) (net.Conn, error)

// Client asks the endpoint of one machine, each time over a connection of its own.
type Client struct{ dial Dial }

// NewClient makes a client that reaches its machine by dial.
func NewClient(dial Dial) *Client { return &Client{dial: dial} }

// Versions tells which code is loaded.
type Versions struct {
	Version        string            `json:"version"`         // of the loaded code, "2.0.0"
	StartedVersion string            `json:"started_version"` // of the release that booted
	Node           string            `json:"node"`
	OTPRelease     string            `json:"otp_release"`
	Elixir         string            `json:"elixir"`
	Static         string            `json:"static"` // content of priv/static/version.txt, "counter 2.0.0"
	FlyDeploy      FlyDeploy         `json:"fly_deploy"`
	Upgrades       []Upgrade         `json:"upgrades"` // since the application started
	Modules        map[string]Module `json:"modules"`
}

// FlyDeploy is what the package fly_deploy tells: FlyDeploy.current_vsn/0.
type FlyDeploy struct {
	BaseImageRef string `json:"base_image_ref"`
	HotRef       string `json:"hot_ref"` // "" without a hot upgrade
	Version      string `json:"version"` // of the hot upgrade
	Fingerprint  string `json:"fingerprint"`
}

// Upgrade is one message to those who subscribe to hot upgrades.
type Upgrade struct {
	Event     string `json:"event"`
	Version   string `json:"version"`
	Processes int    `json:"processes"`
}

// Module is one loaded module.
type Module struct {
	VSN     string `json:"vsn"`
	MD5     string `json:"md5"`      // hex
	OldCode bool   `json:"old_code"` // the VM holds an old version beside the current one
}

// Counters tells what the counters hold.
type Counters struct {
	Number         int            `json:"number"`
	Sum            int64          `json:"sum"`
	Shapes         map[string]int `json:"shapes"` // how many states have each shape
	SumOfShapes    int64          `json:"sum_of_shapes"`
	CurrentShape   int            `json:"current_shape"`    // of the loaded struct
	InCurrentShape int            `json:"in_current_shape"` // states that have exactly the loaded struct's fields
	PidsChecksum   string         `json:"pids_checksum"`    // SHA-256 over lines "number pid"
	CountsChecksum string         `json:"counts_checksum"`  // SHA-256 over lines "number count"
	Counters       []Counter      `json:"counters"`         // by number; only of AllCounters
}

// Counter is one of them.
type Counter struct {
	Number int    `json:"number"`
	PID    string `json:"pid"`
	Count  int64  `json:"count"`
	Shape  int    `json:"shape"`
}

// Sweep is the answer of a sweep over all counters.
type Sweep struct {
	Counters int   `json:"counters"`
	Total    int64 `json:"total"`
}

// Task is the long-running task: Version is that of the code in which it runs.
type Task struct {
	PID     string `json:"pid"`
	Version int    `json:"version"`
	Ticks   int64  `json:"ticks"`
	Stray   int64  `json:"stray"` // messages that it was not meant to get
}

// Statem is the gen_statem.
type Statem struct {
	PID   string `json:"pid"`
	State string `json:"state"` // open, closed
	Shape int    `json:"shape"`
	Turns int64  `json:"turns"`
}

// Agent is the Agent, which counts finished sweeps.
type Agent struct {
	PID    string `json:"pid"`
	Sweeps int64  `json:"sweeps"`
}

// Events is the gen_event, which counts milestones.
type Events struct {
	PID        string `json:"pid"`
	Shape      int    `json:"shape"`
	Milestones int64  `json:"milestones"`
}

// ETS is the table of requests by endpoint, and the process that owns it.
type ETS struct {
	Owner string           `json:"owner"`
	Hits  map[string]int64 `json:"hits"`
}

// Protocol is the consolidated protocol: which types implement it, and what it makes of a number and of a state.
type Protocol struct {
	Implementations []string `json:"implementations"`
	Integer         string   `json:"integer"`
	State           string   `json:"state"`
}

// Health answers nil once the application runs.
func (c *Client) Health(ctx context.Context) error {
	_, err := ask[struct{}](ctx, c, http.MethodGet, "/health")
	return err
}

// lookEvery is the time between two looks at an application that boots.
const lookEvery = 10 * time.Millisecond

// AwaitHealth waits until the application answers, or until ctx ends.
func (c *Client) AwaitHealth(ctx context.Context) error {
	for {
		err := c.Health(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the application does not answer: %w", err)
		case <-time.After(lookEvery):
		}
	}
}

// Versions tells which code is loaded.
func (c *Client) Versions(ctx context.Context) (Versions, error) {
	return ask[Versions](ctx, c, http.MethodGet, "/versions")
}

// Counters gives the summary of all counters.
func (c *Client) Counters(ctx context.Context) (Counters, error) {
	return ask[Counters](ctx, c, http.MethodGet, "/counters")
}

// AllCounters gives the summary and each counter.
func (c *Client) AllCounters(ctx context.Context) (Counters, error) {
	return ask[Counters](ctx, c, http.MethodGet, "/counters?full=1")
}

// Increment adds one to a counter and gives its new count.
func (c *Client) Increment(ctx context.Context, number int) (int64, error) {
	answer, err := ask[Counter](ctx, c, http.MethodPost, incrementPath(number))
	return answer.Count, err
}

// Sweep calls every counter in turn, spread over about the given time.
func (c *Client) Sweep(ctx context.Context, over time.Duration) (Sweep, error) {
	return ask[Sweep](ctx, c, http.MethodGet, sweepPath(over))
}

// Task asks the long-running task.
func (c *Client) Task(ctx context.Context) (Task, error) {
	return ask[Task](ctx, c, http.MethodGet, "/task")
}

// RestartTask starts the task afresh, in the code that is loaded now.
func (c *Client) RestartTask(ctx context.Context) (Task, error) {
	return ask[Task](ctx, c, http.MethodPost, "/task/restart")
}

// Statem asks the gen_statem.
func (c *Client) Statem(ctx context.Context) (Statem, error) {
	return ask[Statem](ctx, c, http.MethodGet, "/statem")
}

// Turn opens or closes the gen_statem.
func (c *Client) Turn(ctx context.Context) (Statem, error) {
	return ask[Statem](ctx, c, http.MethodPost, "/statem/turn")
}

// Agent asks the Agent.
func (c *Client) Agent(ctx context.Context) (Agent, error) {
	return ask[Agent](ctx, c, http.MethodGet, "/agent")
}

// Events asks the gen_event.
func (c *Client) Events(ctx context.Context) (Events, error) {
	return ask[Events](ctx, c, http.MethodGet, "/events")
}

// ETS reads the table of requests.
func (c *Client) ETS(ctx context.Context) (ETS, error) {
	return ask[ETS](ctx, c, http.MethodGet, "/ets")
}

// Protocol asks the consolidated protocol.
func (c *Client) Protocol(ctx context.Context) (Protocol, error) {
	return ask[Protocol](ctx, c, http.MethodGet, "/protocol")
}

func incrementPath(number int) string { return fmt.Sprintf("/counters/%d/increment", number) }

func sweepPath(over time.Duration) string {
	return fmt.Sprintf("/sweep?over_ms=%d", over.Milliseconds())
}

func ask[T any](ctx context.Context, c *Client, method, path string) (T, error) {
	var answer T
	connection, err := dialConn(ctx, c.dial)
	if err != nil {
		return answer, fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer connection.close()
	body, err := connection.do(ctx, method, path)
	if err == nil {
		err = json.Unmarshal(body, &answer)
	}
	if err != nil {
		return answer, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return answer, nil
}
