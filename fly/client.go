// Package fly reaches Fly.io: the Machines API, flyctl's build, fly.toml and tokens.
//
// Types, tokens and the making of requests are fly-go's. Its own HTTP client is not used: it repeats POSTs by itself on
// 502 and 503, an exec or a launch among them, which must never be done blindly.
package fly

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/superfly/fly-go/flaps"
	"github.com/superfly/fly-go/tokens"

	"flydeploy/engine"
)

// Options say which app, and how to get in.
type Options struct {
	App       string
	Token     string // see Token
	BaseURL   string // of the Machines API; "" is FLY_FLAPS_BASE_URL, else https://api.machines.dev
	UserAgent string
}

// Client implements engine.Fleet for one app. It is safe for concurrent use.
type Client struct {
	app       string
	userAgent string
	flaps     *flaps.Client
	http      *http.Client
	limits    *limits

	tokens    *tokens.Tokens
	refreshed time.Time // when the tokens were last looked through
	refresh   sync.Mutex
}

var _ engine.Fleet = (*Client)(nil)

// appName is what Fly accepts as the name of an app.
var appName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

// New prepares a client. It sends nothing yet.
func New(o Options) (*Client, error) {
	if !appName.MatchString(o.App) {
		return nil, engine.NewProblem("app_name", "\""+o.App+"\" is no name of a Fly app", nil,
			"Set app in fly.toml, or give --app.")
	}
	if o.Token == "" {
		return nil, errNoToken()
	}
	c := &Client{app: o.App, userAgent: o.UserAgent, limits: newLimits(), tokens: tokens.Parse(o.Token)}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 32 // a fleet is upgraded at once, over connections that are kept
	c.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // the token goes nowhere else
	}}
	if o.BaseURL != "" {
		base, err := url.Parse(o.BaseURL)
		if err != nil || base.Host == "" {
			return nil, errors.New("the base URL of the Machines API is no address")
		}
		c.http.Transport = at{base, transport}
	}
	var err error
	c.flaps, err = flaps.NewWithOptions(context.Background(), flaps.NewClientOpts{Tokens: c.tokens})
	return c, err
}

// at sends requests to another server: fly-go takes its base URL from the process's environment only.
type at struct {
	base *url.URL
	next http.RoundTripper
}

func (a at) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = a.base.Scheme, a.base.Host
	r.URL.Path = strings.TrimSuffix(a.base.Path, "/") + r.URL.Path
	r.Host = ""
	return a.next.RoundTrip(r)
}

const (
	refreshEvery  = 30 * time.Second
	refreshWithin = 10 * time.Second
)

// refreshTokens fetches new discharges when those that came with a login run out. What it cannot mend stays as it is:
// the API's own answer says more than we could.
func (c *Client) refreshTokens(ctx context.Context) {
	c.refresh.Lock()
	defer c.refresh.Unlock()
	if time.Since(c.refreshed) < refreshEvery || len(c.tokens.GetMacaroonTokens()) == 0 {
		return
	}
	c.refreshed = time.Now()
	ctx, cancel := context.WithTimeout(ctx, refreshWithin)
	defer cancel()
	updated := c.tokens.Copy()
	if _, err := updated.Update(ctx); err == nil && !updated.Empty() {
		c.tokens.Replace(updated)
	}
}
