// Package fly talks to Fly.io: the Machines API, builds with flyctl, fly.toml and tokens.
//
// The types of the wire format and the tokens are fly-go's. Its HTTP client is not used: it repeats POSTs by itself on 502
// and 503, an exec or a launch among them, which may have been carried out.
package fly

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/superfly/fly-go/tokens"

	"flydeploy/engine"
)

// Options name the app and the credentials.
type Options struct {
	App     string
	Token   string // see Token
	BaseURL string // of the Machines API; "" stands for FLY_FLAPS_BASE_URL, or else https://api.machines.dev
	// PlatformURL is that of the API that has the logs and the apps; "" stands for FLY_API_BASE_URL, or else https://api.fly.io.
	PlatformURL string
	UserAgent   string
	Container   string // that runs the release, on machines with several; "" if there is one at most
	// Transport carries the requests; nil stands for a copy of http.DefaultTransport.
	Transport http.RoundTripper
}

// defaultBaseURL is that of the Machines API. Source: Fly's documentation of the Machines API.
const defaultBaseURL = "https://api.machines.dev"

// Client implements engine.Fleet for one app. It is safe for concurrent use.
type Client struct {
	app       string
	userAgent string
	base      string // the URL of the app's machines, without a slash at the end
	platform  string // the URL of the API that has the logs and the apps
	http      *http.Client
	limits    *limits
	made      made

	containers containers
	listing    listing
	held       sync.Map // nonces of the leases that we hold, by machine

	tokens     *tokens.Tokens
	refreshing chan struct{} // holds one element while a request checks the tokens
	refreshed  time.Time     // when they were last checked, guarded by refreshing
}

var _ engine.Fleet = (*Client)(nil)

// appName matches the names that Fly accepts for apps.
var appName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

// New prepares a client. It does not send anything.
func New(o Options) (*Client, error) {
	if !appName.MatchString(o.App) {
		return nil, engine.NewProblem("app_name", fmt.Sprintf("%q is not a valid name for a Fly app", o.App), nil,
			"Set app in fly.toml, or give --app.")
	}
	if o.Token == "" {
		return nil, errNoToken()
	}
	base, err := parseBaseURL(cmp.Or(o.BaseURL, os.Getenv("FLY_FLAPS_BASE_URL"), defaultBaseURL), "FLY_FLAPS_BASE_URL")
	if err != nil {
		return nil, err
	}
	platform, err := parseBaseURL(cmp.Or(o.PlatformURL, os.Getenv("FLY_API_BASE_URL"), defaultPlatformURL), "FLY_API_BASE_URL")
	if err != nil {
		return nil, err
	}
	cookies, err := cookiejar.New(nil)
	if err != nil {
		return nil, err // never, without options
	}
	return &Client{
		app: o.App, userAgent: o.UserAgent, base: base + "/v1/apps/" + o.App + "/machines",
		platform: platform, limits: newLimits(), containers: containers{wanted: o.Container},
		// With the cookie fly_flaps_affinity the next request meets the host that knows what the last one has made. Source: fly-go
		// e89c5c2.
		http: &http.Client{Transport: cmp.Or(o.Transport, defaultTransport()), Jar: cookies, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // the token is sent to no other server
		}},
		tokens: tokens.Parse(o.Token), refreshing: make(chan struct{}, 1),
	}, nil
}

func defaultTransport() http.RoundTripper {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 400, 400 // a whole fleet is upgraded over connections that are kept open
	return transport
}

func parseBaseURL(address, variable string) (string, error) {
	base, err := url.Parse(address)
	// The address is not quoted, since it may contain a password.
	if err != nil || base.Host == "" || (base.Scheme != "https" && base.Scheme != "http") || base.RawQuery != "" {
		return "", engine.NewProblem("api_address", "the base URL of Fly's API is not a URL like "+defaultBaseURL, nil,
			"Correct or unset "+variable+".")
	}
	return strings.TrimSuffix(base.String(), "/"), nil
}

const (
	refreshEvery  = 30 * time.Second
	refreshWithin = 10 * time.Second
)

// refreshTokens fetches new discharges when those of a login are about to expire. One request does it for all, and the others
// wait; the only error is that their ctx has ended. If the tokens cannot be refreshed they are used as they are, since the
// API's answer then tells more than we could.
func (c *Client) refreshTokens(ctx context.Context) error {
	select {
	case c.refreshing <- struct{}{}:
		defer func() { <-c.refreshing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if time.Since(c.refreshed) < refreshEvery || len(c.tokens.GetMacaroonTokens()) == 0 {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, refreshWithin)
	defer cancel()
	updated := c.tokens.Copy()
	if _, err := updated.Update(bounded); err == nil && !updated.Empty() {
		c.tokens.Replace(updated)
	}
	if ctx.Err() == nil { // otherwise the next request tries again
		c.refreshed = time.Now()
	}
	return ctx.Err()
}
