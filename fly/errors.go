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

	"github.com/cenkalti/backoff/v5"

	"flydeploy/engine"
	"flydeploy/text"
)

// requestError says why a request failed. Its text is safe to show.
type requestError struct {
	what       string // operation and machine
	machine    string
	status     int    // 0 if there was no answer
	text       string // the API's own words, on one line
	requestID  string // identifies the request to Fly's support
	retryAfter time.Duration
	notSent    bool // there was no connection, or no time to send anything
	unreadable bool // the request succeeded, but its answer could not be read
	cause      error
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

// Unwrap gives the cause to errors.Is. Its own text is not shown.
func (e *requestError) Unwrap() error { return e.cause }

// Is makes errors.Is report engine.ErrUnknownOutcome if the request may have been carried out, and engine.ErrForbidden if the
// token lacks the permission.
func (e *requestError) Is(target error) bool {
	switch target {
	case engine.ErrUnknownOutcome:
		return e.outcomeUnknown()
	case engine.ErrForbidden:
		return e.status == http.StatusUnauthorized || e.status == http.StatusForbidden
	}
	return false
}

// notStarted reports whether the request failed because the machine is not started.
func (e *requestError) notStarted() bool {
	return e.status == http.StatusPreconditionFailed && e.machine != ""
}

// outcomeUnknown reports whether the request may have been carried out although it failed.
func (e *requestError) outcomeUnknown() bool {
	switch {
	case e.status == 0:
		return !e.notSent
	case e.status == http.StatusRequestTimeout, e.status >= 500:
		return !e.noSuchImage()
	}
	return e.unreadable
}

// mayRepeat reports whether the request may be sent again: it was certainly not carried out, for a reason that passes, or it
// is repeatable, so that carrying it out twice has the same effect as once.
func (e *requestError) mayRepeat(repeatable bool) bool {
	return e.notSent || e.status == http.StatusTooManyRequests || (repeatable && e.outcomeUnknown())
}

// again gives the error in the form in which backoff.Retry takes it: final, after the API's own pause, or after the next one.
func (e *requestError) again(repeatable bool) error {
	switch {
	case !e.mayRepeat(repeatable):
		return backoff.Permanent(e)
	case e.retryAfter > 0:
		return errors.Join(e, &backoff.RetryAfterError{Duration: e.retryAfter})
	}
	return e
}

// noSuchImage reports whether the registry does not know the image, or does not know it yet. Fly's API passes on the
// registry's own words, with various statuses.
func (e *requestError) noSuchImage() bool {
	text := strings.ToLower(e.text)
	return strings.Contains(text, "manifest_unknown") || strings.Contains(text, "manifest unknown") ||
		strings.Contains(text, "failed to get manifest") || strings.Contains(text, "could not find image")
}

// noAnswer records why there was no answer. The URL is left out of the transport's words.
func (e *requestError) noAnswer(err error) *requestError {
	e.cause, e.text = err, "no answer"
	var address *url.Error
	if errors.Is(err, context.DeadlineExceeded) {
		e.text += " in time"
	} else if errors.As(err, &address) {
		e.text += ": " + address.Err.Error()
	}
	var op *net.OpError
	e.notSent = errors.As(err, &op) && op.Op == "dial"
	return e
}

// serverText takes the API's own words out of {"error","message"}, or returns whatever came instead.
func serverText(body []byte) string {
	var answer struct{ Error, Message string }
	words := string(body)
	if json.Unmarshal(body, &answer) == nil && answer.Error+answer.Message != "" {
		words = strings.Trim(answer.Error+": "+answer.Message, ": ")
	}
	return strings.Join(strings.Fields(text.Line(words)), " ")
}

// redact removes our tokens and the signatures of URLs from an answer, which may quote the request.
func (c *Client) redact(answer string) string {
	return text.Redact(answer, append(c.tokens.GetMacaroonTokens(), c.tokens.GetUserTokens()...)...)
}

// explain adds what the user can do.
func (c *Client) explain(e *requestError) error {
	name, remedy := "api_failed", "Check https://status.flyio.net, and run again."
	switch {
	case errors.Is(e.cause, context.Canceled):
		return fmt.Errorf("%s: %w", e.what, e)
	case e.status == http.StatusUnauthorized:
		name, remedy = "token_refused", c.remedyToken("Run `fly auth login`")
	case e.status == http.StatusForbidden:
		name, remedy = "token_too_weak", c.remedyToken("This token lacks a permission. Run `fly auth login`")
	case e.status == http.StatusNotFound && e.machine == "":
		name, remedy = "no_app", "Check the app's name. `fly apps list` lists the apps that this token can see."
	case e.status == http.StatusNotFound:
		name, remedy = "machine_gone", "The machine no longer exists. Run again with the machines that remain."
	case e.notStarted():
		name, remedy = "machine_not_started", "It is restarting or stopped. Check `fly machine status "+e.machine+"`, and deploy again when it has started."
	case e.status == http.StatusTooManyRequests:
		name, remedy = "rate_limited", "Something else is also using the Machines API for this app. Run again in a minute."
	case e.status == 0:
		name, remedy = "api_unreachable", "Check the network, and run again."
	case !e.outcomeUnknown():
		name, remedy = "api_refused", "Fix what Fly's API reports, and run again."
	}
	return engine.NewProblem(name, e.what, e, remedy)
}

func (c *Client) remedyToken(first string) string {
	return first + ", or set FLY_ACCESS_TOKEN to a token from `fly tokens create deploy -a " + c.app + "`."
}
