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
	"slices"
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
	code       string // the API's name for what is wrong; "" where it gives none
	requestID  string // identifies the request to Fly's support
	retryAfter time.Duration
	notSent    bool // there was no connection, or no time to send anything
	// notKnownYet: 404 for a machine that was made just now.
	notKnownYet bool
	unreadable  bool // the request succeeded, but its answer could not be read
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

// Unwrap gives the cause to errors.Is. Its own text is not shown.
func (e *requestError) Unwrap() error { return e.cause }

// Is makes errors.Is report engine.ErrUnknownOutcome if the request may have been carried out, and engine.ErrForbidden if the
// token lacks the permission.
func (e *requestError) Is(target error) bool {
	switch target {
	case engine.ErrUnknownOutcome:
		return e.outcomeUnknown()
	case engine.ErrForbidden:
		return e.status == http.StatusUnauthorized || e.status == http.StatusForbidden && !e.overQuota()
	}
	return false
}

// notStarted reports whether the request failed because the machine is not started.
func (e *requestError) notStarted() bool {
	return e.status == http.StatusPreconditionFailed && e.machine != "" && !e.noCapacity()
}

// outcomeUnknown reports whether the request may have been carried out although it failed.
func (e *requestError) outcomeUnknown() bool {
	switch {
	case e.status == 0:
		return !e.notSent
	case e.status == http.StatusRequestTimeout, e.status >= 500:
		return !e.noSuchImage() && !e.noCapacity()
	}
	return e.unreadable
}

// mayRepeat reports whether the request may be sent again: it was certainly not carried out, for a reason that passes, or it
// is repeatable, so that carrying it out twice has the same effect as once.
func (e *requestError) mayRepeat(repeatable bool) bool {
	return e.notSent || e.notKnownYet || e.status == http.StatusTooManyRequests || (repeatable && e.outcomeUnknown())
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
	return e.mentions("manifest_unknown", "manifest unknown", "failed to get manifest", "could not find image")
}

// noCapacity reports whether Fly has no room for a machine in the region: 400, 409 or 412, or the code. Sources: production
// reports (Kilo-Org/cloud 412 and 787), and fly-go's flaps package for the code.
func (e *requestError) noCapacity() bool {
	return e.code == "insufficient_capacity" ||
		e.mentions("could not reserve resource", "insufficient resources", "insufficient memory", "insufficient cpu", "no capacity")
}

// overQuota reports whether the organization may not have more in the region, which is no fault of the token although the status
// is 403. Source: a production report (Kilo-Org/cloud 516).
func (e *requestError) overQuota() bool { return e.mentions("over the allowed quota") }

// needsPayment reports whether the organization may not have another machine before it can pay for it. Source: flyctl 2060.
func (e *requestError) needsPayment() bool {
	return e.mentions("to create more than 1 machine", "payment method", "credit card")
}

// mentions reports whether the API refused the request with one of these words.
func (e *requestError) mentions(words ...string) bool {
	said := strings.ToLower(e.text)
	return e.status >= http.StatusBadRequest && slices.ContainsFunc(words, func(w string) bool { return strings.Contains(said, w) })
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

// serverText takes the API's own words out of {"error","message","status"}, or returns whatever came instead. Its status names
// what is wrong.
func serverText(body []byte) (words, code string) {
	var answer struct {
		Error, Message string
		Status         any
	}
	words = string(body)
	if json.Unmarshal(body, &answer) == nil {
		code, _ = answer.Status.(string)
		if said := strings.Trim(answer.Error+": "+answer.Message, ": "); said != "" {
			words = said
		}
	}
	return strings.Join(strings.Fields(text.Line(words)), " "), code
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
	case e.overQuota():
		name, remedy = "over_quota", "The organization's quota is used up there. Use another region, stop what is not needed, or ask Fly's support for a higher quota."
	case e.noCapacity():
		name, remedy = "no_capacity", "Fly has no room for the machine there now. Use another region, or run again later."
	case e.needsPayment():
		name, remedy = "payment_needed", "Add a payment method to the organization (`fly dashboard`, Billing), or destroy a machine that is not needed."
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
