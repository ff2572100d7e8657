package fly

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"

	"flydeploy/text"
)

// request is one operation of the Machines API.
type request struct {
	op      string // for errors: "list machines"
	action  string // for rate limits: the API counts each action on each machine
	method  string
	machine string // "" for the app
	path    string // below .../machines, with its query
	body    any
	// timeout bounds one attempt, patience all of them with the pauses between.
	timeout, patience time.Duration
	// repeatable: doing it twice does no harm, so it is repeated after an unknown outcome too.
	repeatable bool
}

const (
	firstPause = 300 * time.Millisecond
	maxPause   = 5 * time.Second
	maxAnswer  = 64 << 20 // bytes
	// maxServerText bounds what is shown of the API's own words, runes.
	maxServerText = 300
)

// do carries a request out and decodes the answer into out, which may be nil. What was surely not carried out (429, no
// connection) is repeated; what may have been only where the request is repeatable.
func (c *Client) do(ctx context.Context, r request, out any) error {
	pauses := backoff.ExponentialBackOff{
		InitialInterval: firstPause, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: maxPause,
	}
	pauses.Reset()
	start := time.Now()
	for {
		if err := c.limits.wait(ctx, r); err != nil {
			return fmt.Errorf("%s: %w", r.what(), err)
		}
		failed := c.once(ctx, r, out)
		if failed == nil {
			return nil
		}
		pause := max(pauses.NextBackOff(), failed.retryAfter)
		if ctx.Err() != nil || !failed.mayRepeat(r.repeatable) || time.Since(start)+pause > r.patience {
			return c.explain(failed)
		}
		if sleep(ctx, pause) != nil {
			return c.explain(failed)
		}
	}
}

func (r request) what() string {
	if r.machine == "" {
		return r.op
	}
	return r.op + " " + r.machine
}

// once is one attempt with its own deadline.
func (c *Client) once(ctx context.Context, r request, out any) *requestError {
	fail := &requestError{what: r.what(), machine: r.machine}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	if err := c.refreshTokens(ctx); err != nil {
		fail.connection(err).unconnected = true
		return fail
	}
	req, err := c.newRequest(ctx, r)
	if err != nil {
		fail.cause, fail.text = err, "the request could not be made"
		return fail
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fail.connection(err)
	}
	defer func() { _ = resp.Body.Close() }()
	fail.status, fail.requestID = resp.StatusCode, text.Line(resp.Header.Get("fly-request-id"))
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		fail.retryAfter = time.Duration(seconds) * time.Second
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode > 299 {
		fail.text = text.Shorten(c.redact(serverText(body)), maxServerText)
		return fail
	}
	if err == nil && out != nil {
		err = json.Unmarshal(body, out)
	}
	if err != nil {
		fail.cause, fail.text, fail.unreadable = err, "the answer was cut or is not JSON", true
		return fail
	}
	return nil
}

func (c *Client) newRequest(ctx context.Context, r request) (*http.Request, error) {
	var body io.Reader
	if r.body != nil {
		raw, err := json.Marshal(r.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.base+r.path, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", c.tokens.FlapsHeader())
	req.Header.Set("User-Agent", c.userAgent)
	return req, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// isStatus reports whether the API answered err with this status.
func isStatus(err error, status int) bool {
	var failed *requestError
	return errors.As(err, &failed) && failed.status == status
}

// isGone reports whether the API said that it does not exist.
func isGone(err error) bool {
	return isStatus(err, http.StatusNotFound) || isStatus(err, http.StatusGone)
}
