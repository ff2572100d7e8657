package fly

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"time"

	"flydeploy/engine"
)

// appsQuery asks for a page of the apps that the token may see. Source: fly-go v0.5.0, resource_apps.go, which `fly apps list` uses.
const appsQuery = `query($after: String) { apps(type: "container", first: 200, after: $after) { pageInfo { hasNextPage endCursor }
nodes { name status organization { slug } currentRelease { createdAt } } } }`

const (
	appsTimeout    = 15 * time.Second
	appsMaxElapsed = 20 * time.Second
	maxAppPages    = 25
)

// appsAnswer is a page, or what is wrong with the query.
type appsAnswer struct {
	Data struct {
		Apps struct {
			PageInfo struct {
				HasNextPage bool
				EndCursor   string
			}
			Nodes []struct {
				Name, Status   string
				Organization   struct{ Slug string }
				CurrentRelease *struct{ CreatedAt time.Time }
			}
		}
	}
	Errors []struct{ Message string }
}

// Apps gives the apps that a token may see. o.App does not matter.
func Apps(ctx context.Context, o Options) ([]engine.FlyApp, error) {
	o.App = cmp.Or(o.App, "none")
	c, err := New(o)
	if err != nil {
		return nil, err
	}
	var apps []engine.FlyApp
	after := ""
	for range maxAppPages {
		var answer appsAnswer
		err := c.do(ctx, request{
			op: "list the apps", action: "apps", method: http.MethodPost, api: graphQL, timeout: appsTimeout, maxElapsed: appsMaxElapsed, repeatable: true,
			body: map[string]any{"query": appsQuery, "variables": map[string]any{"after": after}},
		}, &answer)
		if err == nil && len(answer.Errors) > 0 {
			err = engine.NewProblem("apps_refused", "Fly does not list the apps: "+c.redact(strings.TrimSpace(answer.Errors[0].Message)), nil,
				"A token of one app may not: name the app with --app, or run `fly auth login`.")
		}
		if err != nil {
			return nil, err
		}
		page := answer.Data.Apps
		for _, n := range page.Nodes {
			app := engine.FlyApp{Name: n.Name, Org: n.Organization.Slug, Status: strings.ToLower(n.Status)}
			if n.CurrentRelease != nil {
				app.Deployed = n.CurrentRelease.CreatedAt
			}
			apps = append(apps, app)
		}
		if after = page.PageInfo.EndCursor; !page.PageInfo.HasNextPage || after == "" {
			break
		}
	}
	return apps, nil
}
