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

	"flydeploy/engine"
	"flydeploy/text"
)

// request is one operation of the Machines API.
type request struct {
	op                  string // for messages: "list machines"
	action              string // for rate limits, which the API counts for each action on each machine
	method              string
	machine             string // "" if the request concerns the app
	path                string // below .../machines, with the query
	api                 apiOf  // whose request it is; path is below the app in the API that has the logs
	body                any
	nonce               string        // of the machine's lease, "" without one
	timeout, maxElapsed time.Duration // of one attempt; of all attempts, including the pauses between them
	// repeatable: the request may be carried out twice, so it is also repeated when its outcome is unknown.
	repeatable bool
}

// apiOf is one of Fly's APIs.
type apiOf int

const (
	machinesAPI apiOf = iota
	platformAPI       // has the logs
	graphQL
)

const (
	firstPause = 300 * time.Millisecond
	maxPause   = 5 * time.Second
	// How large an answer may be, in bytes: the list of all machines, and one about a single machine, of which many come at once.
	maxList, maxAnswer = 64 << 20, 4 << 20
	// maxServerText bounds what is shown of the API's own words, in runes.
	maxServerText = 300
)

// do sends a request and decodes the answer into out, see decode, unless out is nil. It repeats requests that were certainly not carried
// out (429, no connection, a host that does not know a new machine yet), and others only if they are repeatable. The API may set the pause with Retry-After.
func (c *Client) do(ctx context.Context, r request, out any) error {
	var last *requestError
	try := func() (struct{}, error) {
		last = nil
		if err := c.maySend(ctx, r); err != nil {
			return struct{}{}, backoff.Permanent(fmt.Errorf("%s: %w", r.what(), err))
		}
		if last = c.once(ctx, r, out); last == nil {
			return struct{}{}, nil
		}
		return struct{}{}, last.again(r.repeatable)
	}
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval, pauses.Multiplier = firstPause, maxPause, 2
	_, err := backoff.Retry(ctx, try, backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(r.maxElapsed))
	if last != nil {
		return c.explain(last)
	}
	return err
}

// maySend returns when the rate limits allow r, unless the request must not be sent any more.
func (c *Client) maySend(ctx context.Context, r request) error {
	if err := c.limits.wait(ctx, r); err != nil {
		return err
	}
	return engine.MaySend(ctx)
}

func (r request) what() string {
	if r.machine == "" {
		return r.op
	}
	return r.op + " " + r.machine
}

func (r request) maxAnswer() int64 {
	if r.machine == "" {
		return maxList
	}
	return maxAnswer
}

// once makes one attempt, with its own deadline.
func (c *Client) once(ctx context.Context, r request, out any) *requestError {
	fail := &requestError{what: r.what(), machine: r.machine}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	if err := c.refreshTokens(ctx); err != nil {
		fail.noAnswer(err).notSent = true
		return fail
	}
	req, err := c.newRequest(ctx, r)
	if err != nil {
		fail.cause, fail.text = err, "the request could not be made"
		return fail
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fail.noAnswer(err)
	}
	defer func() { _ = resp.Body.Close() }()
	fail.status, fail.requestID = resp.StatusCode, text.Line(resp.Header.Get("fly-request-id"))
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		fail.retryAfter = time.Duration(seconds) * time.Second
	}
	body, err := readAnswer(resp, r.maxAnswer())
	if resp.StatusCode > 299 {
		words, code := serverText(body)
		fail.notKnownYet = resp.StatusCode == http.StatusNotFound && c.made.get(r.machine).isNew()
		fail.text, fail.code = text.Shorten(c.redact(words), maxServerText), code
		return fail
	}
	if err == nil && out != nil {
		err = decode(body, out)
	}
	if err != nil {
		fail.cause, fail.text, fail.unreadable = err, "the answer is incomplete or is not JSON", true
		return fail
	}
	return nil
}

// readAnswer reads an answer of at most most bytes, in one piece where its length is told.
func readAnswer(resp *http.Response, most int64) ([]byte, error) {
	var body bytes.Buffer
	if resp.ContentLength > 0 && resp.ContentLength <= most {
		body.Grow(int(resp.ContentLength) + bytes.MinRead) // which ReadFrom wants to be free at the end
	}
	_, err := body.ReadFrom(io.LimitReader(resp.Body, most))
	return body.Bytes(), err
}

// decode puts an answer into out, which may be a function that reads it.
func decode(body []byte, out any) error {
	if read, is := out.(func([]byte) error); is {
		return read(body)
	}
	return json.Unmarshal(body, out)
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
	base, authorization := c.base, c.tokens.FlapsHeader()
	switch r.api {
	case platformAPI:
		base, authorization = c.platform+"/api/v1/apps/"+c.app, c.tokens.BubblegumHeader()
	case graphQL:
		base, authorization = c.platform+"/graphql", c.tokens.GraphQLHeader()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, base+r.path, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", authorization)
	req.Header.Set("User-Agent", c.userAgent)
	if r.nonce != "" {
		req.Header.Set(nonceHeader, r.nonce)
	}
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

// isStatus reports whether err is an answer with this status.
func isStatus(err error, status int) bool {
	var failed *requestError
	return errors.As(err, &failed) && failed.status == status
}

// isNotFound reports whether the API answered that there is no such object.
func isNotFound(err error) bool {
	return isStatus(err, http.StatusNotFound) || isStatus(err, http.StatusGone)
}
