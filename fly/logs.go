package fly

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"time"

	flyapi "github.com/superfly/fly-go"

	"flydeploy/engine"
)

// defaultPlatformURL is the base of the API that has the logs. Source: fly-go v0.5.0, resource_logs.go, which flyctl reads them by.
const defaultPlatformURL = "https://api.fly.io"

const (
	logsTimeout    = 10 * time.Second
	logsMaxElapsed = 15 * time.Second
)

var _ engine.Logs = (*Client)(nil)

// Lines implements engine.Logs. The endpoint is the one of `fly logs`; Fly's documentation calls it undocumented but mostly stable
// (Logs API options for programmatic access).
func (c *Client) Lines(ctx context.Context, machine, from string) ([]engine.MachineLine, string, error) {
	query := url.Values{"next_token": {from}}
	if machine != "" {
		query.Set("instance", machine)
	}
	var answer struct {
		Data []struct{ Attributes flyapi.LogEntry }
		Meta struct {
			NextToken string `json:"next_token"`
		}
	}
	err := c.do(ctx, request{
		op: "read the logs of " + c.app, action: "logs", method: http.MethodGet, path: "/logs?" + query.Encode(), api: platformAPI,
		timeout: logsTimeout, maxElapsed: logsMaxElapsed, repeatable: true,
	}, &answer)
	if err != nil {
		return nil, from, err
	}
	lines := make([]engine.MachineLine, 0, len(answer.Data))
	for _, entry := range answer.Data {
		lines = append(lines, machineLine(entry.Attributes))
	}
	return lines, cmp.Or(answer.Meta.NextToken, from), nil
}

func machineLine(e flyapi.LogEntry) engine.MachineLine {
	at, _ := time.Parse(time.RFC3339, e.Timestamp) // zero where there is none
	return engine.MachineLine{
		At: at, Machine: cmp.Or(e.Instance, e.Meta.Instance), Region: cmp.Or(e.Region, e.Meta.Region), Level: e.Level, Text: e.Message,
	}
}
