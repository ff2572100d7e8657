package fly

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/text"
)

// requestError says why a request did not succeed. Its text is safe to show.
type requestError struct {
	what        string // operation and machine
	machine     string
	status      int    // 0 where no answer came
	text        string // the API's own words, on one line
	requestID   string // by which Fly's support finds the request
	retryAfter  time.Duration
	unconnected bool // no connection was made: the request was never sent
	unreadable  bool // a success whose answer could not be read
	cause       error
}

func (e *requestError) Error() string {
	text := e.text
	if e.status != 0 {
		text = fmt.Sprintf("%d %s", e.status, cmp.Or(text, http.StatusText(e.status)))
	}
	if e.requestID != "" {
		text += " (request " + e.requestID + ")"
	}
	return text
}

// Unwrap keeps the cause for errors.Is; its text is not ours.
func (e *requestError) Unwrap() error { return e.cause }

// Is makes errors.Is(err, agent.ErrUnknownOutcome) true where the request may have been carried out, and engine.ErrForbidden
// where the token lacks the right.
func (e *requestError) Is(target error) bool {
	switch target {
	case agent.ErrUnknownOutcome:
		return e.unknown()
	case engine.ErrForbidden:
		return e.status == http.StatusUnauthorized || e.status == http.StatusForbidden
	}
	return false
}

// stopped recognises that the machine does not run.
func (e *requestError) stopped() bool {
	return e.status == http.StatusPreconditionFailed && e.machine != ""
}

func (e *requestError) unknown() bool {
	switch {
	case e.status == 0:
		return !e.unconnected
	case e.status == http.StatusRequestTimeout, e.status >= 500:
		return !e.noSuchImage()
	}
	return e.unreadable
}

// mayRepeat reports whether another attempt does no harm: either the request was surely not carried out, and not for a
// reason that stays, or carrying it out twice is as good as once.
func (e *requestError) mayRepeat(repeatable bool) bool {
	return e.unconnected || e.status == http.StatusTooManyRequests || (repeatable && e.unknown())
}

// noSuchImage recognises that the registry does not know the image, or not yet. Fly's API passes the registry's own
// words on, under several statuses.
func (e *requestError) noSuchImage() bool {
	text := strings.ToLower(e.text)
	return strings.Contains(text, "manifest_unknown") || strings.Contains(text, "manifest unknown") ||
		strings.Contains(text, "failed to get manifest") || strings.Contains(text, "could not find image")
}

// connection tells why no answer came. The address is left out of what the transport says.
func (e *requestError) connection(err error) *requestError {
	e.cause, e.text = err, "no answer"
	var address *url.Error
	if errors.Is(err, context.DeadlineExceeded) {
		e.text += " in time"
	} else if errors.As(err, &address) {
		e.text += ": " + address.Err.Error()
	}
	var op *net.OpError
	e.unconnected = errors.As(err, &op) && op.Op == "dial"
	return e
}

// serverText gives the API's own words out of {"error","message"}, or what came in its place.
func serverText(body []byte) string {
	var answer struct{ Error, Message string }
	words := string(body)
	if json.Unmarshal(body, &answer) == nil && answer.Error+answer.Message != "" {
		words = strings.Trim(answer.Error+": "+answer.Message, ": ")
	}
	return strings.Join(strings.Fields(text.Line(words)), " ")
}

// redact takes our tokens, and signatures of URLs, out of a text that came from outside: it may quote the request.
func (c *Client) redact(answer string) string {
	return text.Redact(answer, append(c.tokens.GetMacaroonTokens(), c.tokens.GetUserTokens()...)...)
}

// explain adds what to do.
func (c *Client) explain(e *requestError) error {
	name, remedy := "api_failed", "Look at https://status.flyio.net, and run again."
	switch {
	case errors.Is(e.cause, context.Canceled):
		return fmt.Errorf("%s: %w", e.what, e)
	case e.status == http.StatusUnauthorized:
		name, remedy = "token_refused", c.remedyToken("Run `fly auth login`")
	case e.status == http.StatusForbidden:
		name, remedy = "token_too_weak", c.remedyToken("This token may not do that. Use a login")
	case e.status == http.StatusNotFound && e.machine == "":
		name, remedy = "no_app", "Check the app's name: `fly apps list` shows those that this token can see."
	case e.status == http.StatusNotFound:
		name, remedy = "machine_gone", "The machine was destroyed meanwhile: run again on the machines that are there."
	case e.stopped():
		name, remedy = "machine_not_started", "It restarts, or was stopped: look at `fly machine status "+e.machine+"`, and deploy again once it is started."
	case e.status == http.StatusTooManyRequests:
		name, remedy = "rate_limited", "Something else uses the Machines API of this app too. Run again in a minute."
	case e.status == 0:
		name, remedy = "api_unreachable", "Check the network, and run again."
	case !e.unknown():
		name, remedy = "api_refused", "Correct what Fly's API names, and run again."
	}
	return engine.NewProblem(name, e.what, e, remedy)
}

func (c *Client) remedyToken(first string) string {
	return first + ", or set FLY_ACCESS_TOKEN to a token made by `fly tokens create deploy -a " + c.app + "`."
}
